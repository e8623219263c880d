import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/** A shorter row is divided by this instead of its length, as in PyTorch's `normalize`. */
const SHORTEST = 1e-12

/**
 * Rows divided by their Euclidean length: y = x / |x|.
 *
 * dx = (dy − y · (y · dy)) / |x|
 *
 * @param x (N, D)
 * @returns (N, D)
 * @example const embeddings = unitRows(vectors)
 */
export function unitRows(x: Tensor2D): Tensor2D {
  return op(
    [x],
    (save) => {
      const length = tf.maximum(tf.norm(x, 'euclidean', 1, true), SHORTEST)
      const y: Tensor2D = tf.div(x, length)
      save(y, length)
      return y
    },
    (dy, [y, length]) => {
      if (y === undefined || length === undefined) return [null]
      return [tf.div(tf.sub(dy, tf.mul(y, tf.sum(tf.mul(y, dy), 1, true))), length)]
    },
  )
}
