import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { reshape, timesMask } from './algebra.ts'
import { MASKED, type AttentionCall } from './attention-call.ts'

/**
 * Attention in which padding, as a query, looks at no token: with what `keyBias` adds, all its scores are the same, and nothing goes back
 * through them. Where a class is read off the first token, and padding stands first, it decides the numbers.
 *
 * @param call with a keyBias that hides padding @param mask (B, T), 1 for a token
 * @example const context = attend(blindAtPadding({ q, k, v, scale, keyBias }, mask))
 */
export function blindAtPadding(call: AttentionCall, mask: Tensor2D): AttentionCall {
  const { q, bias } = call
  const [B, T, H, D] = q.shape
  const queries = (): Tensor4D => tf.reshape(mask, [B, 1, T, 1])
  const unseen = tf.mul(tf.mul(tf.sub(1, queries()), tf.reshape(mask, [B, 1, 1, T])), MASKED)
  const hidden = bias === undefined
    ? tf.tile<Tensor4D>(unseen as Tensor4D, [1, H, 1, 1])
    : op([bias], (save) => (save(mask), tf.add<Tensor4D>(tf.mul(bias, queries()), unseen)), (dy, [kept]) => [kept === undefined ? null : tf.mul(dy, tf.reshape(kept, [B, 1, T, 1]))])
  return { ...call, q: reshape<Rank.R4>(timesMask(reshape<Rank.R2>(q, [B * T, H * D]), mask), [B, T, H, D]), bias: hidden }
}
