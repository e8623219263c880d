import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'
import { dropoutMask } from './dropout.ts'

/** What one attention product is made of. T queries, K keys; fewer key/value heads than query heads are shared. */
export interface AttentionCall {
  readonly q: Tensor4D // (B, T, H, D)
  readonly k: Tensor4D // (B, K, Hkv, D)
  readonly v: Tensor4D // (B, K, Hkv, D)
  readonly scale: number
  /** Added to the scores of each key, (B, K): 0 where it may be seen, a large negative number where not. */
  readonly keyBias?: Tensor2D | undefined
  /** A query sees only the keys up to its own position, counted from the end of the keys. */
  readonly causal?: boolean
  /** Dropout on the attention probabilities. */
  readonly dropout?: { readonly rate: number; readonly seed: readonly [number, number] } | undefined
}

/** Stands for "never" in scores: finite even when added twice, so that a row without a visible key gives no NaN. */
export const MASKED = -1e30

/**
 * softmax(scale q kᵀ + bias) v
 *
 * With P the probabilities and dP = dy vᵀ:  dv = Pᵀ dy, dS = P (dP − Σ P dP), dq = scale dS k, dk = scale dSᵀ q
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762
 *
 * @returns (B, T, H, D)
 * @example const context = attend({ q, k, v, scale: 1 / Math.sqrt(headSize) })
 */
export function attend(call: AttentionCall): Tensor4D {
  const { q, k, v, scale, keyBias, causal = false, dropout } = call
  const heads = q.shape[2]
  const shared = heads / k.shape[2]
  const drop = (p: Tensor): Tensor =>
    dropout === undefined ? p : tf.mul(p, dropoutMask(p.shape, dropout.rate, dropout.seed))
  return op<Tensor4D>(
    [q, k, v],
    (save) => {
      const [qh, kh, vh] = [toHeads(tf.mul(q, scale)), repeatHeads(toHeads(k), shared), repeatHeads(toHeads(v), shared)]
      let scores: Tensor = tf.matMul(qh, kh, false, true) // (B, H, T, K)
      const [B, , T, K] = scores.shape as [number, number, number, number]
      if (keyBias !== undefined) scores = tf.add(scores, tf.reshape(keyBias, [B, 1, 1, K]))
      if (causal) scores = tf.add(scores, causalBias(T, K))
      const p = tf.softmax(scores)
      save(qh, kh, vh, p)
      return fromHeads(tf.matMul(drop(p), vh))
    },
    (dy, saved, [qNeeds, kNeeds, vNeeds]) => {
      const [qh, kh, vh, p] = saved as [Tensor4D, Tensor4D, Tensor4D, Tensor4D]
      const dyh = toHeads(dy)
      const dP = drop(tf.matMul(dyh, vh, false, true))
      const weighted = tf.mul(p, dP)
      const dS = tf.sub(weighted, tf.mul(p, tf.sum(weighted, 3, true)))
      return [
        qNeeds === true ? fromHeads(tf.mul(tf.matMul(dS, kh), scale)) : null,
        kNeeds === true ? fromHeads(sumHeads(tf.matMul(dS, qh, true, false), shared)) : null, // qh holds the scale
        vNeeds === true ? fromHeads(sumHeads(tf.matMul(drop(p), dyh, true, false), shared)) : null,
      ]
    },
  )
}

function toHeads(x: Tensor): Tensor4D {
  return tf.transpose(x as Tensor4D, [0, 2, 1, 3])
}

const fromHeads = toHeads // swapping two axes is its own inverse

/** (B, Hkv, K, D) to (B, Hkv · times, K, D), each head `times` times in a row. */
function repeatHeads(x: Tensor4D, times: number): Tensor4D {
  if (times === 1) return x
  const [B, H, K, D] = x.shape
  return tf.reshape(tf.tile(tf.reshape(x, [B, H, 1, K, D]), [1, 1, times, 1, 1]), [B, H * times, K, D])
}

function sumHeads(x: Tensor, times: number): Tensor {
  if (times === 1) return x
  const [B, H, K, D] = x.shape as [number, number, number, number]
  return tf.sum(tf.reshape(x, [B, H / times, times, K, D]), 2)
}

/** (T, K) with MASKED where key j lies after query i. */
function causalBias(T: number, K: number): Tensor2D {
  const late = tf.greater(tf.reshape(tf.range(0, K), [1, K]), tf.reshape(tf.range(K - T, K), [T, 1]))
  return tf.mul(tf.cast(late, 'float32'), MASKED)
}
