import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core'
import { bridge } from '../tape.ts'
import { attend, MASKED, type AttentionCall } from './attention.ts'
import { dropoutMask } from './dropout.ts'

/**
 * Causal attention in which a query sees only the last `window` keys up to its own. Where there are no more keys than
 * that, it is `attend`.
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
  const { scale, dropout } = call
  const heads = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3])
  // the query heads that share keys stand side by side: together they are one head with more queries
  const grouped = (x: Tensor): Tensor => tf.reshape(x, [B, G, (H / G) * T, x.size / (B * H * T)])
  return bridge([call.q, call.k, call.v, call.keyBias ?? tf.zeros([B, K])], (q, k, v, keyBias) => {
    const products = tf.mul(tf.matMul(grouped(heads(q)), heads(k), false, true), scale)
    const scores = tf.add(tf.reshape(products, [B, H, T, K]), tf.reshape(keyBias, [B, 1, 1, K]))
    const p = tf.softmax(tf.add(scores, windowBias(T, K, window)))
    const dropped = dropout === undefined ? p : tf.mul(p, dropoutMask(p.shape, dropout.rate, dropout.seed))
    return heads(tf.reshape(tf.matMul(grouped(dropped), heads(v)), [B, H, T, D])) as Tensor4D
  })
}

/** (T, K) with MASKED where a query does not see a key; queries are the last of the keys' positions. */
function windowBias(T: number, K: number, window: number): Tensor {
  const ahead = tf.sub(tf.reshape(tf.range(0, K), [1, K]), tf.reshape(tf.range(K - T, K), [T, 1])) // key − query
  const hidden = tf.logicalOr(tf.greater(ahead, 0), tf.lessEqual(ahead, -window))
  return tf.mul(tf.cast(hidden, 'float32'), MASKED)
}
