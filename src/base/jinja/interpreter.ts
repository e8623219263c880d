import { attributeOf, fieldOf, holds, sliceOf } from './access.ts'
import { filters, given, tests } from './filters.ts'
import type { Tools } from './filters.ts'
import type { Arguments, Block, Expression, Parameter, Statement, Target } from './nodes.ts'
import { arithmetic } from './operators.ts'
import { Callable, Dict, equal, fail, Float, isTrue, itemsOf, List, Namespace, noUndefined, numberOf, textOf, Tuple, typeName, Undefined } from './values.ts'
import type { Value } from './values.ts'

/** The names a part of a template sees: its own and those of what it stands in. */
class Scope {
  readonly own = new Map<string, Value>()
  readonly outer: Scope | undefined

  constructor(outer?: Scope) {
    this.outer = outer
  }

  find(name: string): Value {
    if (this.own.has(name)) return this.own.get(name) ?? null
    return this.outer === undefined ? new Undefined(`'${name}' is undefined`) : this.outer.find(name)
  }
}

class Jump extends Error {
  readonly kind: 'break' | 'continue'
  readonly text: string

  constructor(kind: 'break' | 'continue', text: string) {
    super(kind)
    this.kind = kind
    this.text = text
  }
}

/** Steps a template may take, seconds in all; a conversation of a thousand messages takes some hundred thousands. */
const mostSteps = 20_000_000
const deepest = 200

/**
 * The text of a template, with Python's values and Jinja's rules.
 *
 * @throws TemplateError where the template fails, by its own will or not, or takes too long
 */
export function render(body: Block, variables: ReadonlyMap<string, Value>): string {
  let steps = 0
  let depth = 0
  const namesLoop = new Map<Statement, boolean>()
  const tools: Tools = { filter: applyFilter, test: applyTest, field: fieldOf, charge }
  const root = new Scope()
  for (const [name, value] of variables) root.own.set(name, value)
  return runBlock(body, new Scope(root))

  function charge(size: number): void {
    steps += size
    if (steps > mostSteps) fail(`it takes more than ${mostSteps.toLocaleString('en')} steps and is given up`)
  }

  function made(text: string): string {
    charge(text.length / 16)
    return text
  }

  function nested<T>(run: () => T): T {
    if (++depth > deepest) fail(`more than ${deepest} calls and blocks inside each other`)
    try {
      return run()
    } finally {
      depth--
    }
  }

  function runBlock(block: Block, scope: Scope): string {
    let out = ''
    try {
      for (const statement of block) out += run(statement, scope)
    } catch (error) {
      // What a loop's body has written before it breaks off stays.
      throw error instanceof Jump ? new Jump(error.kind, out + error.text) : error
    }
    return made(out)
  }

  function run(statement: Statement, scope: Scope): string {
    charge(1)
    switch (statement.kind) {
      case 'text': return statement.text
      case 'print': return textOf(evaluate(statement.value, scope))
      case 'if': {
        const branch = statement.branches.find(({ test }) => isTrue(evaluate(test, scope)))
        return nested(() => runBlock(branch?.body ?? statement.otherwise, scope))
      }
      case 'for': return nested(() => loop(statement, scope))
      case 'set':
        assign(statement.target, evaluate(statement.value, scope), scope)
        return ''
      case 'setBlock': {
        const text = runBlock(statement.body, new Scope(scope))
        assign(statement.target, statement.filter === undefined ? text : evaluate(statement.filter, scope, text), scope)
        return ''
      }
      case 'macro':
        scope.own.set(statement.name, macro(statement.name, statement.parameters, statement.body, scope))
        return ''
      case 'callBlock': {
        const caller = macro('caller', statement.parameters, statement.body, scope)
        return textOf(evaluate(statement.call, scope, undefined, caller))
      }
      case 'filterBlock': return textOf(evaluate(statement.filter, scope, runBlock(statement.body, new Scope(scope))))
      case 'with': {
        const inner = new Scope(scope)
        for (const [target, value] of statement.values) assign(target, evaluate(value, scope), inner)
        return nested(() => runBlock(statement.body, inner))
      }
      default: throw new Jump(statement.kind, '')
    }
  }

  function loop(statement: Statement & { kind: 'for' }, scope: Scope): string {
    let items = itemsOf(evaluate(statement.of, scope))
    const { test } = statement
    if (test !== undefined) {
      items = items.filter((item) => {
        const inner = new Scope(scope)
        assign(statement.target, item, inner)
        return isTrue(evaluate(test, inner))
      })
    }
    if (items.length === 0) return runBlock(statement.otherwise, new Scope(scope))
    const changed: Value[][] = []
    let named = namesLoop.get(statement)
    if (named === undefined) namesLoop.set(statement, named = mentions(statement.body, 'loop'))
    let out = ''
    for (const [i, item] of items.entries()) {
      charge(20) // what a turn of a loop costs beside a single value
      const inner = new Scope(scope)
      if (named) inner.own.set('loop', loopOf(items, i, changed))
      assign(statement.target, item, inner)
      try {
        out += runBlock(statement.body, inner)
      } catch (error) {
        if (!(error instanceof Jump)) throw error
        out += error.text
        if (error.kind === 'break') break
      }
    }
    return out
  }

  function loopOf(items: readonly Value[], i: number, changed: Value[][]): Namespace {
    const at = (place: number, what: string): Value => items[place] === undefined ? new Undefined(`there is no ${what} item`) : items[place]
    return new Namespace(new Map<string, Value>([
      ['index', i + 1], ['index0', i], ['revindex', items.length - i], ['revindex0', items.length - i - 1], ['first', i === 0], ['last', i === items.length - 1], ['length', items.length],
      ['depth', 1], ['depth0', 0], ['previtem', at(i - 1, 'previous')], ['nextitem', at(i + 1, 'next')],
      ['cycle', new Callable('cycle', (args) => args[i % args.length] ?? fail('no items for cycling given'))],
      ['changed', new Callable('changed', (args) => {
        const before = changed.pop()
        changed.push([...args])
        return before === undefined || !equal(new Tuple(before), new Tuple([...args]))
      })],
    ]))
  }

  function macro(name: string, parameters: readonly Parameter[], body: Block, scope: Scope): Callable {
    const known = new Set(parameters.map((each) => each.name))
    return new Callable(name, (args, named) => nested(() => {
      const inner = new Scope(scope)
      const rest = new Map(named)
      const caller = rest.get('caller')
      if (caller !== undefined && !known.has('caller')) {
        inner.own.set('caller', caller)
        rest.delete('caller')
      }
      parameters.forEach(({ name: own, fallback }, i) => {
        if (i < args.length && rest.has(own)) fail(`macro '${name}' got multiple values for argument '${own}'`)
        const value = args[i] ?? (i < args.length ? null : rest.get(own))
        inner.own.set(own, value ?? (rest.has(own) || i < args.length ? null : fallback === undefined ? new Undefined(`parameter '${own}' was not provided`) : evaluate(fallback, inner)))
        rest.delete(own)
      })
      inner.own.set('varargs', new Tuple(args.slice(parameters.length)))
      inner.own.set('kwargs', new Dict(new Map(rest)))
      if (args.length > parameters.length && !mentions(body, 'varargs')) fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`)
      if (rest.size > 0 && !mentions(body, 'kwargs')) fail(`macro '${name}' takes no keyword argument '${[...rest.keys()][0] ?? ''}'`)
      return runBlock(body, inner)
    }))
  }

  function assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') scope.own.set(target.name, value)
    else if (target.kind === 'field') {
      const owner = scope.find(target.name)
      if (!(owner instanceof Namespace)) return fail('cannot assign attribute on non-namespace object')
      owner.fields.set(target.field, value)
    } else {
      const items = itemsOf(value)
      if (items.length !== target.targets.length) fail(`cannot unpack ${items.length} values into ${target.targets.length}`)
      target.targets.forEach((each, i) => assign(each, items[i] ?? null, scope))
    }
  }

  function evaluate(node: Expression, scope: Scope, filtered?: Value, caller?: Callable): Value {
    charge(1)
    switch (node.kind) {
      case 'constant': return node.value
      case 'float': return new Float(node.value)
      case 'name': return scope.find(node.name)
      case 'list': return new List(node.items.map((item) => evaluate(item, scope)))
      case 'tuple': return new Tuple(node.items.map((item) => evaluate(item, scope)))
      case 'dict': return new Dict(new Map(node.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)])))
      case 'attribute': return attributeOf(evaluate(node.of, scope), node.name)
      case 'item': return fieldOf(evaluate(node.of, scope), evaluate(node.key, scope))
      case 'slice': return sliceOf(evaluate(node.of, scope), node.parts.map((part) => part === undefined ? null : evaluate(part, scope)))
      case 'filter': {
        const value = node.of === undefined ? filtered ?? '' : evaluate(node.of, scope, filtered)
        return applyFilter(node.name, value, ...argumentsOf(node.args, scope))
      }
      case 'test': return applyTest(node.name, evaluate(node.of, scope), argumentsOf(node.args, scope)[0]) !== node.negated
      case 'call': {
        const callee = evaluate(node.callee, scope)
        noUndefined(callee)
        if (!(callee instanceof Callable)) return fail(`'${typeName(callee)}' object is not callable`)
        const [args, named] = argumentsOf(node.args, scope)
        if (caller !== undefined) named.set('caller', caller)
        const result = callee.call(args, named)
        return typeof result === 'string' ? made(result) : result
      }
      case 'unary': {
        const value = evaluate(node.of, scope)
        if (node.operator === 'not') return !isTrue(value)
        noUndefined(value)
        const number = numberOf(value) ?? fail(`bad operand type for unary ${node.operator}: '${typeName(value)}'`)
        const signed = node.operator === '-' ? -number : number
        return value instanceof Float ? new Float(signed) : signed + 0
      }
      case 'logic': {
        const left = evaluate(node.left, scope)
        return isTrue(left) === (node.operator === 'and') ? evaluate(node.right, scope) : left
      }
      case 'compare': {
        let left = evaluate(node.first, scope)
        for (const { operator, right } of node.rest) {
          const value = evaluate(right, scope)
          if (!holds(operator, left, value)) return false
          left = value
        }
        return true
      }
      case 'condition':
        if (isTrue(evaluate(node.test, scope))) return evaluate(node.then, scope)
        return node.otherwise === undefined ? new Undefined('the inline if-expression evaluated to false and no else section was defined.') : evaluate(node.otherwise, scope)
      default: {
        const value = arithmetic(node.operator, evaluate(node.left, scope), evaluate(node.right, scope), charge)
        return typeof value === 'string' ? made(value) : value
      }
    }
  }

  function argumentsOf({ positional, named, spread, spreadNamed }: Arguments, scope: Scope): [Value[], Map<string, Value>] {
    const args = positional.map((each) => evaluate(each, scope))
    if (spread !== undefined) args.push(...itemsOf(evaluate(spread, scope)))
    const byName = new Map(named.map(([name, value]) => [name, evaluate(value, scope)]))
    const more = spreadNamed === undefined ? undefined : evaluate(spreadNamed, scope)
    if (more instanceof Dict) for (const [key, value] of more.entries) byName.set(textOf(key), value)
    return [args, byName]
  }

  function applyFilter(name: string, value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
    const known = Object.hasOwn(filters, name) ? filters[name] : undefined
    if (known === undefined) return fail(`the filter '${name}' is not supported; known are ${Object.keys(filters).join(', ')}`)
    const result = known.apply(value, given(name, known.names, args, named), tools)
    if (typeof result === 'string') return made(result)
    if (result instanceof List) charge(result.items.length)
    return result
  }

  function applyTest(name: string, value: Value, args: readonly Value[]): boolean {
    const known = Object.hasOwn(tests, name) ? tests[name] : undefined
    if (known === undefined) return fail(`the test '${name}' is not supported; known are ${Object.keys(tests).join(', ')}`)
    if (args.length > 1 || (known.length === 2) !== (args.length === 1)) fail(`the test '${name}' takes ${known.length - 1} arguments, got ${args.length}`)
    return known(value, args[0] ?? null)
  }
}

/** Whether a name stands anywhere in a block. */
function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some((each) => mentions(each, name))
  if (typeof node !== 'object' || node === null) return false
  if ('kind' in node && node.kind === 'name' && 'name' in node && node.name === name) return true
  return Object.values(node).some((each) => mentions(each, name))
}
