import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { op, recomputed } from '../../src/base/autodiff/tape.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { reduction } from '../../src/training/reduction.ts'
import type { Workers } from '../../src/training/workers.ts'

beforeAll(async () => { await loadEngine() })

/** Notes the numbers of each sum as it begins; the other worker has the same. */
function noted(): { readonly workers: Workers; readonly begun: (readonly number[])[] } {
  const begun: (readonly number[])[] = []
  return { begun, workers: { rank: 0, count: 2, sum: (numbers) => {
    begun.push([...numbers])
    numbers.forEach((value, i) => { numbers[i] = 2 * value })
    return Promise.resolve()
  } } }
}

const variables = (sizes: Readonly<Record<string, number>>): Record<string, tf.Variable> =>
  Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, tf.variable(tf.zeros([size]))]))

describe('the sums of a step\'s gradients', () => {
  it('begin bucket by bucket, the last tensors first, in one order whatever comes first; the last one brings the words', async () => {
    const trainable = variables({ a: 2, b: 1, c: 2 })
    const { workers, begun } = noted()
    const sums = reduction(workers, trainable, 1, 3)
    sums.add('a', tf.tensor1d([1, 2]))
    expect(begun).toEqual([])
    sums.add('c', tf.tensor1d([5, 6]))
    expect(begun).toEqual([])
    sums.add('b', tf.tensor1d([3]))
    expect(begun).toEqual([[5, 6, 3]])
    const words = await sums.finish([7])
    expect(begun[1]).toEqual([1, 2, 7])
    expect([...sums.sumsOf('a'), ...sums.sumsOf('b'), ...sums.sumsOf('c'), ...words]).toEqual([2, 4, 6, 10, 12, 14])
  })

  it('are of zeros where a worker has no rows', async () => {
    const { workers, begun } = noted()
    await reduction(workers, variables({ a: 2, b: 2 }), 1, 2).finish([1])
    expect(begun).toEqual([[0, 0], [0, 0, 1]])
  })

  it('tell of a worker that is gone when they are waited for, and not before', async () => {
    const gone = new Error('worker 1 has ended')
    const sums = reduction({ rank: 0, count: 2, sum: () => Promise.reject(gone) }, variables({ a: 1 }), 3)
    sums.add('a', tf.scalar(1))
    await new Promise((done) => setTimeout(done, 5))
    await expect(sums.finish([0, 0, 0])).rejects.toBe(gone)
  })
})

describe('a walk back', () => {
  const weights = (): Record<'first' | 'twice' | 'last', tf.Variable> => ({
    first: tf.variable(tf.scalar(2)), twice: tf.variable(tf.scalar(3)), last: tf.variable(tf.scalar(5)),
  })
  const times = (x: tf.Tensor, w: tf.Tensor): tf.Scalar =>
    op([x, w], (save) => { save(x, w); return tf.mul(x, w) }, (dy, [left, right]) => [tf.mul(dy, right as tf.Tensor), tf.mul(dy, left as tf.Tensor)])

  it('tells of a gradient when nothing more adds to it', () => {
    const trained = weights()
    const told: [string, number][] = []
    const loss = (): tf.Scalar => times(times(times(times(tf.scalar(7), trained.first), trained.twice), trained.last), trained.twice)
    const { grads } = valueAndGrads(loss, trained, new Set(), (name, gradient) => told.push([name, gradient.dataSync()[0] ?? NaN]))
    expect(told).toEqual([['last', 7 * 2 * 3 * 3], ['twice', 2 * 7 * 2 * 3 * 5], ['first', 7 * 3 * 5 * 3]])
    expect(Object.keys(grads).sort()).toEqual(['first', 'last', 'twice'])
    tf.dispose(grads)
  })

  it('tells of none where pieces are run again, which may add to any', () => {
    const trained = weights()
    const told: string[] = []
    const loss = (): tf.Scalar => recomputed(times(tf.scalar(7), trained.first), (y) => times(times(y, trained.twice), trained.last), [])
    const { grads } = valueAndGrads(loss, trained, new Set(), (name) => told.push(name))
    expect(told).toEqual([])
    tf.dispose(grads)
  })
})
