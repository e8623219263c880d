import type { Token } from './lexer.ts'
import type { Arguments, Expression } from './nodes.ts'

/** Where a parser stands in the tokens. */
export class Reader {
  #at = 0
  #depth = 0
  readonly tokens: readonly Token[]

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  get current(): Token | undefined {
    return this.tokens[this.#at]
  }

  next(): Token {
    const token = this.current ?? this.fail('the template ends too early')
    this.#at++
    return token
  }

  is(type: Token['type'], ...values: readonly string[]): boolean {
    const token = this.current
    return token?.type === type && (values.length === 0 || values.includes(token.value))
  }

  /** The same of the token behind the current one. */
  nextIs(type: Token['type'], value: string): boolean {
    const token = this.tokens[this.#at + 1]
    return token?.type === type && token.value === value
  }

  skip(type: Token['type'], ...values: readonly string[]): boolean {
    const found = this.is(type, ...values)
    if (found) this.#at++
    return found
  }

  expect(type: Token['type'], value?: string): Token {
    if (this.is(type, ...(value === undefined ? [] : [value]))) return this.next()
    const token = this.current
    return this.fail(`expected ${value ?? type}, got ${token === undefined ? 'the end' : token.value === '' ? token.type : JSON.stringify(token.value)}`)
  }

  fail(message: string): never {
    throw new SyntaxError(`${message}, line ${this.current?.line ?? this.tokens.at(-1)?.line ?? 1}`)
  }

  /** Nested deeper than any real template, it would end in the engine's own error. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > 200) this.fail('more than 200 levels inside each other')
    const value = parse()
    this.#depth--
    return value
  }
}

/** An expression; with the words of Jinja's own parser, level by level from what binds least. */
export function parseExpression(reader: Reader): Expression {
  return reader.nested(() => {
    let value = parseOr(reader)
    while (reader.skip('name', 'if')) {
      const test = parseOr(reader)
      value = { kind: 'condition', test, then: value, otherwise: reader.skip('name', 'else') ? parseExpression(reader) : undefined }
    }
    return value
  })
}

/** Expressions with commas between them are a tuple; none at all is one between parentheses alone. */
export function parseTuple(reader: Reader, ends: () => boolean, one: (reader: Reader) => Expression = parseExpression, empty = false): Expression {
  const items: Expression[] = []
  let commas = 0
  while (!ends()) {
    items.push(one(reader))
    if (!reader.skip('operator', ',')) break
    commas++
  }
  const [first] = items
  if (first === undefined && !empty) return reader.fail('expected an expression')
  return commas > 0 || first === undefined ? { kind: 'tuple', items } : first
}

export function parseOr(reader: Reader): Expression {
  let left = parseAnd(reader)
  while (reader.skip('name', 'or')) left = { kind: 'logic', operator: 'or', left, right: parseAnd(reader) }
  return left
}

function parseAnd(reader: Reader): Expression {
  let left = parseNot(reader)
  while (reader.skip('name', 'and')) left = { kind: 'logic', operator: 'and', left, right: parseNot(reader) }
  return left
}

function parseNot(reader: Reader): Expression {
  if (reader.skip('name', 'not')) return { kind: 'unary', operator: 'not', of: reader.nested(() => parseNot(reader)) }
  const first = parseSum(reader)
  const rest: { operator: string; right: Expression }[] = []
  for (;;) {
    if (reader.is('operator', '==', '!=', '<', '<=', '>', '>=')) rest.push({ operator: reader.next().value, right: parseSum(reader) })
    else if (reader.skip('name', 'in')) rest.push({ operator: 'in', right: parseSum(reader) })
    else if (reader.is('name', 'not') && reader.nextIs('name', 'in')) {
      reader.next()
      reader.next()
      rest.push({ operator: 'not in', right: parseSum(reader) })
    } else break
  }
  return rest.length === 0 ? first : { kind: 'compare', first, rest }
}

/** A level of binary operators that bind to the left. */
function level(operators: readonly string[], inner: (reader: Reader) => Expression): (reader: Reader) => Expression {
  return (reader) => {
    let left = inner(reader)
    while (reader.is('operator', ...operators)) left = { kind: 'binary', operator: reader.next().value, left, right: inner(reader) }
    return left
  }
}

const parsePower = level(['**'], (reader) => parseUnary(reader, true))
const parseProduct = level(['*', '/', '//', '%'], parsePower)
const parseConcat = level(['~'], parseProduct)
const parseSum = level(['+', '-'], parseConcat)

function parseUnary(reader: Reader, filters: boolean): Expression {
  let value: Expression
  if (reader.is('operator', '-', '+')) {
    const operator = reader.next().value as '-' | '+'
    value = { kind: 'unary', operator, of: reader.nested(() => parseUnary(reader, false)) }
  } else value = parsePostfix(reader, parsePrimary(reader))
  value = parsePostfix(reader, value)
  while (filters) {
    if (reader.skip('operator', '|')) value = parseFilter(reader, value)
    else if (reader.skip('name', 'is')) value = parseTest(reader, value)
    else if (reader.is('operator', '(')) value = { kind: 'call', callee: value, args: parseArguments(reader) }
    else break
  }
  return value
}

function parsePrimary(reader: Reader): Expression {
  const token = reader.next()
  switch (token.type) {
    case 'name': {
      const constants: Readonly<Record<string, boolean | null>> = { true: true, True: true, false: false, False: false, none: null, None: null }
      return Object.hasOwn(constants, token.value) ? { kind: 'constant', value: constants[token.value] ?? null } : { kind: 'name', name: token.value }
    }
    case 'string': {
      let value = token.value
      while (reader.is('string')) value += reader.next().value
      return { kind: 'constant', value }
    }
    case 'integer': {
      const value = Number(token.value.replaceAll('_', ''))
      return Number.isSafeInteger(value) ? { kind: 'constant', value } : reader.fail(`the number ${token.value} is too large`)
    }
    case 'float': return { kind: 'float', value: Number(token.value.replaceAll('_', '')) }
    default:
  }
  if (token.value === '(' && token.type === 'operator') {
    const value = reader.nested(() => parseTuple(reader, () => reader.is('operator', ')'), parseExpression, true))
    reader.expect('operator', ')')
    return value
  }
  if (token.value === '[' && token.type === 'operator') return { kind: 'list', items: parseList(reader, ']', parseExpression) }
  if (token.value === '{' && token.type === 'operator') {
    return { kind: 'dict', entries: parseList(reader, '}', (inner) => {
      const key = parseExpression(inner)
      inner.expect('operator', ':')
      return [key, parseExpression(inner)] as const
    }) }
  }
  return reader.fail(`unexpected ${token.value === '' ? token.type : JSON.stringify(token.value)}`)
}

function parseList<T>(reader: Reader, end: string, one: (reader: Reader) => T): T[] {
  const items: T[] = []
  while (!reader.skip('operator', end)) {
    if (items.length > 0) reader.expect('operator', ',')
    if (reader.skip('operator', end)) break
    items.push(one(reader))
  }
  return items
}

function parsePostfix(reader: Reader, start: Expression): Expression {
  let value = start
  for (;;) {
    if (reader.skip('operator', '.')) {
      const token = reader.next()
      if (token.type === 'name') value = { kind: 'attribute', of: value, name: token.value }
      else if (token.type === 'integer') value = { kind: 'item', of: value, key: { kind: 'constant', value: Number(token.value) } }
      else reader.fail('expected a name or a number behind the dot')
    } else if (reader.skip('operator', '[')) value = parseSubscript(reader, value)
    else if (reader.is('operator', '(')) value = { kind: 'call', callee: value, args: parseArguments(reader) }
    else return value
  }
}

function parseSubscript(reader: Reader, of: Expression): Expression {
  const parts: (Expression | undefined)[] = []
  let part: Expression | undefined
  let colons = 0
  while (!reader.skip('operator', ']')) {
    if (reader.skip('operator', ':')) {
      parts.push(part)
      part = undefined
      colons++
    } else if (part === undefined) part = parseExpression(reader)
    else reader.fail('expected ] or :')
  }
  if (colons > 2 || (colons === 0 && part === undefined)) reader.fail('expected an index or a slice')
  return colons === 0 && part !== undefined ? { kind: 'item', of, key: part } : { kind: 'slice', of, parts: [...parts, part] }
}

export function parseArguments(reader: Reader): Arguments {
  reader.expect('operator', '(')
  const positional: Expression[] = []
  const named: (readonly [string, Expression])[] = []
  let spread: Expression | undefined
  let spreadNamed: Expression | undefined
  for (let count = 0; !reader.skip('operator', ')'); count++) {
    if (count > 0) reader.expect('operator', ',')
    if (reader.skip('operator', ')')) break
    if (reader.skip('operator', '*')) spread = parseExpression(reader)
    else if (reader.skip('operator', '**')) spreadNamed = parseExpression(reader)
    else if (reader.is('name') && reader.nextIs('operator', '=')) {
      const name = reader.next().value
      reader.next()
      named.push([name, parseExpression(reader)])
    } else {
      if (named.length > 0 || spread !== undefined || spreadNamed !== undefined) reader.fail('arguments without a name come before those with one')
      positional.push(parseExpression(reader))
    }
  }
  return { positional, named, spread, spreadNamed }
}

const none: Arguments = { positional: [], named: [] }

export function parseFilter(reader: Reader, of: Expression | undefined): Expression {
  const name = dottedName(reader)
  return { kind: 'filter', of, name, args: reader.is('operator', '(') ? parseArguments(reader) : none }
}

function parseTest(reader: Reader, of: Expression): Expression {
  const negated = reader.skip('name', 'not')
  const name = dottedName(reader)
  let args = none
  if (reader.is('operator', '(')) args = parseArguments(reader)
  else if ((reader.is('name') && !reader.is('name', 'else', 'or', 'and', 'is', 'if', 'in', 'not')) || reader.is('string') || reader.is('integer') || reader.is('float') || reader.is('operator', '[', '{')) {
    args = { positional: [parsePostfix(reader, parsePrimary(reader))], named: [] }
  } else if (reader.is('name', 'is')) reader.fail('tests cannot be chained')
  return { kind: 'test', of, name, args, negated }
}

function dottedName(reader: Reader): string {
  let name = reader.expect('name').value
  while (reader.skip('operator', '.')) name += `.${reader.expect('name').value}`
  return name
}
