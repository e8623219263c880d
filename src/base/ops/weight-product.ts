// Products with a model's weight, by its type and the number of rows.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { inFloat32, isOpaque, roundedProduct } from '../bfloat16.ts'
import { hasBfloat16Products } from '../native.ts'
import { areFused, biasAdd, fusedOne, product } from './kernels.ts'

/**
 * Up to so many rows, as in decoding, `fewRows` is the faster one, by what the runtime does instead: the product in float32,
 * the one in bfloat16, or widening the weight first. bench/kernels.ts prints the times of both.
 */
const FEW_ROWS = { float32: 12, bfloat16: 10, widened: 24 }

/**
 * x Wᵀ + b in float32.
 *
 * A bfloat16 W is widened, which is exact: the product is that of the rounded weights in float32. Only where the processor
 * multiplies bfloat16 numbers by itself, and rows are many, x and the product become bfloat16 too: see `roundedProduct`.
 *
 * @param x (N, in) @param weight (out, in), float32 or bfloat16 @param bias (out)
 */
export function timesTransposed(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  const otherwise = !isOpaque(weight) ? 'float32' : hasBfloat16Products() ? 'bfloat16' : 'widened'
  if (x.shape[0] <= FEW_ROWS[otherwise] && areFused() && x.dtype === 'float32') return fewRows(x, weight, bias)
  const y = manyRows(x, weight)
  return bias === undefined ? y : biasAdd(y, bias)
}

/** The same by the kernel that reads the weight once, as it is stored. */
export function fewRows(x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  return fusedOne(isOpaque(weight) ? 'FewRowsBfloat16' : 'FewRows', [x, weight, bias]) as Tensor2D
}

/** x Wᵀ by the runtime. */
export function manyRows(x: Tensor2D, weight: Tensor2D): Tensor2D {
  if (!isOpaque(weight)) return tf.matMul(x, weight, false, true)
  return hasBfloat16Products() ? roundedProduct(x, weight, true) : tf.tidy(() => tf.matMul(x, inFloat32(weight), false, true))
}

/** dy W, likewise: the gradient of `timesTransposed` by x. */
export function times(dy: Tensor2D, weight: Tensor2D): Tensor2D {
  if (!isOpaque(weight)) return product(dy, weight) as Tensor2D
  return hasBfloat16Products() ? roundedProduct(dy, weight, false) : tf.tidy(() => product(dy, inFloat32(weight)) as Tensor2D)
}
