import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { float32Weight } from '../engine/float32.ts'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { op } from '../autodiff/tape.ts'
import { sumOuterProducts, sumRows } from './row-sums.ts'

/**
 * y = x Wᵀ + b, the weight in the Hub's layout. With W and b frozen nothing is kept for the backward pass.
 *
 * dx = dy W, dW = dyᵀ x, db = Σ dy
 *
 * @param x (N, in) @param weight (out, in), a tensor where it may be trained @param bias (out)
 * @returns (N, out)
 * @example const y = linear(x, weight, bias)
 */
export function linear(x: Tensor2D, weight: FrozenWeight | Tensor2D, bias?: Tensor1D): Tensor2D {
  const [own, held] = weight instanceof tf.Tensor ? [weight, float32Weight(weight)] : [undefined, weight]
  return op(
    [x, own, bias],
    (save, [, weightNeeds]) => {
      if (weightNeeds === true) save(x)
      return held.timesTransposed(x, bias)
    },
    (dy, [saved], [xNeeds, weightNeeds, biasNeeds]) => [
      xNeeds === true ? held.times(dy as Tensor2D) : null,
      own !== undefined && saved !== undefined && weightNeeds === true ? sumOuterProducts(own, dy as Tensor2D, saved as Tensor2D) : null,
      bias !== undefined && biasNeeds === true ? sumRows(bias, dy) : null,
    ],
  )
}
