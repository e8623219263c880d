import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { lowRank } from '../../../src/base/ops/low-rank.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers } from './forms.ts'

interface Inputs {
  readonly x: Tensor
  readonly a: Tensor
  readonly b: Tensor
  readonly y: Tensor
}

const SCALE = 1.75

const ours = ({ x, a, b, y }: Inputs): Tensor => lowRank(x as Tensor2D, a as Tensor2D, b as Tensor2D, SCALE, y as Tensor2D)
const update = ({ x, a, b }: Inputs): Tensor => lowRank(x as Tensor2D, a as Tensor2D, b as Tensor2D, SCALE)
const plain = ({ x, a, b }: Inputs): Tensor => tf.mul(tf.matMul(tf.matMul(x, a, false, true), b, false, true), SCALE)

function inputs(N: number, size: number, out: number, rank: number): Inputs {
  return { x: numbers([N, size], 1), a: numbers([rank, size], 2), b: numbers([out, rank], 3), y: numbers([N, out], 4) }
}

eachForm('a low-rank update', (form) => {
  it.each([
    [1, 1, 1, 1],
    [1, 32, 48, 8],
    [7, 17, 33, 3],
    [32, 64, 16, 16],
    [33, 48, 65, 17],
    [300, 65, 130, 8], // sums of more than one part
    [530, 32, 64, 64],
    [40, 96, 20, 65], // left to the runtime
  ])('of %i rows, %i in, %i out and rank %i agrees with tfjs, added to y and alone, gradients included', (N, size, out, rank) => {
    const [given, dy] = [inputs(N, size, out, rank), numbers([N, out], 5)]
    expectClose(differentiate(ours, given, dy), differentiateByTfjs((all) => tf.add(all.y, plain(all)), given, dy), 2e-6)
    const { y, ...pair } = given
    y.dispose()
    expectClose(differentiate((all) => update({ ...all, y }), pair, dy), differentiateByTfjs((all) => plain({ ...all, y }), pair, dy), 2e-6)
  })

  it.each(['x', 'a', 'b', 'y'] as const)('of which %s alone is trained gives it the same gradient', (name) => {
    const [given, dy] = [inputs(40, 33, 20, 4), numbers([40, 20], 5)]
    const all = differentiate(ours, given, dy)
    expectClose(differentiate(ours, given, dy, [name]), all, 2e-6)
  })

  it('and the same one of the opposite scale leave exactly nothing, as at the start of PiSSA and OLoRA', () => {
    const given = inputs(40, 33, 20, 4)
    const opposite = lowRank(given.x as Tensor2D, given.a as Tensor2D, given.b as Tensor2D, -SCALE)
    expect([...tf.abs(tf.add(update(given), opposite)).dataSync()]).toEqual(Array(40 * 20).fill(0))
  })

  it('lets infinities and NaN through to the rows that have them, and to no other', () => {
    const { a, b, y } = inputs(3, 4, 5, 2)
    const x = tf.tensor2d([[1, 2, 3, 4], [1, NaN, 3, 4], [1, 2, Infinity, 4]])
    const finite = [...ours({ x, a, b, y }).dataSync()].map(Number.isFinite)
    expect(finite).toEqual([...Array<boolean>(5).fill(true), ...Array<boolean>(10).fill(false)])
  })

  it.runIf(form !== 'composed')('of two matrices that do not fit is an error', () => {
    const { x, a, y } = inputs(3, 4, 5, 2)
    expect(() => ours({ x, a, b: tf.ones([5, 3]), y })).toThrow('LowRank: expected a and b of one rank, got 2 and 3')
  })
})
