import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'
import { product } from './kernels.ts'
import { sumOuterProducts } from './row-sums.ts'

/**
 * s · x Aᵀ Bᵀ, the product of a low-rank update with x, without building B A.
 *
 * With h = s x Aᵀ and g = s dy B:  dx = g A, dA = gᵀ x, dB = dyᵀ h
 *
 * @param x (N, in) @param a (rank, in) @param b (out, rank) @param scale s
 * @returns (N, out)
 * @example const update = lowRank(x, a, b, alpha / rank)
 */
export function lowRank(x: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number): Tensor2D {
  return op(
    [x, a, b],
    (save, [, aNeeds, bNeeds]) => {
      const h = tf.mul(tf.matMul(x, a, false, true), scale)
      if (aNeeds === true || bNeeds === true) save(x, h) // a frozen pair needs neither
      return tf.matMul<Tensor2D>(h, b, false, true)
    },
    (dy, [input, h], [xNeeds, aNeeds, bNeeds]) => {
      const g = tf.mul(product(dy, b), scale)
      return [
        xNeeds === true ? product(g, a) : null,
        input !== undefined && aNeeds === true ? sumOuterProducts(a, g as Tensor2D, input as Tensor2D) : null,
        h !== undefined && bNeeds === true ? sumOuterProducts(b, dy as Tensor2D, h as Tensor2D) : null,
      ]
    },
  )
}
