import { filters, tests } from './filters.ts'
import { render } from './interpreter.ts'
import { parse } from './parse.ts'
import { timeText } from './time.ts'
import { Callable, Dict, fail, itemsOf, Namespace, numberOf, TemplateError, textOf, valueOf, View } from './values.ts'
import type { Value } from './values.ts'

export { TemplateError }

/** A sandbox of Jinja's gives no longer ranges either. */
const longestRange = 100_000

const globals: readonly Callable[] = [
  new Callable('range', (args) => {
    const [first = 0, second, step = 1] = args.map((each) => numberOf(each) ?? fail('range: expected whole numbers'))
    const [from, to] = second === undefined ? [0, first] : [first, second]
    if (step === 0) fail('range() arg 3 must not be zero')
    const length = Math.max(0, Math.ceil((to - from) / step))
    if (length > longestRange) fail(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${longestRange}).`)
    return new View('range', Array.from({ length }, (_, i) => from + i * step))
  }),
  new Callable('namespace', (args, named) => {
    const [first] = args
    const start = first instanceof Dict ? [...first.entries] : first === undefined ? [] : itemsOf(first).map((pair) => itemsOf(pair) as readonly [Value, Value])
    return new Namespace(new Map([...start.map(([key, value]) => [textOf(key), value] as const), ...named]))
  }),
  new Callable('dict', (args, named) => {
    const [first] = args
    const start = first instanceof Dict ? [...first.entries] : first === undefined ? [] : itemsOf(first).map((pair) => itemsOf(pair) as readonly [Value, Value])
    return new Dict(new Map<Value, Value>([...start, ...named]))
  }),
  new Callable('raise_exception', ([message]) => fail(textOf(message ?? ''))),
  new Callable('strftime_now', ([format]) => timeText(new Date(), textOf(format ?? ''))),
]

/**
 * A template of Jinja as transformers uses them: in a sandbox, with `trim_blocks` and `lstrip_blocks`, loop controls,
 * `raise_exception`, `strftime_now` and the block `generation`. Values print as Python prints them.
 *
 * @returns a function that throws TemplateError where the template fails or takes too long
 * @throws SyntaxError where it is not a template, or has what is not supported
 */
export function templateFrom(text: string): (variables: Readonly<Record<string, unknown>>) => string {
  const body = parse(text)
  const unknown = [...new Set(unsupported(body))]
  if (unknown.length > 0) throw new SyntaxError(`not supported: ${unknown.join(', ')}`)
  return (variables) => {
    try {
      const given = Object.entries(variables).filter(([, value]) => value !== undefined).map(([name, value]) => [name, valueOf(value)] as const)
      return render(body, new Map<string, Value>([...globals.map((each) => [each.name, each] as const), ...given]))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error // the engine's, for a text or a nesting without end
      throw new TemplateError(`it needs more memory than there is and is given up: ${error.message}`, { cause: error })
    }
  }
}

/** Filters and tests of a template that are not known, by kind and name. */
function unsupported(node: unknown): string[] {
  if (Array.isArray(node)) return node.flatMap(unsupported)
  if (typeof node !== 'object' || node === null) return []
  const { kind, name } = node as { kind?: unknown; name?: unknown }
  const known = { filter: filters, test: tests }[String(kind)]
  const own = known !== undefined && typeof name === 'string' && !Object.hasOwn(known, name) ? [`the ${String(kind)} '${name}'`] : []
  if (kind === 'name' && name === 'self') own.push("the name 'self'")
  return [...own, ...Object.values(node).flatMap(unsupported)]
}
