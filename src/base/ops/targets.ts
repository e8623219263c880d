// Losses against numbers instead of classes: as sums, so that the caller divides by what counts.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/**
 * Σ (x − y)².
 *
 * dx = 2 (x − y)
 *
 * @param x of any shape @param y of the same shape
 * @example const loss = squaredErrors(tf.tensor1d([1, 2]), tf.tensor1d([1, 4])) // 4
 */
export function squaredErrors(x: Tensor, y: Tensor): Scalar {
  return op(
    [x],
    (save) => {
      save(x, y)
      return tf.sum<Scalar>(tf.squaredDifference(x, y))
    },
    (dy, [a, b]) => [tf.mul(tf.sub(a as Tensor, b as Tensor), tf.mul(dy, 2))],
  )
}

/**
 * Binary cross entropy of logits, Σ max(x, 0) − x y + log(1 + exp(−|x|)), the form of PyTorch's BCEWithLogitsLoss that
 * does not overflow.
 *
 * dx = σ(x) − y
 *
 * @param x logits of any shape @param y of the same shape, from 0 to 1
 * @example const loss = binaryCrossEntropies(tf.tensor1d([0]), tf.tensor1d([1])) // log 2
 */
export function binaryCrossEntropies(x: Tensor, y: Tensor): Scalar {
  return op(
    [x],
    (save) => {
      save(x, y)
      return tf.sum<Scalar>(tf.add(tf.sub(tf.relu(x), tf.mul(x, y)), tf.log1p(tf.exp(tf.neg(tf.abs(x))))))
    },
    (dy, [a, b]) => [tf.mul(tf.sub(tf.sigmoid(a as Tensor), b as Tensor), dy)],
  )
}
