import { fail, Float, List, noUndefined, numberOf, textOf, Tuple, typeName } from './values.ts'
import type { Value } from './values.ts'

/** Operators between two values that give a third, as Python has them. */
export function arithmetic(operator: string, left: Value, right: Value, charge: (size: number) => void): Value {
  if (operator === '~') return textOf(left) + textOf(right)
  noUndefined(left, right)
  const [a, b] = [numberOf(left), numberOf(right)]
  if (a !== undefined && b !== undefined) return numeric(operator, a, b, left instanceof Float || right instanceof Float)
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right
    if (left instanceof List && right instanceof List) return new List(joined(left, right, charge))
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple(joined(left, right, charge))
  }
  if (operator === '*') {
    const [what, times] = a === undefined ? [left, b] : [right, a]
    if (times !== undefined && !(left instanceof Float) && !(right instanceof Float)) return repeated(what, Math.max(0, times), charge)
  }
  if (operator === '%' && typeof left === 'string') return fail('% with a text on its left is not supported; use ~')
  return fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`)
}

function joined(left: List | Tuple, right: List | Tuple, charge: (size: number) => void): Value[] {
  charge(left.items.length + right.items.length)
  return [...left.items, ...right.items]
}

function repeated(value: Value, times: number, charge: (size: number) => void): Value {
  if (typeof value === 'string') {
    charge(value.length * times / 16)
    return value.repeat(times)
  }
  if (!(value instanceof List || value instanceof Tuple)) return fail(`can't multiply sequence by non-int of type '${typeName(value)}'`)
  charge(value.items.length * times)
  const items = Array.from({ length: times }, () => value.items).flat()
  return value instanceof List ? new List(items) : new Tuple(items)
}

function numeric(operator: string, a: number, b: number, float: boolean): Value {
  if (b === 0 && ['/', '//', '%'].includes(operator)) fail('division by zero')
  if (operator === '/') return new Float(a / b)
  const floor = Math.floor(a / b)
  const results: Readonly<Record<string, number>> = { '+': a + b, '-': a - b, '*': a * b, '//': floor, '%': a - floor * b, '**': a ** b }
  const result = results[operator] ?? fail(`the operator ${operator} is not supported`)
  if (float || (operator === '**' && b < 0)) return new Float(result)
  return Number.isSafeInteger(result) ? result + 0 : fail(`${a} ${operator} ${b} is larger than a template can count here`)
}
