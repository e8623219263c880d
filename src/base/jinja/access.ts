import { methodOf } from './methods.ts'
import { compare, contains, Dict, equal, fail, List, Namespace, noUndefined, numberOf, repr, textOf, Tuple, typeName, Undefined, View } from './values.ts'
import type { Value } from './values.ts'

/** Whether two values stand to each other as the operator says. */
export function holds(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case '==': return equal(left, right)
    case '!=': return !equal(left, right)
    case 'in': return contains(right, left)
    case 'not in': return !contains(right, left)
    case '<': return compare(left, right, operator) < 0
    case '<=': return compare(left, right, operator) <= 0
    case '>': return compare(left, right, operator) > 0
    default: return compare(left, right, operator) >= 0
  }
}

/** `value.name`: a method comes before an entry of that name. */
export function attributeOf(value: Value, name: string): Value {
  noUndefined(value)
  const found = value instanceof Namespace ? entryOf(value, name) : methodOf(value, name) ?? entryOf(value, name)
  return found === undefined ? new Undefined(`'${typeName(value)} object' has no attribute '${name}'`) : found
}

/** `value[key]`: an entry comes before a method of that name. */
export function fieldOf(value: Value, key: Value): Value {
  noUndefined(value)
  const entry = entryOf(value, key)
  const found = entry === undefined && typeof key === 'string' ? methodOf(value, key) : entry
  return found === undefined ? new Undefined(`'${typeName(value)} object' has no element ${repr(key)}`) : found
}

function entryOf(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) return value.entries.get(key)
  if (value instanceof Namespace) return typeof key === 'string' ? value.fields.get(key) : undefined
  if ((typeof key !== 'number' && typeof key !== 'boolean') || (value instanceof View && value.kind !== 'range')) return undefined
  if (typeof value === 'string') return Array.from(value).at(Number(key))
  return value instanceof List || value instanceof Tuple ? value.items.at(Number(key)) : undefined
}

/** `value[from:to:by]` */
export function sliceOf(value: Value, parts: readonly Value[]): Value {
  noUndefined(value)
  if (!(typeof value === 'string' || value instanceof List || value instanceof Tuple) || (value instanceof View && value.kind !== 'range')) return fail(`'${typeName(value)}' object cannot be sliced`)
  const items = typeof value === 'string' ? Array.from(value) : value.items
  const [from, to, by] = parts.map((part) => part === null ? undefined : numberOf(part) ?? fail('slice indices must be integers or None'))
  const step = by ?? 1
  if (step === 0) fail('slice step cannot be zero')
  const size = items.length
  const bound = (place: number | undefined, fallback: number): number => place === undefined ? fallback : Math.min(Math.max(place < 0 ? place + size : place, step < 0 ? -1 : 0), step < 0 ? size - 1 : size)
  const begin = bound(from, step < 0 ? size - 1 : 0)
  const end = bound(to, step < 0 ? -1 : size)
  const out: Value[] = []
  for (let i = begin; step < 0 ? i > end : i < end; i += step) out.push(items[i] ?? null)
  return typeof value === 'string' ? out.map(textOf).join('') : value instanceof Tuple ? new Tuple(out) : value instanceof View ? new View('range', out) : new List(out)
}
