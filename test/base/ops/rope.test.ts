import * as tf from '@tensorflow/tfjs-core'
import type { Tensor4D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { rope, rotation } from '../../../src/base/ops/rope.ts'
import { largestDifference, valuesOf } from '../../golden.ts'
import { differentiate, eachForm, numbers } from './forms.ts'

const POSITIONS = [0, 1, 5, 2, 0, 7]

eachForm('rotary position embedding', (form) => {
  it.each([1, 2, 9, 16, 33])('turns the %i pairs of each head by position times frequency', (half) => {
    const D = 2 * half
    const frequencies = Float32Array.from({ length: half }, (_, i) => 1 / (1 + i))
    const x = numbers([2, 3, 2, D], 1) as Tensor4D
    const y = tf.tidy(() => valuesOf(rope(x, rotation(tf.tensor1d(POSITIONS, 'int32'), 2, frequencies))))
    const given = valuesOf(x)
    const expected = given.map((_, i) => {
      const [row, pair] = [i - (i % D), i % half]
      const angle = Math.fround((POSITIONS[Math.floor(i / (2 * D))] ?? 0) * (frequencies[pair] ?? 0))
      const [a = 0, b = 0] = [given[row + pair], given[row + pair + half]]
      return i % D < half ? a * Math.cos(angle) - b * Math.sin(angle) : b * Math.cos(angle) + a * Math.sin(angle)
    })
    expect(largestDifference(y, expected)).toBeLessThan(1e-6)
  })

  it('has the gradient of a rotation: turned again, it is what came', () => {
    const turn = rotation(tf.tensor1d(POSITIONS, 'int32'), 2, Float32Array.of(1, 0.3, 0.1))
    const dy = numbers([2, 3, 2, 6], 2) as Tensor4D
    const { grads } = differentiate(({ x }) => rope(x, turn), { x: numbers([2, 3, 2, 6], 1) as Tensor4D }, dy)
    const again = tf.tidy(() => valuesOf(rope(tf.tensor4d(grads['x'] ?? [], [2, 3, 2, 6]), turn)))
    expect(largestDifference(again, valuesOf(dy))).toBeLessThan(1e-6)
  })

  it('turns the first numbers of a head alone where there are frequencies for these', () => {
    const turn = rotation(tf.tensor1d(POSITIONS, 'int32'), 2, Float32Array.of(1, 0.3))
    const part = (x: Tensor4D, from: number, to: number): Tensor4D => tf.slice(x, [0, 0, 0, from], [2, 3, 2, to - from])
    const [x, dy] = [numbers([2, 3, 2, 7], 1) as Tensor4D, numbers([2, 3, 2, 7], 2) as Tensor4D]
    const { y, grads } = differentiate((given) => rope(given.x, turn), { x }, dy)
    const head = differentiate((given) => rope(given.x, turn), { x: part(x, 0, 4) }, part(dy, 0, 4))
    const whole = (first: ArrayLike<number>, rest: Tensor4D): Float32Array => valuesOf(tf.concat([tf.tensor4d(Float32Array.from(first), [2, 3, 2, 4]), part(rest, 4, 7)], 3))
    expect(largestDifference(y, whole(head.y, x))).toBeLessThan(1e-6)
    expect(largestDifference(grads['x'] ?? [], whole(head.grads['x'] ?? [], dy))).toBeLessThan(1e-6)
  })

  it.runIf(form !== 'composed')('of another number of tokens or of more than a head has is an error', () => {
    const turn = rotation(tf.tensor1d([0, 1], 'int32'), 1, Float32Array.of(1, 0.5))
    expect(() => rope(numbers([1, 3, 1, 4], 1) as Tensor4D, turn)).toThrow('Rope: expected 6 elements in cos, got 4')
    expect(() => rope(numbers([1, 2, 1, 2], 1) as Tensor4D, turn)).toThrow('Rope: expected 2 elements in cos, got 4')
  })
})
