// Products with a model's weight, by its type and the number of rows.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { inFloat32, isOpaque, roundedProduct } from '../bfloat16.ts'
import { hasBfloat16Products } from '../native.ts'
import { areFused, fusedOne, product } from './kernels.ts'

/**
 * Up to so many rows the time goes into reading the weight, and the kernel that reads it once, as it is stored, is the
 * fastest: decoding.
 */
const FEW_ROWS = 16

/**
 * x Wᵀ in float32.
 *
 * A bfloat16 W is widened, which is exact: the product is that of the rounded weights in float32. Only where the processor
 * multiplies bfloat16 numbers by itself, and rows are many, x and the result become bfloat16 too: see `roundedProduct`.
 *
 * @param x (N, in) @param weight (out, in), float32 or bfloat16
 */
export function timesTransposed(x: Tensor2D, weight: Tensor2D): Tensor2D {
  const opaque = isOpaque(weight)
  if (x.shape[0] <= FEW_ROWS && areFused() && x.dtype === 'float32') {
    return fusedOne(opaque ? 'FewRowsBfloat16' : 'FewRows', [x, weight]) as Tensor2D
  }
  if (!opaque) return tf.matMul(x, weight, false, true)
  return hasBfloat16Products() ? roundedProduct(x, weight, true) : tf.tidy(() => tf.matMul(x, inFloat32(weight), false, true))
}

/** dy W, likewise: the gradient of `timesTransposed` by x. */
export function times(dy: Tensor2D, weight: Tensor2D): Tensor2D {
  if (!isOpaque(weight)) return product(dy, weight) as Tensor2D
  return hasBfloat16Products() ? roundedProduct(dy, weight, false) : tf.tidy(() => product(dy, inFloat32(weight)) as Tensor2D)
}
