import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { columns, columnsOf, headsOf } from '../../../src/base/ops/columns.ts'
import { differentiate, numbers } from './forms.ts'

it('takes columns, and gives their gradient to them alone', () => {
  const x = numbers([2, 4], 1) as Tensor2D
  const dy = numbers([2, 2], 2)
  const { y, grads } = differentiate((given) => columns(given.x, 1, 2), { x }, dy)
  const [given, [a, b, c, d]] = [x.dataSync(), dy.dataSync() as unknown as [number, number, number, number]]
  expect([...y]).toEqual([given[1], given[2], given[5], given[6]])
  expect([...(grads['x'] ?? [])]).toEqual([0, a, b, 0, 0, c, d, 0])
})

it('cuts columns into parts of several sizes, and gives the gradient of each to its own', () => {
  const x = numbers([2, 6], 1) as Tensor2D
  for (const [part, start, size] of [[0, 0, 3], [1, 3, 1], [2, 4, 2]] as const) {
    const dy = numbers([2, size], 2)
    const { y, grads } = differentiate((given) => columnsOf(given.x, [3, 1, 2])[part], { x }, dy)
    expect(y).toEqual(tf.slice(x, [0, start], [2, size]).dataSync())
    expect(grads['x']).toEqual(tf.pad(dy, [[0, 0], [start, 6 - start - size]]).dataSync())
  }
})

it('cuts columns into parts as heads, and gives the gradient of each to its own', () => {
  const x = numbers([6, 8], 1) as Tensor2D // 2 samples of 3 tokens, 2 parts of 2 heads of 2
  const dy = numbers([2, 3, 2, 2], 2)
  for (const part of [0, 1]) {
    const { y, grads } = differentiate((given) => headsOf(given.x, 2, [2, 3, 2, 2])[part] as tf.Tensor, { x }, dy)
    expect(y).toEqual(tf.slice(x, [0, 4 * part], [6, 4]).dataSync())
    expect(grads['x']).toEqual(tf.pad(tf.reshape(dy, [6, 4]), [[0, 0], [4 * part, 4 - 4 * part]]).dataSync())
  }
})
