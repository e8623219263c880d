import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { examplesApart } from '../autodiff/grads.ts'
import { op } from '../autodiff/tape.ts'
import { choose, fused, product, type Forms } from '../engine/kernels.ts'
import { sumOuterProducts } from './row-sums.ts'

/** Of higher rank a pair is so much work that the runtime's products are the faster ones; bench/kernels.ts times both at this rank. */
const MOST_RANK = 64

interface LowRankCall {
  readonly x: Tensor2D
  readonly a: Tensor2D
  readonly b: Tensor2D
  readonly scale: number
  readonly y: Tensor2D | undefined
}

/**
 * y + s · x Aᵀ Bᵀ, what a low-rank update makes of a product y with x, without building B A.
 *
 * With h = s x Aᵀ and g = s dy B:  dx = g A, dA = gᵀ x, dB = dyᵀ h
 *
 * @param x (N, in) @param a (rank, in) @param b (out, rank) @param scale s @param y (N, out), or nothing for the update alone
 * @returns (N, out)
 * @example const adapted = lowRank(x, a, b, alpha / rank, y)
 */
export function lowRank(x: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number, y?: Tensor2D): Tensor2D {
  const call = { x, a, b, scale, y }
  const form = a.shape[0] > MOST_RANK ? LOW_RANK.composed : choose(LOW_RANK, [x, a, b, y])
  return op(
    [x, a, b, y],
    (save, [, aNeeds, bNeeds]) => {
      const [sum, h] = form.forward(call)
      if (aNeeds === true || bNeeds === true) save(x, h) // a frozen pair needs neither
      return sum
    },
    (dy, saved, needs) => {
      const [, aNeeds, bNeeds] = needs
      const sums = aNeeds === true && bNeeds === true && examplesApart(a) === undefined && examplesApart(b) === undefined
      return [...(sums ? form : LOW_RANK.composed).backward(dy, saved, call, needs), dy]
    },
  )
}

interface LowRank {
  /** The sum and h. */
  readonly forward: (call: LowRankCall) => readonly [Tensor2D, Tensor2D]
  /** dx, dA and dB, from x and h where they were kept. The fused form computes dA and dB always, summed over all rows. */
  readonly backward: (dy: Tensor, kept: readonly Tensor[], call: LowRankCall, needs: readonly boolean[]) => readonly (Tensor | null)[]
}

const LOW_RANK: Forms<LowRank> = {
  fused: {
    forward: ({ x, a, b, scale, y }) => fused('LowRank', [y, x, a, b], { scale }, 2) as [Tensor2D, Tensor2D],
    backward: (dy, [x, h], { a, b, scale }, [xNeeds = false]) => {
      const [dx, ...rest] = fused('LowRankGrad', [dy, x, h, a, b], { scale, to_x: xNeeds }, 3) as [Tensor, Tensor, Tensor]
      return [xNeeds ? dx : null, ...rest]
    },
  },
  composed: {
    forward: ({ x, a, b, scale, y }) => {
      const h = tf.mul<Tensor2D>(tf.matMul(x, a, false, true), scale)
      const update = tf.matMul<Tensor2D>(h, b, false, true)
      return [y === undefined ? update : tf.add(y, update), h]
    },
    backward: (dy, [x, h], { a, b, scale }, [xNeeds, aNeeds, bNeeds]) => {
      const g = tf.mul(product(dy, b), scale)
      return [
        xNeeds === true ? product(g, a) : null,
        x !== undefined && aNeeds === true ? sumOuterProducts(a, g as Tensor2D, x as Tensor2D) : null,
        h !== undefined && bNeeds === true ? sumOuterProducts(b, dy as Tensor2D, h as Tensor2D) : null,
      ]
    },
  },
}
