import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { bridge } from '../autodiff/tape.ts'
import { attend, MASKED, type AttentionCall } from './attention.ts'
import { dropoutMask } from './dropout.ts'

/**
 * Causal attention in which a query sees only the last `window` keys up to its own; keys that `keyBias` hides do not count.
 * Where there are no more keys than that, it is `attend`.
 *
 * Source: Beltagy et al. 2020, arXiv:2004.05150
 *
 * @param window at least 1
 * @returns (B, T, H, D)
 * @example const context = attendWithin({ q, k, v, scale: 1 / Math.sqrt(headSize), causal: true }, 4096)
 */
export function attendWithin(call: AttentionCall, window: number): Tensor4D {
  const [B, T, H, D] = call.q.shape
  const [, K, G] = call.k.shape
  if (K <= window) return attend(call)
  const bias = tf.tidy(() => windowBias(call, window))
  if (T === 1) return attend({ ...call, keyBias: tf.reshape(bias, [B, K]) })
  const { scale, dropout } = call
  const heads = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3])
  // the query heads that share keys stand side by side: together they are one head with more queries
  const grouped = (x: Tensor): Tensor => tf.reshape(x, [B, G, (H / G) * T, x.size / (B * H * T)])
  return bridge([call.q, call.k, call.v, bias], (q, k, v, hidden) => {
    const products = tf.mul(tf.matMul(grouped(heads(q)), heads(k), false, true), scale)
    const p = tf.softmax(tf.add(tf.reshape(products, [B, H, T, K]), tf.reshape(hidden, [B, 1, T, K])))
    const dropped = dropout === undefined ? p : tf.mul(p, dropoutMask(p.shape, dropout.rate, dropout.seed))
    return heads(tf.reshape(tf.matMul(grouped(dropped), heads(v)), [B, H, T, D])) as Tensor4D
  })
}

/** (B, T, K), a large negative number where a query does not see a key. */
function windowBias({ q, k, keyBias }: AttentionCall, window: number): Tensor3D {
  const [B, T] = q.shape
  const K = k.shape[1]
  const bias = keyBias ?? tf.zeros<tf.Rank.R2>([B, K])
  const places: Tensor2D = tf.cumsum(tf.cast(tf.greater(bias, MASKED / 2), 'float32'), 1)
  // queries are the last of the keys; where there is room behind a single one, all keys have been counted there too
  const own = tf.reshape(tf.slice(places, [0, K - T], [B, T]), [B, T, 1])
  const ahead = tf.sub(tf.reshape(places, [B, 1, K]), own) // key − query
  const hidden = tf.logicalOr(tf.greater(ahead, 0), tf.lessEqual(ahead, -window))
  return tf.add(tf.reshape(bias, [B, 1, K]), tf.mul(tf.cast(hidden, 'float32'), MASKED))
}
