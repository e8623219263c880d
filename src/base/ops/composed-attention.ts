// Attention in plain tfjs operations, with its probabilities in memory: the composed form of `attend`.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { dropoutMask } from './dropout.ts'
import type { AttentionCall, AttentionForm } from './attention-call.ts'

export const COMPOSED: AttentionForm = {
  forward: ({ q, k, v, scale, keyBias, causal = false, dropout, cap, bias, sinks }) => {
    const shared = q.shape[2] / k.shape[2]
    const [qh, kh, vh] = [toHeads(tf.mul(q, scale)), repeatHeads(toHeads(k), shared), repeatHeads(toHeads(v), shared)]
    const products = tf.matMul(qh, kh, false, true) // (B, H, T, K)
    const capped = cap === undefined ? undefined : tf.tanh(tf.div(products, cap))
    let scores: Tensor = capped === undefined || cap === undefined ? products : tf.mul(capped, cap)
    const [B, , T, K] = scores.shape as [number, number, number, number]
    if (bias !== undefined) scores = tf.add(scores, bias)
    if (keyBias !== undefined) scores = tf.add(scores, tf.reshape(keyBias, [B, 1, 1, K]))
    if (causal) scores = tf.where(laterKeys(T, K), -Infinity, scores)
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

/** scores (B, H, T, K) to probabilities, and those of the sinks (B, H, T, 1), where there are any: (H), or (B, H). */
export function softmax(scores: Tensor, sinks: Tensor | undefined): { readonly p: Tensor; readonly sink?: Tensor } {
  if (sinks === undefined) return { p: tf.softmax(scores) }
  const [B, H, T, K] = scores.shape as [number, number, number, number]
  const logits = tf.tile(tf.reshape(sinks, [sinks.size / H, H, 1, 1]), [(B * H) / sinks.size, 1, T, 1])
  const all = tf.softmax(tf.concat([scores, logits], 3))
  return { p: tf.slice(all, [0, 0, 0, 0], [B, H, T, K]), sink: tf.slice(all, [0, 0, 0, K], [B, H, T, 1]) }
}

function present<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value]
}

/** Probabilities after dropout. */
export function drop(p: Tensor, dropout: AttentionCall['dropout']): Tensor {
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

/** (T, K), true where key j lies after query i. */
function laterKeys(T: number, K: number): Tensor2D {
  return tf.greater(tf.reshape(tf.range(0, K), [1, K]), tf.reshape(tf.range(K - T, K), [T, 1]))
}
