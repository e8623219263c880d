// Operations with one form: their gradients against tfjs's own, on odd sizes.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { add, meanTokens, prepend, reshape, scale, scaleColumns, timesMask, tokenAt, tokensFrom } from '../../../src/base/ops/algebra.ts'
import { convolve } from '../../../src/base/ops/convolution.ts'
import { crossEntropy } from '../../../src/base/ops/cross-entropy.ts'
import { distanceScores } from '../../../src/base/ops/distance-scores.ts'
import { dropout, dropoutMask } from '../../../src/base/ops/dropout.ts'
import { linear } from '../../../src/base/ops/linear.ts'
import { lookup } from '../../../src/base/ops/lookup.ts'
import { readGolden } from '../../golden.ts'
import { differentiate, differentiateByTfjs, expectClose, numbers, relativeDifference, type Named } from './forms.ts'

interface Case {
  readonly ours: (inputs: Record<string, Tensor>) => Tensor
  readonly plain: (inputs: Record<string, Tensor>) => Tensor
  readonly shapes: Readonly<Record<string, readonly number[]>>
}

/** The input of a name, of the rank it was made with. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- names the rank, which a record cannot
const at = <T extends Tensor>(inputs: Record<string, Tensor>, name: string): T => inputs[name] as T
const MASK = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
const IDS = [4, 0, 4, 2, 4]

/** Σ_d x[b, i, h, d] · rows[T − 1 − (i − j), h, d], each distance looked up by itself. */
function byDistance(x: Tensor4D, rows: Tensor2D): Tensor4D {
  const [B, T, H, D] = x.shape
  const ids = Int32Array.from({ length: T * T }, (_, at) => T - 1 - (Math.floor(at / T) - (at % T)))
  const each = tf.transpose(tf.reshape<Rank.R4>(tf.gather(rows, tf.tensor1d(ids, 'int32')), [T, T, H, D]), [2, 0, 1, 3])
  const products = tf.mul(tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [B, H, T, 1, D]), tf.reshape(each, [1, H, T, T, D]))
  return tf.mul(tf.sum(products, 4), 0.3)
}

const CASES: Readonly<Record<string, Case>> = {
  'linear, all trained': {
    ours: (i) => linear(at<Tensor2D>(i, 'x'), at<Tensor2D>(i, 'w'), at<Tensor1D>(i, 'b')),
    plain: (i) => tf.add(tf.matMul(at<Tensor2D>(i, 'x'), at<Tensor2D>(i, 'w'), false, true), at(i, 'b')),
    shapes: { x: [5, 3], w: [7, 3], b: [7] },
  },
  'linear of one row and column': {
    ours: (i) => linear(at<Tensor2D>(i, 'x'), at<Tensor2D>(i, 'w')),
    plain: (i) => tf.matMul(at<Tensor2D>(i, 'x'), at<Tensor2D>(i, 'w'), false, true),
    shapes: { x: [1, 1], w: [1, 1] },
  },
  'rows of a table, some taken more than once': {
    ours: (i) => lookup(at<Tensor2D>(i, 'table'), tf.tensor1d(IDS, 'int32')),
    plain: (i) => tf.gather(at(i, 'table'), tf.tensor1d(IDS, 'int32')),
    shapes: { table: [6, 3] },
  },
  'sum': { ours: (i) => add(at(i, 'a'), at(i, 'b')), plain: (i) => tf.add(at(i, 'a'), at(i, 'b')), shapes: { a: [3, 5], b: [3, 5] } },
  'scaling': { ours: (i) => scale(at(i, 'x'), -0.3), plain: (i) => tf.mul(at(i, 'x'), -0.3), shapes: { x: [3, 5] } },
  'scaling of columns': {
    ours: (i) => scaleColumns(at<Tensor2D>(i, 'x'), at<Tensor1D>(i, 'factor')),
    plain: (i) => tf.mul(at(i, 'x'), at(i, 'factor')),
    shapes: { x: [3, 5], factor: [5] },
  },
  'tokens without padding': {
    ours: (i) => timesMask(at<Tensor2D>(i, 'x'), tf.tensor2d(MASK)),
    plain: (i) => tf.mul(at(i, 'x'), tf.reshape(tf.tensor2d(MASK), [15, 1])),
    shapes: { x: [15, 4] },
  },
  'queries by the distance of keys': {
    ours: (i) => distanceScores(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows'), { scale: 0.3 }),
    plain: (i) => byDistance(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows')),
    shapes: { x: [2, 5, 3, 4], rows: [10, 12] },
  },
  'keys by the distance of queries': {
    ours: (i) => distanceScores(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows'), { scale: 0.3, keys: true }),
    plain: (i) => tf.transpose(byDistance(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows')), [0, 1, 3, 2]),
    shapes: { x: [2, 5, 3, 4], rows: [10, 12] },
  },
  'one token and its own distance': {
    ours: (i) => distanceScores(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows'), { scale: 0.3 }),
    plain: (i) => byDistance(at<Tensor4D>(i, 'x'), at<Tensor2D>(i, 'rows')),
    shapes: { x: [2, 1, 3, 4], rows: [2, 12] },
  },
  'a convolution over tokens': {
    ours: (i) => convolve(at<Tensor2D>(i, 'x'), 5, at<Tensor3D>(i, 'w'), at<Tensor1D>(i, 'b')),
    plain: (i) => {
      const y = tf.conv1d<Tensor3D>(tf.reshape<Rank.R3>(at(i, 'x'), [3, 5, 4]), tf.transpose(at<Tensor3D>(i, 'w'), [2, 1, 0]), 1, 'same')
      return tf.add(tf.reshape(y, [15, 6]), at(i, 'b'))
    },
    shapes: { x: [15, 4], w: [6, 4, 3], b: [6] },
  },
  'reshape': { ours: (i) => reshape(at(i, 'x'), [5, 6]), plain: (i) => tf.reshape(at(i, 'x'), [5, 6]), shapes: { x: [3, 10] } },
  'one token': {
    ours: (i) => tokenAt(at<Tensor3D>(i, 'x'), 2),
    plain: (i) => tf.squeeze(tf.slice(at(i, 'x'), [0, 2, 0], [3, 1, 4]), [1]),
    shapes: { x: [3, 5, 4] },
  },
  'the later tokens': {
    ours: (i) => tokensFrom(at<Tensor3D>(i, 'x'), 2),
    plain: (i) => tf.slice(at(i, 'x'), [0, 2, 0], [3, 3, 4]),
    shapes: { x: [3, 5, 4] },
  },
  'rows in front of every sample': {
    ours: (i) => prepend(at<Tensor2D>(i, 'rows'), at<Tensor3D>(i, 'x')),
    plain: (i) => tf.concat([tf.tile(tf.expandDims(at(i, 'rows'), 0), [3, 1, 1]), at<Tensor3D>(i, 'x')], 1),
    shapes: { rows: [2, 4], x: [3, 5, 4] },
  },
  'mean of the real tokens, none in one row': {
    ours: (i) => meanTokens(at<Tensor3D>(i, 'x'), tf.tensor2d(MASK)),
    plain: (i) => {
      const mask = tf.expandDims(tf.tensor2d(MASK), 2)
      return tf.div(tf.sum(tf.mul(at(i, 'x'), mask), 1), tf.maximum(tf.sum(mask, 1), 1))
    },
    shapes: { x: [3, 5, 4] },
  },
}

describe.each(Object.entries(CASES))('%s', (_, { ours, plain, shapes }) => {
  it('has the value and the gradients that tfjs gives', () => {
    tf.tidy(() => {
      const inputs: Named<Record<string, Tensor>> = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, tf.keep(numbers(shape, i))]))
      const dy = tf.keep(numbers(plain({ ...inputs }).shape, 9))
      expectClose(differentiate((i) => tf.tidy(() => ours({ ...i })), inputs, dy), differentiateByTfjs((i) => plain({ ...i }), inputs, dy), 2e-6)
      tf.dispose([dy, ...Object.values(inputs)])
    })
  })
})

describe('cross entropy', () => {
  it('has the true values and gradients, ignored rows and all', async () => {
    const golden = await readGolden('ops.safetensors')
    const cases = new Set(golden.names.filter((name) => name.startsWith('cross_entropy/')).map((name) => name.split('/')[1] ?? ''))
    expect(cases.size).toBeGreaterThan(0)
    for (const name of cases) {
      const key = `cross_entropy/${name}`
      const logits = tf.tensor2d(golden.numbers(`${key}/logits`) as Float32Array, golden.shape(`${key}/logits`) as [number, number])
      const labels = tf.tensor1d(golden.numbers(`${key}/labels`), 'int32')
      const { y, grads } = differentiate(({ x }: { x: Tensor }) => crossEntropy(x as Tensor2D, labels), { x: logits }, tf.scalar(1))
      expect(relativeDifference(y, golden.numbers(`${key}/loss`)), name).toBeLessThan(2e-6)
      expect(relativeDifference(grads['x'] ?? [], golden.numbers(`${key}/dlogits`)), name).toBeLessThan(2e-6)
    }
  })

  it('of rows that are all ignored is 0, without a gradient', () => {
    const { y, grads } = differentiate(
      ({ x }: { x: Tensor }) => crossEntropy(x as Tensor2D, tf.tensor1d([-100, -100], 'int32')),
      { x: numbers([2, 3], 0) },
      tf.scalar(1),
    )
    expect(Math.abs(y[0] ?? NaN)).toBe(0)
    expect(grads['x']?.every((g) => g === 0)).toBe(true)
  })
})

describe('dropout', () => {
  const mask = (seed: readonly [number, number], rate = 0.3): Float32Array =>
    tf.tidy(() => dropoutMask([100, 101], rate, seed).dataSync() as Float32Array)

  it('draws the same mask for the same seed, another for another', () => {
    expect(mask([1, 2])).toEqual(mask([1, 2]))
    expect(mask([1, 2])).not.toEqual(mask([1, 3]))
    expect(mask([1, 2])).not.toEqual(mask([2, 2]))
  })

  it('zeroes the given share and keeps the mean', () => {
    const values = mask([5, 6])
    const zeros = values.filter((value) => value === 0).length / values.length
    expect(Math.abs(zeros - 0.3)).toBeLessThan(0.02)
    expect(Math.abs(values.reduce((total, value) => total + value, 0) / values.length - 1)).toBeLessThan(0.03)
  })

  it('sends the gradient through the elements that were kept, without keeping the mask', () => {
    const x = tf.variable(numbers([9, 7], 1))
    const dy = numbers([9, 7], 2)
    const { y, grads } = differentiate(({ t }: { t: Tensor }) => dropout(t, 0.5, [3, 4]), { t: x }, dy)
    const [values, given] = [x.dataSync(), dy.dataSync()]
    y.forEach((value, i) => {
      const factor = value === 0 ? 0 : 2
      expect(value).toBeCloseTo(factor * (values[i] ?? NaN), 5)
      expect(grads['t']?.[i]).toBeCloseTo(factor * (given[i] ?? NaN), 5)
    })
    tf.dispose([x, dy])
  })
})
