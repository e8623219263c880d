// Sums over the rows of a batch: the gradients of trained tensors that every row goes through. Where the gradients of
// examples are asked for one by one, each sum ends at its example's last row.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { examplesApart } from '../autodiff/grads.ts'

/**
 * Σ over the first axis.
 *
 * @param trained the tensor it is the gradient of
 * @param x (N, ...)
 * @returns (...), or (examples, ...)
 */
export function sumRows(trained: Tensor, x: Tensor): Tensor {
  const count = examplesApart(trained)
  return count === undefined ? tf.sum(x, 0) : tf.sum(byExample(x, count), 1)
}

/**
 * aᵀ b, the sum of the rows' outer products.
 *
 * @param trained the tensor it is the gradient of
 * @param a (N, A) @param b (N, B)
 * @returns (A, B), or (examples, A, B)
 */
export function sumOuterProducts(trained: Tensor, a: Tensor2D, b: Tensor2D): Tensor {
  const count = examplesApart(trained)
  return count === undefined ? tf.matMul(a, b, true, false) : tf.matMul(byExample(a, count), byExample(b, count), true, false)
}

function byExample(x: Tensor, count: number): Tensor {
  const [rows = 0, ...rest] = x.shape
  return tf.reshape(x, [count, rows / count, ...rest])
}
