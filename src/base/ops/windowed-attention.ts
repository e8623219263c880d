import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { bridge, op } from '../autodiff/tape.ts'
import { attend, checkCall, MASKED } from './attention.ts'
import { drop, softmax } from './composed-attention.ts'
import { sumRows } from './row-sums.ts'
import type { AttentionCall } from './attention-call.ts'

/**
 * Causal attention in which a query sees only the last `window` keys up to its own; keys that `keyBias` hides do not count.
 * Where there are no more keys than that, and for a single query, it is `attend`; else it is composed of tfjs operations.
 *
 * Source: Beltagy et al. 2020, arXiv:2004.05150
 *
 * @param window at least 1
 * @returns (B, T, H, D)
 * @example const context = attendWithin({ q, k, v, scale: 1 / Math.sqrt(headSize), causal: true }, 4096)
 */
export function attendWithin(call: AttentionCall, window: number): Tensor4D {
  checkCall(call)
  const [B, T, H, D] = call.q.shape
  const [, K, G] = call.k.shape
  if (K <= window) return attend(call)
  const hidden = tf.tidy(() => windowBias(call, window))
  if (T === 1) return attend({ ...call, keyBias: tf.reshape(hidden, [B, K]) })
  const { scale, dropout, cap, bias, sinks } = call
  const heads = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3])
  // the query heads that share keys stand side by side: together they are one head with more queries
  const grouped = (x: Tensor): Tensor => tf.reshape(x, [B, G, (H / G) * T, x.size / (B * H * T)])
  const own = sinks === undefined ? [] : [eachSample(sinks, B)]
  const inputs = [call.q, call.k, call.v, hidden, ...(bias === undefined ? [] : [bias]), ...own]
  return bridge(inputs, (q, k, v, never, ...others) => {
    const products = tf.mul(tf.matMul(grouped(heads(q)), heads(k), false, true), scale)
    const capped = cap === undefined ? products : tf.mul(tf.tanh(tf.div(products, cap)), cap)
    const masked = tf.add(tf.reshape(capped, [B, H, T, K]), tf.reshape(never, [B, 1, T, K]))
    const scores = bias === undefined ? masked : tf.add(masked, others[0] as Tensor)
    const { p } = softmax(scores, sinks === undefined ? undefined : others.at(-1))
    return heads(tf.reshape(tf.matMul(grouped(drop(p, dropout)), heads(v)), [B, H, T, D])) as Tensor4D
  })
}

/** x (N) for each sample, (B, N); so examples' gradients can be told apart. */
function eachSample(x: Tensor1D, B: number): Tensor2D {
  return op([x], () => tf.tile(tf.reshape(x, [1, x.size]), [B, 1]), (dy) => [sumRows(x, dy)])
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
