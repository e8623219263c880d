import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'
import { biasAdd, product } from './kernels.ts'

/**
 * y = x Wᵀ + b, the weight in the Hub's layout. With W and b frozen nothing is kept for the backward pass.
 *
 * dx = dy W, dW = dyᵀ x, db = Σ dy
 *
 * @param x (N, in) @param weight (out, in) @param bias (out)
 * @returns (N, out)
 * @example const y = linear(x, weight, bias)
 */
export function linear(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  return op(
    bias === undefined ? [x, weight] : [x, weight, bias],
    (save, [, weightNeeds]) => {
      if (weightNeeds === true) save(x)
      const y = tf.matMul<Tensor2D>(x, weight, false, true)
      return bias === undefined ? y : biasAdd(y, bias)
    },
    (dy, [saved], [xNeeds, weightNeeds, biasNeeds]) => [
      xNeeds === true ? product(dy, weight) : null,
      saved !== undefined && weightNeeds === true ? tf.matMul(dy, saved, true, false) : null,
      biasNeeds === true ? tf.sum(dy, 0) : null,
    ],
  )
}
