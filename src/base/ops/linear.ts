import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumOuterProducts, sumRows } from './row-sums.ts'
import { times, timesTransposed } from './weight-product.ts'

/**
 * y = x Wᵀ + b, the weight in the Hub's layout. With W and b frozen nothing is kept for the backward pass.
 *
 * dx = dy W, dW = dyᵀ x, db = Σ dy
 *
 * @param x (N, in) @param weight (out, in), float32, or bfloat16 where it is frozen @param bias (out)
 * @returns (N, out)
 * @example const y = linear(x, weight, bias)
 */
export function linear(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  return op(
    bias === undefined ? [x, weight] : [x, weight, bias],
    (save, [, weightNeeds]) => {
      if (weightNeeds === true) save(x)
      return timesTransposed(x, weight, bias)
    },
    (dy, [saved], [xNeeds, weightNeeds, biasNeeds]) => [
      xNeeds === true ? times(dy as Tensor2D, weight) : null,
      saved !== undefined && weightNeeds === true ? sumOuterProducts(weight, dy as Tensor2D, saved as Tensor2D) : null,
      bias !== undefined && biasNeeds === true ? sumRows(bias, dy) : null,
    ],
  )
}
