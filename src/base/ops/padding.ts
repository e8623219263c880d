// For what reads tokens one after the other: padding is nothing, and stands before all tokens of its row.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/** An order of rows, int32: the new row i is the old `from[i]`, the old row i is the new `to[i]`. */
export interface Order {
  readonly from: Tensor1D
  readonly to: Tensor1D
}

/**
 * The order in which each row's padding stands before its tokens.
 *
 * @param mask (B, T), 0 for padding
 * @example const ordered = inOrder(x, paddingFirst(mask))
 */
export function paddingFirst(mask: Tensor2D): Order {
  const [B, T] = mask.shape
  const padding = tf.sub(1, mask)
  const ofTokens = tf.add(tf.cumsum(mask, 1), tf.sub(tf.sum(padding, 1, true), 1))
  const within = tf.add(tf.mul(mask, ofTokens), tf.mul(padding, tf.sub(tf.cumsum(padding, 1), 1)))
  const begins = tf.reshape(tf.range(0, B * T, T), [B, 1])
  const to = tf.cast<Tensor1D>(tf.reshape(tf.add(within, begins), [B * T]), 'int32')
  return { to, from: tf.scatterND(tf.reshape(to, [B * T, 1]), tf.range(0, B * T, 1, 'int32'), [B * T]) }
}

/** x (N, D) in another order. */
export function inOrder(x: Tensor2D, { from, to }: Order): Tensor2D {
  return op(
    [x],
    (save) => {
      save(to)
      return tf.gather(x, from)
    },
    (dy, [back]) => [back === undefined ? null : tf.gather(dy, back as Tensor1D)],
  )
}
