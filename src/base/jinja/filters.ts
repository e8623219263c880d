import { jsonOf } from './json.ts'
import { capitalized, linesOf, methodOf, replaced, sorted, titled } from './methods.ts'
import { compare, Dict, equal, fail, Float, isTrue, itemsOf, lengthOf, List, noUndefined, numberOf, textOf, Tuple, typeName, Undefined, View } from './values.ts'
import type { Value } from './values.ts'

/** Arguments of a filter by the names Jinja gives them, in their order. */
type Given = Readonly<Record<string, Value | undefined>>

interface Filter {
  readonly names: readonly string[]
  /** With what the filter gets of the interpreter: other filters and tests by name, fields of values. */
  readonly apply: (value: Value, given: Given, tools: Tools) => Value
}

export interface Tools {
  readonly filter: (name: string, value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value
  readonly test: (name: string, value: Value, args: readonly Value[]) => boolean
  readonly field: (value: Value, key: Value) => Value
  /** Counts what is made, and fails when it is too much. */
  readonly charge: (size: number) => void
}

const whole = (value: Value | undefined, fallback: number): number => value === undefined || value === null ? fallback : numberOf(value) ?? fail(`expected a number, got ${typeName(value)}`)
const on = (value: Value | undefined): boolean => value !== undefined && isTrue(value)
const filter = (names: readonly string[], apply: Filter['apply']): Filter => ({ names, apply })
const text = (apply: (value: string, given: Given) => Value, ...names: string[]): Filter => filter(names, (value, given) => apply(textOf(value), given))

/** The field a filter looks at: 'a.b' or a number. */
function path(attribute: Value | undefined, { field }: Tools): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return (item) => item
  const parts = typeof attribute === 'string' ? attribute.split('.').map((part) => /^\d+$/.test(part) ? Number(part) : part) : [attribute]
  return (item) => parts.reduce<Value>((value, part) => field(value, part), item)
}

function firstOf([first]: readonly Value[], hint: string): Value {
  return first === undefined ? new Undefined(hint) : first
}

function extreme(sign: number): Filter {
  return filter(['case_sensitive', 'attribute'], (value, { case_sensitive, attribute }, tools) => {
    const order = sorted(itemsOf(value), path(attribute, tools), sign < 0, on(case_sensitive))
    return firstOf(order, 'No aggregated item, sequence was empty.')
  })
}

function selecting(select: boolean, byField: boolean): Filter {
  return filter(['*'], (value, given, tools) => {
    const args = Object.values(given).filter((each) => each !== undefined)
    const keyOf = byField ? path(args.shift() ?? fail('expected the name of a field'), tools) : (item: Value): Value => item
    const [name, ...rest] = args
    const fits = (item: Value): boolean => name === undefined ? isTrue(item) : tools.test(textOf(name), item, rest)
    return new View('generator', itemsOf(value).filter((item) => fits(keyOf(item)) === select))
  })
}

function json(value: Value, { indent, ensure_ascii, separators, sort_keys }: Given): Value {
  const step = indent === undefined || indent === null ? undefined : typeof indent === 'string' ? indent : ' '.repeat(Math.max(0, whole(indent, 0)))
  const pair = separators === undefined || separators === null ? [step === undefined ? ', ' : ',', ': '] : itemsOf(separators).map(textOf)
  const [between, colon] = pair
  if (between === undefined || colon === undefined || pair.length !== 2) return fail('separators: expected two texts')
  return jsonOf(value, { ascii: on(ensure_ascii), indent: step, separators: [between, colon], sort: on(sort_keys) })
}

function indented(value: string, { width, first, blank }: Given): string {
  const by = typeof width === 'string' ? width : ' '.repeat(whole(width, 4))
  const lines = linesOf(`${value}
`) // Jinja adds an end of line and takes the lines
  const out = on(blank) ? lines.join(`\n${by}`) : [lines[0] ?? '', ...lines.slice(1).map((line) => line === '' ? '' : by + line)].join('\n')
  return on(first) ? by + out : out
}

function rounded(value: Value, { precision, method }: Given): Value {
  const factor = 10 ** whole(precision, 0)
  const scaled = whole(value, 0) * factor
  const half = Math.floor(scaled)
  const even = scaled - half === 0.5 ? (half % 2 === 0 ? half : half + 1) : Math.round(scaled) // to the even neighbour, as Python does
  const result = method === 'ceil' ? Math.ceil(scaled) : method === 'floor' ? half : even
  return new Float(result / factor)
}

function toInteger(value: Value, { default: fallback = 0, base }: Given): Value {
  if (base !== undefined && base !== 10) return fail('int: only base 10 is supported')
  const number = numberOf(value)
  if (number !== undefined) return Number.isFinite(number) ? Math.trunc(number) : fallback
  const digits = typeof value === 'string' ? value.trim().replaceAll('_', '') : ''
  return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(digits) ? Math.trunc(Number(digits)) : fallback
}

function grouped(value: Value, { attribute, default: fallback, case_sensitive }: Given, tools: Tools): Value {
  const keyOf = (item: Value): Value => {
    const key = path(attribute, tools)(item)
    return key instanceof Undefined && fallback !== undefined ? fallback : key
  }
  const fold = (key: Value): Value => typeof key === 'string' && !on(case_sensitive) ? key.toLowerCase() : key
  const groups: { key: Value; items: Value[] }[] = []
  for (const item of sorted(itemsOf(value), keyOf, false, on(case_sensitive))) {
    const last = groups.at(-1)
    if (last !== undefined && equal(fold(last.key), fold(keyOf(item)))) last.items.push(item)
    else groups.push({ key: keyOf(item), items: [item] })
  }
  return new List(groups.map(({ key, items }) => new Tuple([key, new List(items)])))
}

const list: Filter = filter([], (value) => new List([...itemsOf(value)]))
const length: Filter = filter([], (value) => lengthOf(value))
const fallbackFilter: Filter = filter(['default_value', 'boolean'], (value, { default_value = '', boolean }) => value instanceof Undefined || (on(boolean) && !isTrue(value)) ? default_value : value)

/** Jinja's filters, and `tojson` of transformers. What is not here is refused by name. */
export const filters: Readonly<Record<string, Filter>> = {
  abs: filter([], (value) => value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(numberOf(value) ?? fail(`bad operand type for abs(): '${typeName(value)}'`))),
  attr: filter(['name'], (value, { name }, { field }) => value instanceof Dict ? methodOf(value, textOf(name ?? '')) ?? new Undefined(textOf(name ?? '')) : field(value, name ?? '')),
  capitalize: text(capitalized), lower: text((value) => value.toLowerCase()), upper: text((value) => value.toUpperCase()), title: text(titled),
  count: length, length, d: fallbackFilter, default: fallbackFilter, list, safe: text((value) => value), string: text((value) => value),
  dictsort: filter(['case_sensitive', 'by', 'reverse'], (value, { case_sensitive, by = 'key', reverse }) => {
    if (!(value instanceof Dict)) return fail(`dictsort: expected a dict, got ${typeName(value)}`)
    return new List(sorted(Array.from(value.entries, (entry) => new Tuple(entry)), (entry) => itemsOf(entry)[by === 'value' ? 1 : 0] ?? null, on(reverse), on(case_sensitive)))
  }),
  first: filter([], (value) => firstOf(itemsOf(value), 'No first item, sequence was empty.')),
  last: filter([], (value) => firstOf(itemsOf(value).slice(-1), 'No last item, sequence was empty.')),
  float: filter(['default'], (value, { default: fallback = new Float(0) }) => {
    const number = numberOf(value) ?? (typeof value === 'string' && /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$/.test(value) ? Number(value) : undefined)
    return number === undefined ? fallback : new Float(number)
  }),
  groupby: filter(['attribute', 'default', 'case_sensitive'], grouped),
  indent: text(indented, 'width', 'first', 'blank'),
  int: filter(['default', 'base'], toInteger),
  items: filter([], (value) => value instanceof Undefined ? new View('generator', []) : value instanceof Dict ? new View('generator', Array.from(value.entries, (entry) => new Tuple(entry))) : fail('Can only get item pairs from a mapping.')),
  join: filter(['d', 'attribute'], (value, { d = '', attribute }, tools) => itemsOf(value).map((item) => textOf(path(attribute, tools)(item))).join(textOf(d))),
  map: filter(['*'], (value, { attribute, default: fallback, ...given }, tools) => {
    const args = Object.values(given).filter((each) => each !== undefined)
    if (attribute === undefined) {
      const name = args.shift() ?? fail('map requires a filter argument')
      return new View('generator', itemsOf(value).map((item) => tools.filter(textOf(name), item, args, new Map())))
    }
    return new View('generator', itemsOf(value).map((item) => {
      const found = path(attribute, tools)(item)
      return found instanceof Undefined && fallback !== undefined ? fallback : found
    }))
  }),
  max: extreme(-1), min: extreme(1),
  reject: selecting(false, false), rejectattr: selecting(false, true), select: selecting(true, false), selectattr: selecting(true, true),
  replace: text((value, { old, new: by, count }) => replaced(value, textOf(old ?? fail('replace: expected two texts')), textOf(by ?? fail('replace: expected two texts')), whole(count, -1)), 'old', 'new', 'count'),
  reverse: filter([], (value) => typeof value === 'string' ? Array.from(value).reverse().join('') : new View('generator', [...itemsOf(value)].reverse())),
  round: filter(['precision', 'method'], rounded),
  sort: filter(['reverse', 'case_sensitive', 'attribute'], (value, { reverse, case_sensitive, attribute }, tools) => {
    const keys = typeof attribute === 'string' ? attribute.split(',').map((each) => path(each, tools)) : [path(attribute, tools)]
    return new List(sorted(itemsOf(value), (item) => new List(keys.map((key) => key(item))), on(reverse), on(case_sensitive)))
  }),
  sum: filter(['attribute', 'start'], (value, { attribute, start = 0 }, tools) => {
    const items = itemsOf(value).map(path(attribute, tools))
    const total = items.reduce<number>((sum, item) => sum + (numberOf(item) ?? fail(`unsupported operand type(s) for +: 'int' and '${typeName(item)}'`)), whole(start, 0))
    return [...items, start].some((item) => item instanceof Float) ? new Float(total) : total
  }),
  tojson: filter(['ensure_ascii', 'indent', 'separators', 'sort_keys'], json),
  trim: filter(['chars'], (value, { chars }) => methodOf(textOf(value), 'strip')?.call(chars === undefined ? [] : [chars], new Map()) ?? ''),
  unique: filter(['case_sensitive', 'attribute'], (value, { case_sensitive, attribute }, tools) => {
    const fold = (item: Value): Value => {
      const key = path(attribute, tools)(item)
      return typeof key === 'string' && !on(case_sensitive) ? key.toLowerCase() : key
    }
    const seen: Value[] = []
    return new View('generator', itemsOf(value).filter((item) => {
      tools.charge(seen.length)
      const isNew = !seen.some((each) => equal(each, fold(item)))
      if (isNew) seen.push(fold(item))
      return isNew
    }))
  }),
  wordcount: text((value) => value.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
}

type Test = (value: Value, other: Value) => boolean

const number: Test = (value) => typeof value === 'number' || value instanceof Float || typeof value === 'boolean'
const same: Test = (value, other) => equal(value, other)
const ordered = (fits: (order: number) => boolean): Test => (value, other) => fits(compare(value, other))
const remainder: Test = (value, by) => (numberOf(value) ?? fail('expected a number')) % (numberOf(by) ?? fail('expected a number')) === 0

/** Jinja's tests. What is not here is refused by name. */
export const tests: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean', true: (value) => value === true, false: (value) => value === false,
  callable: (value) => value !== null && typeof value === 'object' && 'call' in value,
  defined: (value) => !(value instanceof Undefined), undefined: (value) => value instanceof Undefined, none: (value) => value === null,
  divisibleby: remainder, even: (value) => (noUndefined(value), remainder(value, 2)), odd: (value) => (noUndefined(value), !remainder(value, 2)),
  eq: same, equalto: same, '==': same, ne: (value, other) => !equal(value, other), '!=': (value, other) => !equal(value, other),
  sameas: (value, other) => value === other,
  gt: ordered((order) => order > 0), greaterthan: ordered((order) => order > 0), '>': ordered((order) => order > 0), ge: ordered((order) => order >= 0), '>=': ordered((order) => order >= 0),
  lt: ordered((order) => order < 0), lessthan: ordered((order) => order < 0), '<': ordered((order) => order < 0), le: ordered((order) => order <= 0), '<=': ordered((order) => order <= 0),
  in: (value, other) => itemsOf(other).some((each) => equal(each, value)) || (typeof value === 'string' && typeof other === 'string' && other.includes(value)),
  float: (value) => value instanceof Float, integer: (value) => typeof value === 'number', number,
  iterable: (value) => typeof value === 'string' || value instanceof List || value instanceof Tuple || value instanceof Dict || value instanceof Undefined,
  sequence: (value) => typeof value === 'string' || (value instanceof List && !(value instanceof View && value.kind !== 'range')) || value instanceof Tuple || value instanceof Dict || value instanceof Undefined,
  mapping: (value) => value instanceof Dict, string: (value) => typeof value === 'string',
  lower: (value) => textOf(value) !== textOf(value).toUpperCase() && textOf(value) === textOf(value).toLowerCase(),
  upper: (value) => textOf(value) !== textOf(value).toLowerCase() && textOf(value) === textOf(value).toUpperCase(),
  filter: (value) => Object.hasOwn(filters, textOf(value)), test: (value) => Object.hasOwn(tests, textOf(value)),
}

/** Arguments by the names of the filter; `*` takes as many as there are. */
export function given(name: string, names: readonly string[], args: readonly Value[], named: ReadonlyMap<string, Value>): Given {
  const out = Object.create(null) as Record<string, Value | undefined>
  const open = names[0] === '*'
  args.forEach((arg, i) => {
    const own = open ? ` ${i}` : names[i]
    out[own ?? fail(`${name} takes at most ${names.length} arguments, got ${args.length}`)] = arg
  })
  for (const [key, value] of named) {
    if (!open && !names.includes(key)) fail(`${name} got an unexpected keyword argument '${key}'`)
    out[key] = value
  }
  return out
}

