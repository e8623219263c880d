/**
 * Python's values. Whole numbers are JavaScript's, so that a number of a message is whole where JavaScript cannot tell
 * it from one; a dict keeps its order.
 */
export type Value = null | boolean | number | string | Float | List | Tuple | Dict | Namespace | Undefined | Callable

export class Float {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

export class List {
  readonly items: Value[]

  constructor(items: Value[]) {
    this.items = items
  }
}

/** What Python makes without making a list: a dict's keys, values or entries, a range, what a filter lets through. */
export class View extends List {
  readonly kind: 'dict_keys' | 'dict_values' | 'dict_items' | 'range' | 'generator'

  constructor(kind: View['kind'], items: Value[]) {
    super(items)
    this.kind = kind
  }

  /** The items, which a generator gives once. */
  take(): readonly Value[] {
    return this.kind === 'generator' ? this.items.splice(0) : this.items
  }
}

export class Tuple {
  readonly items: Value[]

  constructor(items: Value[]) {
    this.items = items
  }
}

export class Dict {
  readonly entries: Map<Value, Value>

  constructor(entries: Map<Value, Value>) {
    this.entries = entries
  }
}

/** What `namespace()` gives: fields that a template may set. */
export class Namespace {
  readonly fields: Map<string, Value>

  constructor(fields: Map<string, Value>) {
    this.fields = fields
  }
}

/** A name or a field that is not there; `hint` is the error of using it. */
export class Undefined {
  readonly hint: string

  constructor(hint: string) {
    this.hint = hint
  }
}

export class Callable {
  readonly name: string
  readonly call: (args: readonly Value[], named: ReadonlyMap<string, Value>) => Value

  constructor(name: string, call: (args: readonly Value[], named: ReadonlyMap<string, Value>) => Value) {
    this.name = name
    this.call = call
  }
}


/** An error of the template's or the messages' making. */
export class TemplateError extends Error {}

export function fail(message: string): never {
  throw new TemplateError(message)
}

/** JavaScript's values as Python's; what a JSON file cannot hold is refused. */
export function valueOf(input: unknown): Value {
  if (input === null || typeof input === 'boolean' || typeof input === 'string') return input
  if (typeof input === 'number') return Number.isSafeInteger(input) ? input : new Float(input)
  if (Array.isArray(input)) return new List(input.map(valueOf))
  if (typeof input === 'object') return new Dict(new Map(Object.entries(input).filter(([, value]) => value !== undefined).map(([key, value]) => [key, valueOf(value)])))
  return fail(`a ${typeof input} cannot be given to a template`)
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return 'int'
  if (typeof value === 'string') return 'str'
  if (value instanceof Callable) return 'function'
  if (value instanceof View) return value.kind
  return value instanceof Float ? 'float' : value.constructor.name.toLowerCase()
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false
  if (typeof value === 'boolean') return value
  if (typeof value === 'number') return value !== 0
  if (typeof value === 'string') return value !== ''
  if (value instanceof Float) return value.value !== 0
  if (value instanceof View && value.kind === 'generator') return true
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0
  return value instanceof Dict ? value.entries.size > 0 : true
}

/** A number for arithmetic; true and false are 1 and 0. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  return value instanceof Float ? value.value : undefined
}

export function equal(a: Value, b: Value): boolean {
  const [x, y] = [numberOf(a), numberOf(b)]
  if (x !== undefined && y !== undefined) return x === y
  if (a instanceof View !== b instanceof View) return false
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    return a.items.length === b.items.length && a.items.every((item, i) => equal(item, b.items[i] ?? null))
  }
  if (a instanceof Dict && b instanceof Dict) {
    return a.entries.size === b.entries.size && [...a.entries].every(([key, value]) => b.entries.has(key) && equal(value, b.entries.get(key) ?? null))
  }
  return (a instanceof Undefined && b instanceof Undefined) || a === b
}

/** Below, at or above zero as a stands to b. Texts are compared by their characters' numbers. */
export function compare(a: Value, b: Value, operator = '<'): number {
  const [x, y] = [numberOf(a), numberOf(b)]
  if (x !== undefined && y !== undefined) return x - y
  if (typeof a === 'string' && typeof b === 'string') {
    const [left, right] = [Array.from(a), Array.from(b)]
    for (const [i, character] of left.entries()) {
      const difference = (character.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? -1)
      if (difference !== 0) return difference
    }
    return left.length - right.length
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    for (const [i, item] of a.items.entries()) {
      const other = b.items[i]
      if (other === undefined) return 1
      if (!equal(item, other)) return compare(item, other, operator)
    }
    return a.items.length - b.items.length
  }
  noUndefined(a, b)
  return fail(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
}

/** What is not there may be printed, looped over and asked for its truth, nothing else. */
export function noUndefined(...values: readonly Value[]): void {
  for (const value of values) if (value instanceof Undefined) fail(value.hint)
}

/** The items a loop goes over. */
export function itemsOf(value: Value): readonly Value[] {
  if (value instanceof View) return value.take()
  if (value instanceof List || value instanceof Tuple) return value.items
  if (value instanceof Dict) return [...value.entries.keys()]
  if (typeof value === 'string') return Array.from(value)
  return value instanceof Undefined ? [] : fail(`'${typeName(value)}' object is not iterable`)
}

export function lengthOf(value: Value): number {
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value instanceof Float || value instanceof Callable || value instanceof Namespace || (value instanceof View && value.kind === 'generator')) fail(`object of type '${typeName(value)}' has no len()`)
  return itemsOf(value).length
}

export function contains(container: Value, item: Value): boolean {
  if (typeof container === 'string') return typeof item === 'string' ? container.includes(item) : fail(`'in <string>' requires string as left operand, not ${typeName(item)}`)
  if (container instanceof Dict) return container.entries.has(item)
  if (container === null || numberOf(container) !== undefined) fail(`argument of type '${typeName(container)}' is not iterable`)
  return itemsOf(container).some((each) => equal(each, item))
}

/** `str(value)` */
export function textOf(value: Value): string {
  if (typeof value === 'string') return value
  return value instanceof Undefined ? '' : repr(value)
}

/** `repr(value)` */
export function repr(value: Value): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return quoted(value)
  if (value instanceof Float) return floatText(value.value)
  if (value instanceof View) return value.kind === 'range' || value.kind === 'generator' ? fail(`a ${value.kind} cannot be printed; put |list behind it`) : `${value.kind}([${value.items.map(repr).join(', ')}])`
  if (value instanceof List) return `[${value.items.map(repr).join(', ')}]`
  if (value instanceof Tuple) return value.items.length === 1 ? `(${value.items.map(repr).join('')},)` : `(${value.items.map(repr).join(', ')})`
  if (value instanceof Dict) return `{${[...value.entries].map(([key, each]) => `${repr(key)}: ${repr(each)}`).join(', ')}}`
  if (value instanceof Namespace) return `<Namespace {${[...value.fields].map(([key, each]) => `${quoted(key)}: ${repr(each)}`).join(', ')}}>`
  return value instanceof Undefined ? 'Undefined' : fail(`${value.name} cannot be printed, only called`)
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const inner = text.replace(/[\\'"\p{C}\p{Z}]/gu, (character) => {
    if (character === ' ') return character
    if (character === '\\' || character === quote) return `\\${character}`
    if (character === "'" || character === '"') return character
    const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character]
    const code = character.codePointAt(0) ?? 0
    return short ?? (code < 0x100 ? `\\x${hex(code, 2)}` : code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`)
  })
  return `${quote}${inner}${quote}`
}

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0')

/** The shortest digits that give the number again, written as Python does. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (value !== 0 && (power < -4 || power >= 16)) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  const plain = Object.is(value, -0) ? '-0' : power < 0 ? value.toFixed(Math.max(0, digits.replace(/[-.]/g, '').length - 1 - power)) : String(value)
  return plain.includes('.') ? plain : `${plain}.0`
}
