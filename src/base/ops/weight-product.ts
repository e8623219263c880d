// Products with a model's weight: nearly all of the work of a training step, and of decoding.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { inFloat32, isOpaque, roundedProduct } from '../engine/bfloat16.ts'
import { hasBfloat16Products, hasBfloat16Tiles } from '../engine/native.ts'
import { areFused, biasAdd, fusedOne, product } from '../engine/kernels.ts'

/**
 * Up to so many rows, as in decoding, the kernel that does not rearrange the weight is the faster one: of a float32 and of
 * a bfloat16 weight, and of the latter by tiles. bench/kernels.ts prints the times of both.
 */
const FEW_ROWS = { float32: 12, bfloat16: 10, tiles: 16 }

/**
 * x Wᵀ + b in float32.
 *
 * A bfloat16 W is widened, which is exact: the product is that of the rounded weights in float32. Only where the processor
 * multiplies bfloat16 numbers by itself, and there are more than three rows, x becomes bfloat16 too.
 *
 * @param x (N, in) @param weight (out, in), float32 or bfloat16 @param bias (out)
 */
export function timesTransposed(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  const few = FEW_ROWS[!isOpaque(weight) ? 'float32' : hasBfloat16Tiles() ? 'tiles' : 'bfloat16']
  if (x.shape[0] <= few && areFused() && x.dtype === 'float32') return fewRows(x, weight, bias)
  return manyRows(x, weight, true, bias)
}

/** dy W, likewise: the gradient of `timesTransposed` by x. */
export function times(dy: Tensor2D, weight: Tensor2D): Tensor2D {
  return manyRows(dy, weight, false)
}

/** x Wᵀ + b by the kernel that reads the weight once, as it is stored. */
export function fewRows(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  return fusedOne(isOpaque(weight) ? 'FewRowsBfloat16' : 'FewRows', [x, weight, bias]) as Tensor2D
}

/** x Wᵀ + b, or x W, by the kernel for it, or by the runtime. */
export function manyRows(x: Tensor2D, weight: Tensor2D, transposed: boolean, bias?: Tensor1D): Tensor2D {
  const half = isOpaque(weight)
  const fits = x.dtype === 'float32' && weight.dtype === 'float32'
  if (fits && areFused() && (!half || hasBfloat16Tiles() || !hasBfloat16Products())) {
    return fusedOne(half ? 'ManyRowsBfloat16' : 'ManyRows', [x, weight, bias], { transposed }) as Tensor2D
  }
  const y = byRuntime(x, weight, transposed)
  if (bias === undefined) return y
  const sum = biasAdd(y, bias)
  y.dispose()
  return sum
}

/** x Wᵀ, or x W. */
export function byRuntime(x: Tensor2D, weight: Tensor2D, transposed: boolean): Tensor2D {
  if (isOpaque(weight) && hasBfloat16Products()) return roundedProduct(x, weight, transposed)
  return tf.tidy(() => (transposed ? tf.matMul<Tensor2D>(x, inFloat32(weight), false, true) : (product(x, inFloat32(weight)) as Tensor2D)))
}
