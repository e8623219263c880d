import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { op } from '../autodiff/tape.ts'
import { dropoutMask } from './dropout.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'

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
 * With P the probabilities, M the factors of dropout and dP = M dy vᵀ:
 * dv = (P M)ᵀ dy, dS = P (dP − Σ P dP), dq = scale dS k, dk = scale dSᵀ q
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762
 *
 * @returns (B, T, H, D)
 * @throws InputError when attention is causal and there are fewer keys than queries
 * @example const context = attend({ q, k, v, scale: 1 / Math.sqrt(headSize) })
 */
export function attend(call: AttentionCall): Tensor4D {
  const { q, k, v, keyBias, causal } = call
  if (causal === true && k.shape[1] < q.shape[1]) {
    throw new InputError(`attend: expected at least as many keys as queries in causal attention, got ${k.shape[1]} and ${q.shape[1]}.`)
  }
  const { forward, backward } = choose(ATTENTION, [q, k, v, keyBias])
  return op(
    [q, k, v],
    (save) => {
      const { y, kept } = forward(call)
      save(...kept)
      return y
    },
    (dy, saved, needs) => [...backward(dy as Tensor4D, saved, call, needs)],
  )
}

interface Attention {
  readonly forward: (call: AttentionCall) => { readonly y: Tensor4D; readonly kept: readonly Tensor[] }
  /** dq, dk and dv from `call`'s numbers (its tensors may be gone) and what forward kept. */
  readonly backward: (
    dy: Tensor4D,
    kept: readonly Tensor[],
    call: AttentionCall,
    needs: readonly boolean[],
  ) => readonly (Tensor | null)[]
}

/** The fused form computes the probabilities again in the backward pass: its memory does not grow with T · K. */
const FUSED: Attention = {
  forward: (call) => {
    const { q, k, v, keyBias } = call
    const y = fusedOne('Attention', [q, k, v, keyBias, seedOf(call)], settingsOf(call)) as Tensor4D
    return { y, kept: [q, k, v, ...(keyBias === undefined ? [] : [keyBias])] }
  },
  backward: (dy, [q, k, v, keyBias], call) => fused('AttentionGrad', [q, k, v, keyBias, seedOf(call), dy], settingsOf(call), 3),
}

function seedOf({ dropout }: AttentionCall): Tensor {
  return tf.tensor1d([...(dropout?.seed ?? [0, 0])], 'int32')
}

function settingsOf({ scale, dropout, causal = false }: AttentionCall): Record<string, number | boolean> {
  return { scale, rate: dropout?.rate ?? 0, causal }
}

const COMPOSED: Attention = {
  forward: ({ q, k, v, scale, keyBias, causal = false, dropout }) => {
    const shared = q.shape[2] / k.shape[2]
    const [qh, kh, vh] = [toHeads(tf.mul(q, scale)), repeatHeads(toHeads(k), shared), repeatHeads(toHeads(v), shared)]
    let scores: Tensor = tf.matMul(qh, kh, false, true) // (B, H, T, K)
    const [B, , T, K] = scores.shape as [number, number, number, number]
    if (keyBias !== undefined) scores = tf.add(scores, tf.reshape(keyBias, [B, 1, 1, K]))
    if (causal) scores = tf.where(laterKeys(T, K), -Infinity, scores)
    const p = tf.softmax(scores)
    return { y: fromHeads(tf.matMul(drop(p, dropout), vh)), kept: [qh, kh, vh, p] }
  },
  backward: (dy, kept, { q, k, scale, dropout }, [qNeeds, kNeeds, vNeeds]) => {
    const [qh, kh, vh, p] = kept as [Tensor4D, Tensor4D, Tensor4D, Tensor4D]
    const shared = q.shape[2] / k.shape[2]
    const dyh = toHeads(dy)
    const dP = drop(tf.matMul(dyh, vh, false, true), dropout)
    const weighted = tf.mul(p, dP)
    const dS = tf.sub(weighted, tf.mul(p, tf.sum(weighted, 3, true)))
    return [
      qNeeds === true ? fromHeads(tf.mul(tf.matMul(dS, kh), scale)) : null,
      kNeeds === true ? fromHeads(sumHeads(tf.matMul(dS, qh, true, false), shared)) : null, // qh holds the scale
      vNeeds === true ? fromHeads(sumHeads(tf.matMul(drop(p, dropout), dyh, true, false), shared)) : null,
    ]
  },
}

const ATTENTION: Forms<Attention> = { fused: FUSED, composed: COMPOSED }

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

/** (T, K), true where key j lies after query i. */
function laterKeys(T: number, K: number): Tensor2D {
  return tf.greater(tf.reshape(tf.range(0, K), [1, K]), tf.reshape(tf.range(K - T, K), [T, 1]))
}
