import * as tf from '@tensorflow/tfjs-core'
import type { Tensor4D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { rope, rotation } from '../../../src/base/ops/rope.ts'
import { largestDifference, valuesOf } from '../../golden.ts'
import { differentiate, numbers } from './forms.ts'

const FREQUENCIES = Float32Array.of(1, 0.3)
const POSITIONS = [0, 1, 5, 2, 0, 7]

it('turns the pairs of each head by position times frequency', () => {
  const x = numbers([2, 3, 2, 4], 1) as Tensor4D
  const y = tf.tidy(() => valuesOf(rope(x, rotation(tf.tensor1d(POSITIONS, 'int32'), 2, FREQUENCIES))))
  const given = valuesOf(x)
  const expected = given.map((_, i) => {
    const [row, pair] = [i - (i % 4), i % 2]
    const angle = (POSITIONS[Math.floor(i / 8)] ?? 0) * (FREQUENCIES[pair] ?? 0)
    const [a = 0, b = 0] = [given[row + pair], given[row + pair + 2]]
    return i % 4 < 2 ? a * Math.cos(angle) - b * Math.sin(angle) : b * Math.cos(angle) + a * Math.sin(angle)
  })
  expect(largestDifference(y, expected)).toBeLessThan(1e-6)
})

it('has the gradient of a rotation: turned back, it is what came', () => {
  const turn = rotation(tf.tensor1d(POSITIONS, 'int32'), 2, FREQUENCIES)
  const dy = numbers([2, 3, 2, 4], 2) as Tensor4D
  const { grads } = differentiate(({ x }) => rope(x, turn), { x: numbers([2, 3, 2, 4], 1) as Tensor4D }, dy)
  const back = tf.tidy(() => valuesOf(rope(tf.tensor4d(grads['x'] ?? [], [2, 3, 2, 4]), turn)))
  expect(largestDifference(back, valuesOf(dy))).toBeLessThan(1e-6)
})
