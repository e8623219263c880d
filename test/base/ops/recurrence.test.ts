// The pieces of a gated DeltaNet.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { timesMask } from '../../../src/base/ops/algebra.ts'
import { causalConvolution } from '../../../src/base/ops/causal-convolution.ts'
import { gatedDelta, gatedDeltaFrom, type DeltaCall } from '../../../src/base/ops/gated-delta.ts'
import { logDecay } from '../../../src/base/ops/log-decay.ts'
import { inOrder, paddingFirst } from '../../../src/base/ops/padding.ts'
import { largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { differentiate, numbers, relativeDifference } from './forms.ts'

const golden = await readGolden('recurrence.safetensors')
const tensorOf = (name: string): Tensor => tf.tensor(golden.numbers(name).slice(), [...golden.shape(name)])
const record = (place: string, names: readonly string[]): Readonly<Record<string, Tensor>> => Object.fromEntries(names.map((name) => [name, tensorOf(`${place}/${name}`)]))

function expectExact(place: string, names: readonly string[], f: (given: Readonly<Record<string, Tensor>>) => Tensor): void {
  const inputs = record(place, names)
  const { y, grads } = differentiate(f, inputs, tensorOf(`${place}/dy`))
  expect(relativeDifference(y, golden.numbers(`${place}/y`)), 'y').toBeLessThan(1e-5)
  for (const name of names) expect(relativeDifference(grads[name] ?? [], golden.numbers(`${place}/d${name}`)), name).toBeLessThan(1e-5)
}

const DELTA = ['q', 'k', 'v', 'decay', 'rate']

it.each(['one', 'few', 'chunks', 'alike'])('the gated delta rule has the values and gradients of float64, in chunks, with equal keys too: %s', (name) => {
  expectExact(`delta/${name}`, DELTA, (given) => gatedDelta(given as unknown as DeltaCall))
})

it('the gated delta rule goes on from the memory that earlier tokens left', () => {
  const given = record('delta/few', DELTA) as unknown as Readonly<Record<keyof DeltaCall, Tensor4D>>
  const part = (start: number, size: number): DeltaCall => Object.fromEntries(Object.entries(given).map(([name, x]) => [name, tf.slice(x, [0, start, 0, 0], [-1, size, -1, -1])])) as unknown as DeltaCall
  const whole = tf.tidy(() => {
    const first = gatedDeltaFrom(part(0, 4))
    return valuesOf(tf.concat([first.y, gatedDeltaFrom(part(4, 3), first.memory).y], 1))
  })
  expect(relativeDifference(whole, golden.numbers('delta/few/y'))).toBeLessThan(1e-5)
})

it('the convolution sees a token and those before it, with the gradients of float64', () => {
  const before = tensorOf('convolution/before') as Tensor3D
  expectExact('convolution', ['x', 'weight'], (given) => causalConvolution(given['x'] as Tensor3D, given['weight'] as Tensor3D, before))
})

it('the logarithm of the decay has the gradients of float64', () => {
  expectExact('decay', ['x', 'log', 'bias'], (given) => logDecay(given['x'] as Tensor2D, given['log'] as Tensor1D, given['bias'] as Tensor1D))
})

it('padding becomes 0 and goes before the tokens of its row, and gradients go back the same way', () => {
  const mask = tf.tensor2d([1, 0, 0, 1, 1, 0, 1, 1, 1], [3, 3])
  const [x, dy] = [tf.reshape<tf.Rank.R2>(tf.range(1, 10), [9, 1]), numbers([9, 1], 2)]
  const there = (rows: Tensor): Tensor => inOrder(timesMask(rows as Tensor2D, mask), paddingFirst(mask))
  const { y, grads } = differentiate((given) => there(given.x), { x }, dy)
  expect([...y]).toEqual([0, 0, 1, 0, 4, 5, 7, 8, 9])
  const given = dy.dataSync()
  expect(largestDifference(grads['x'] ?? [], [2, -1, -1, 4, 5, -1, 6, 7, 8].map((row) => given[row] ?? 0))).toBe(0)
  const order = paddingFirst(mask)
  expect(largestDifference(valuesOf(inOrder(inOrder(x, order), { from: order.to, to: order.from })), valuesOf(x))).toBe(0)
})
