import fc from 'fast-check'
import { expect, it } from 'vitest'
import { randomStream } from '../../src/base/random.ts'
import { combineValues } from '../../src/manage/rules.ts'

const draw = (part: number): ReturnType<typeof randomStream> => randomStream(0, part)

it('pruning by magnitude keeps the largest, of equal ones the first, and at least one', () => {
  const float = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1, -1, 1.5))
  fc.assert(fc.property(fc.array(float, { minLength: 1, maxLength: 40 }), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (numbers, density) => {
    const values = Float32Array.from(numbers)
    const count = Math.max(1, Math.floor(density * values.length))
    const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b] ?? NaN) - Math.abs(values[a] ?? NaN)) // stable
    const kept = new Set(order.slice(0, count))
    const expected = values.map((value, at) => (kept.has(at) ? value : 0))
    const pruned = combineValues([values], [1], { prune: 'magnitude', combine: 'sum' }, density, draw)
    expect([...pruned].map((value) => value + 0)).toEqual([...expected].map((value) => value + 0)) // −0 counts as 0
  }))
})

it('prunes a part of a longer array alone', () => {
  const whole = Float32Array.of(9, 9, 1, -3, 2, 9)
  expect(combineValues([whole.subarray(2, 5)], [1], { prune: 'magnitude', combine: 'sum' }, 0.4, draw)).toEqual(Float32Array.of(0, -3, 0))
})

it('weighted agreement elects by the weights and divides by them, plain agreement by the number', () => {
  const parts = [Float32Array.of(1), Float32Array.of(-2), Float32Array.of(0)]
  const combined = (combine: 'agreeing' | 'agreeing-weighted'): number => combineValues(parts, [3, 1, 5], { prune: 'none', combine }, 1, draw)[0] ?? NaN
  expect(combined('agreeing')).toBe(-2) // 1 − 2 elects the minus; −2 · 1 over one part
  expect(combined('agreeing-weighted')).toBe(1) // 3 − 2 elects the plus; 1 · 3 over the weight 3
})
