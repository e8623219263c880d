import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { op, recomputed } from '../../src/base/autodiff/tape.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { reduction, type Reduction } from '../../src/training/reduction.ts'
import type { Workers } from '../../src/training/workers.ts'
import { together } from './together.ts'

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

const numbersOf = (tensor: tf.Tensor): Float32Array => tensor.dataSync<'float32'>()

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
    expect([...numbersOf(sums.scaled('a', 1)), ...numbersOf(sums.scaled('b', 1)), ...numbersOf(sums.scaled('c', 1)), ...words]).toEqual([2, 4, 6, 10, 12, 14])
  })

  it('stand in the same memory step after step, and nothing of a step is left in the next', async () => {
    const trainable = variables({ a: 2, b: 2 })
    const { workers, begun } = noted()
    const sums = reduction(workers, trainable, 1, 2)
    for (const [name, values] of Object.entries({ a: [1, 2], b: [3, 4] })) sums.add(name, tf.tensor1d(values))
    await sums.finish([5])
    sums.add('b', tf.tensor1d([6, 7]))
    await sums.finish([0])
    expect(begun).toEqual([[3, 4], [1, 2, 5], [6, 7], [0, 0, 0]])
    expect([...numbersOf(sums.scaled('b', 0.5))]).toEqual([6, 7])
  })

  it('are of zeros where a worker has no rows', async () => {
    const { workers, begun } = noted()
    await reduction(workers, variables({ a: 2, b: 2 }), 1, 2).finish([1])
    expect(begun).toEqual([[0, 0], [0, 0, 1]])
  })

  it('are in so many buckets that the most of them go while others are computed', async () => {
    const { workers, begun } = noted()
    const names = Array.from({ length: 64 }, (_, i) => `w${i}`)
    const sums = reduction(workers, variables(Object.fromEntries(names.map((name) => [name, 2 ** 13]))), 1)
    for (const name of names.reverse()) sums.add(name, tf.zeros([2 ** 13]))
    expect(begun.map(({ length }) => length)).toEqual(Array.from({ length: 7 }, () => 2 ** 16))
    await sums.finish([1])
    expect(begun).toHaveLength(8)
  })

  it('tell of a worker that is gone when they are waited for, and not before', async () => {
    const gone = new Error('worker 1 has ended')
    const sums = reduction({ rank: 0, count: 2, sum: () => Promise.reject(gone) }, variables({ a: 1 }), 3)
    sums.add('a', tf.scalar(1))
    await new Promise((done) => setTimeout(done, 5))
    await expect(sums.finish([0, 0, 0])).rejects.toBe(gone)
  })
})

describe('the sums of a table\'s gradient', () => {
  const [ROWS, COLUMNS] = [2 ** 15, 32]
  /** A table of zeros but for these rows, each of one number. */
  const tableWith = (rows: Readonly<Record<number, number>>): tf.Tensor2D => tf.tidy(() =>
    tf.scatterND(tf.tensor2d(Object.keys(rows).map(Number), [Object.keys(rows).length, 1], 'int32'), tf.mul(tf.fill([Object.keys(rows).length, COLUMNS], 1), tf.tensor2d(Object.values(rows), [Object.keys(rows).length, 1])), [ROWS, COLUMNS]))

  it('are those of its rows that some worker has something for, and of no others', async () => {
    const sizes: number[][] = [[], []]
    const trainable = { table: tf.variable(tf.zeros([ROWS, COLUMNS])), bias: tf.variable(tf.zeros([3])) }
    const own = [tableWith({ 5: 1, 7: 2 }), tableWith({ 7: 10, 30_000: -1 })]
    const before = tf.memory().numTensors
    const sums = together(2).map((worker, i) => reduction({ ...worker, sum: (numbers) => {
      sizes[i]?.push(numbers.length)
      return worker.sum(numbers)
    } }, trainable, 1))
    for (let step = 0; step < 2; step++) {
      sums.forEach((each, i) => {
        each.add('bias', tf.ones([3]))
        each.add('table', own[i] as tf.Tensor)
      })
      expect(await Promise.all(sums.map((each) => each.finish([1])))).toEqual([Float32Array.of(2), Float32Array.of(2)])
      for (const each of sums) {
        const table = each.scaled('table', 0.5)
        expect(tf.tidy(() => tf.max(tf.abs(tf.sub(table, tableWith({ 5: 0.5, 7: 6, 30_000: -0.5 })))).dataSync()[0])).toBe(0)
        table.dispose()
      }
    }
    expect(sizes[0]).toEqual([3 + ROWS + 1, 3 * COLUMNS, 3 + ROWS + 1, 3 * COLUMNS])
    expect(sizes[1]).toEqual(sizes[0])
    expect(tf.memory().numTensors - before).toBe(4) // the ones of the biases
    tf.dispose([trainable, own])
  })

  it('are of zeros where a worker has no rows of the data, or none has any', async () => {
    const trainable = { table: tf.variable(tf.zeros([ROWS, COLUMNS])) }
    const [first, second] = together(2).map((workers) => reduction(workers, trainable, 1))
    first?.add('table', tableWith({ 9: 4 }))
    await Promise.all([first?.finish([1]), second?.finish([0])])
    expect(numbersOf((second as Reduction).scaled('table', 1))[9 * COLUMNS]).toBe(4)
    await Promise.all([first?.finish([1]), second?.finish([0])])
    expect(tf.tidy(() => tf.max(tf.abs((first as Reduction).scaled('table', 1))).dataSync()[0])).toBe(0)
    tf.dispose(trainable)
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
