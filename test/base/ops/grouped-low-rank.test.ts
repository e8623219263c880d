import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { groupedLowRank, stackOfA, stackOfB } from '../../../src/base/ops/grouped-low-rank.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers } from './forms.ts'

interface Inputs {
  readonly x: Tensor
  readonly a: Tensor
  readonly b: Tensor
  readonly y: Tensor
}

const SCALE = 1.75

/** Experts of rows, ascending. */
const expertsOf = (counts: readonly number[]): Tensor1D => tf.tensor1d(counts.flatMap((count, e) => new Array<number>(count).fill(e)), 'int32')

const ours = (experts: Tensor1D, count: number) => ({ x, a, b, y }: Inputs): Tensor =>
  groupedLowRank({ rows: x as Tensor2D, experts }, { a: a as Tensor2D, b: b as Tensor2D, count, scale: SCALE }, y as Tensor2D)

/** Expert by expert, of rows that are zeros where they are another's. */
const plain = (experts: Tensor1D, count: number) => ({ x, a, b, y }: Inputs): Tensor => {
  const [all, out] = [a.shape[0], b.shape[0]]
  const [as, bs] = [tf.reshape(a, [count, all / count, -1]), tf.transpose(tf.reshape(b, [out, all / count, count]), [2, 0, 1])]
  return Array.from({ length: count }, (_, e) => {
    const own = tf.mul(x, tf.expandDims(tf.cast(tf.equal(experts, e), 'float32'), 1))
    return tf.mul(tf.matMul(tf.matMul(own, tf.gather(as, e), false, true), tf.gather(bs, e), false, true), SCALE)
  }).reduce<Tensor>((sum, part) => tf.add(sum, part), y)
}

function inputs(N: number, size: number, out: number, all: number): Inputs {
  return { x: numbers([N, size], 1), a: numbers([all, size], 2), b: numbers([out, all], 3), y: numbers([N, out], 4) }
}

eachForm('low-rank updates of experts', (form) => {
  it.each([
    { counts: [1], size: 1, out: 1, rank: 1 },
    { counts: [3, 0, 1, 25], size: 17, out: 33, rank: 3 },
    { counts: [0, 0, 40, 0], size: 32, out: 48, rank: 8 },
    { counts: [33, 31, 0, 7, 64], size: 65, out: 20, rank: 16 },
    { counts: [530, 2], size: 48, out: 65, rank: 8 }, // sums of more than one part
  ])('agree with tfjs, expert by expert, gradients included: %o', ({ counts, size, out, rank }) => {
    const [experts, count] = [expertsOf(counts), counts.length]
    const [given, dy] = [inputs(experts.size, size, out, rank * count), numbers([experts.size, out], 5)]
    expectClose(differentiate(ours(experts, count), given, dy), differentiateByTfjs(plain(experts, count), given, dy), 3e-6)
  })

  it.each(['x', 'a', 'b', 'y'] as const)('of which %s alone is trained give it the same gradient', (name) => {
    const experts = expertsOf([5, 0, 14])
    const [given, dy] = [inputs(19, 33, 20, 12), numbers([19, 20], 5)]
    expectClose(differentiate(ours(experts, 3), given, dy, [name]), differentiate(ours(experts, 3), given, dy), 2e-6)
  })

  it.runIf(form !== 'composed')('of experts that do not fit are an error', () => {
    const given = inputs(4, 5, 3, 6)
    expect(() => ours(expertsOf([1, 3]), 4)(given)).toThrow('GroupedLowRank: expected a rank for each of 4 experts, got 6 in all')
    expect(() => ours(expertsOf([1, 1]), 2)(given)).toThrow('GroupedLowRank: expected 4 experts, one for each row, got 2')
    expect(() => ours(tf.tensor1d([0, 1, 0, 1], 'int32'), 2)(given)).toThrow('expected rows in the order of their experts')
  })
})

it('stacks the pairs as HF PEFT lays them out: of B, the first columns of all experts come first', () => {
  expect(stackOfA(tf.tensor2d([0, 1, 2, 3, 4, 5, 6, 7], [4, 2]), 2).arraySync()).toEqual([[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
  expect(stackOfB(tf.tensor2d([0, 1, 2, 3, 4, 5, 6, 7], [2, 4]), 2).arraySync()).toEqual([[[0, 2], [4, 6]], [[1, 3], [5, 7]]])
})
