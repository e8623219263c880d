import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { FLOAT32_FORM } from '../engine/float32.ts'
import { groupedOuter, groupedProduct } from '../engine/grouped.ts'
import { choose, fused, type Forms } from '../engine/kernels.ts'
import type { Grouped } from '../sites.ts'

/** The low-rank pairs of all experts. */
export interface Pairs {
  /** (count · rank, in), the experts' one below the other. */
  readonly a: Tensor2D
  /** (out, rank · count); column i · count + e is the i-th of expert e. */
  readonly b: Tensor2D
  /** Experts. */
  readonly count: number
  readonly scale: number
}

/**
 * y + s · x Aₑᵀ Bₑᵀ of each row with the pair of its expert e: `lowRank` in groups.
 *
 * @param y (S, out) @returns (S, out)
 */
export function groupedLowRank({ rows, experts }: Grouped, pairs: Pairs, y: Tensor2D): Tensor2D {
  const { a, b } = pairs
  const form = choose(GROUPED_LOW_RANK, [rows, a, b, y])
  return op(
    [rows, a, b, y],
    (save, [, aNeeds, bNeeds]) => {
      const [sum, h] = form.forward(rows, experts, pairs, y)
      save(experts)
      if (aNeeds === true || bNeeds === true) save(rows, h)
      return sum
    },
    (dy, [of, x, h], [xNeeds = false, aNeeds, bNeeds]) => {
      if (x === undefined || h === undefined) return [COMPOSED.toRows(dy as Tensor2D, of as Tensor1D, pairs), null, null, dy]
      const [dx, da, db] = form.backward(dy as Tensor2D, { x: x as Tensor2D, h: h as Tensor2D, experts: of as Tensor1D }, pairs, xNeeds)
      return [dx, aNeeds === true ? da : null, bNeeds === true ? db : null, dy]
    },
  )
}

interface Kept {
  readonly x: Tensor2D
  readonly h: Tensor2D
  readonly experts: Tensor1D
}

interface GroupedLowRank {
  /** The sum, and h = s x Aₑᵀ. */
  readonly forward: (x: Tensor2D, experts: Tensor1D, pairs: Pairs, y: Tensor2D) => readonly [Tensor2D, Tensor2D]
  /** dx, where it is asked for, dA and dB. */
  readonly backward: (dy: Tensor2D, kept: Kept, pairs: Pairs, toX: boolean) => readonly [Tensor | null, Tensor, Tensor]
}

const COMPOSED = {
  forward: (x: Tensor2D, experts: Tensor1D, { a, b, count, scale }: Pairs, y: Tensor2D) => {
    const h = tf.mul<Tensor2D>(groupedProduct(FLOAT32_FORM, x, stackOfA(a, count), experts, true), scale)
    return [tf.add<Tensor2D>(y, groupedProduct(FLOAT32_FORM, h, stackOfB(b, count), experts, true)), h] as const
  },
  toRank: (dy: Tensor2D, experts: Tensor1D, { b, count, scale }: Pairs) => tf.mul<Tensor2D>(groupedProduct(FLOAT32_FORM, dy, stackOfB(b, count), experts, false), scale),
  toRows: (dy: Tensor2D, experts: Tensor1D, pairs: Pairs) => groupedProduct(FLOAT32_FORM, COMPOSED.toRank(dy, experts, pairs), stackOfA(pairs.a, pairs.count), experts, false),
  backward: (dy: Tensor2D, { x, h, experts }: Kept, pairs: Pairs, toX: boolean) => {
    const { a, b, count } = pairs
    const g = COMPOSED.toRank(dy, experts, pairs)
    return [
      toX ? groupedProduct(FLOAT32_FORM, g, stackOfA(a, count), experts, false) : null,
      tf.reshape(groupedOuter(g, x, experts, count), a.shape),
      tf.reshape(tf.transpose(groupedOuter(dy, h, experts, count), [1, 2, 0]), b.shape),
    ] as const
  },
}

const GROUPED_LOW_RANK: Forms<GroupedLowRank> = {
  fused: {
    forward: (x, experts, { a, b, count, scale }, y) => fused('GroupedLowRank', [y, x, a, b, experts], { scale, count }, 2) as [Tensor2D, Tensor2D],
    backward: (dy, { x, h, experts }, { a, b, count, scale }, toX) => {
      const [dx, da, db] = fused('GroupedLowRankGrad', [dy, x, h, a, b, experts], { scale, count, to_x: toX }, 3) as [Tensor, Tensor, Tensor]
      return [toX ? dx : null, da, db]
    },
  },
  composed: COMPOSED,
}

/** A of each expert, (count, rank, in). */
export function stackOfA(a: Tensor2D, count: number): Tensor3D {
  return tf.reshape<Rank.R3>(a, [count, a.shape[0] / count, a.shape[1]])
}

/** B of each expert, (count, out, rank). */
export function stackOfB(b: Tensor2D, count: number): Tensor3D {
  const [out, columns] = b.shape
  return tf.transpose(tf.reshape<Rank.R3>(b, [out, columns / count, count]), [2, 0, 1])
}
