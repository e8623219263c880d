// Attention in plain tfjs operations, with its probabilities in memory: the composed form of `attend`.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { dropoutMask } from './dropout.ts'
import { MASKED, type AttentionCall, type AttentionForm } from './attention-call.ts'

export const COMPOSED: AttentionForm = {
  forward: (call) => {
    const { q, k, v, scale, keyBias, dropout, cap, bias, sinks } = call
    const shared = q.shape[2] / k.shape[2]
    const [qh, kh, vh] = [toHeads(tf.mul(q, scale)), repeatHeads(toHeads(k), shared), repeatHeads(toHeads(v), shared)]
    const products = tf.matMul(qh, kh, false, true) // (B, H, T, K)
    const capped = cap === undefined ? undefined : tf.tanh(tf.div(products, cap))
    let scores: Tensor = capped === undefined || cap === undefined ? products : tf.mul(capped, cap)
    const [B, , , K] = scores.shape as [number, number, number, number]
    if (bias !== undefined) scores = tf.add(scores, bias)
    if (keyBias !== undefined) scores = tf.add(scores, tf.reshape(keyBias, [B, 1, 1, K]))
    const unseen = outOfSight(call)
    if (unseen !== undefined) scores = tf.where(unseen, -Infinity, scores)
    const { p, sink } = softmax(scores, sinks)
    return { y: fromHeads(tf.matMul(drop(p, dropout), vh)), kept: [qh, kh, vh, p, ...present(capped), ...present(sink)] }
  },
  backward: (dy, kept, { q, k, scale, dropout, cap, bias, sinks }, [qNeeds, kNeeds, vNeeds, biasNeeds, sinksNeed]) => {
    const [qh, kh, vh, p, ...others] = kept as [Tensor4D, Tensor4D, Tensor4D, Tensor4D, ...Tensor4D[]]
    const capped = cap === undefined ? undefined : others[0]
    const sink = sinks === undefined ? undefined : others.at(-1)
    const shared = q.shape[2] / k.shape[2]
    const dyh = toHeads(dy)
    const dP = drop(tf.matMul(dyh, vh, false, true), dropout)
    const weighted = tf.mul(p, dP)
    const mean = tf.sum(weighted, 3, true)
    const dS = tf.sub(weighted, tf.mul(p, mean))
    const dProducts = capped === undefined ? dS : tf.mul(dS, tf.sub(1, tf.square(capped)))
    return [
      qNeeds === true ? fromHeads(tf.mul(tf.matMul(dProducts, kh), scale)) : null,
      kNeeds === true ? fromHeads(sumHeads(tf.matMul(dProducts, qh, true, false), shared)) : null, // qh holds the scale
      vNeeds === true ? fromHeads(sumHeads(tf.matMul(drop(p, dropout), dyh, true, false), shared)) : null,
      bias === undefined || biasNeeds !== true ? null : bias.shape[0] === 1 ? tf.sum(dS, 0, true) : dS,
      sink === undefined || sinksNeed !== true ? null : tf.neg(tf.reshape(fromHeads(tf.mul(sink, mean)), [-1, q.shape[2]])),
    ]
  },
}

/** scores (B, H, T, K) to probabilities, and those of the sinks (B, H, T, 1), where there are any. */
function softmax(scores: Tensor, sinks: Tensor | undefined): { readonly p: Tensor; readonly sink?: Tensor } {
  if (sinks === undefined) return { p: tf.softmax(scores) }
  const [B, H, T, K] = scores.shape as [number, number, number, number]
  const logits = tf.tile(tf.reshape(sinks, [1, H, 1, 1]), [B, 1, T, 1])
  const all = tf.softmax(tf.concat([scores, logits], 3))
  return { p: tf.slice(all, [0, 0, 0, 0], [B, H, T, K]), sink: tf.slice(all, [0, 0, 0, K], [B, H, T, 1]) }
}

function present<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value]
}

/** Probabilities after dropout. */
function drop(p: Tensor, dropout: AttentionCall['dropout']): Tensor {
  return dropout === undefined ? p : tf.mul(p, dropoutMask(p.shape, dropout.rate, dropout.seed))
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

/** (1 or B, 1, T, K), true where query i does not see key j; undefined where each sees all that `keyBias` leaves. */
function outOfSight({ q, k, keyBias, causal = false, window = Infinity }: AttentionCall): Tensor4D | undefined {
  const [T, K] = [q.shape[1], k.shape[1]]
  const from = (places: Tensor2D): Tensor4D => { // key − query; the queries are the last of the keys
    const B = places.shape[0]
    return tf.sub(tf.reshape(places, [B, 1, 1, K]), tf.reshape(tf.slice(places, [0, K - T], [B, T]), [B, 1, T, 1]))
  }
  const later = causal ? tf.greater<Tensor4D>(from(tf.reshape(tf.range(0, K), [1, K])), 0) : undefined
  if (K <= window) return later
  const seen = keyBias === undefined ? tf.ones<tf.Rank.R2>([1, K]) : tf.cast<Tensor2D>(tf.greater(keyBias, MASKED / 2), 'float32')
  const far = tf.greaterEqual<Tensor4D>(tf.abs(from(tf.cumsum(seen, 1))), window)
  return later === undefined ? far : tf.logicalOr(later, far)
}
