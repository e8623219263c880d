// The gated delta rule. Yang et al. 2024, arXiv:2412.06464

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { bridge } from '../autodiff/tape.ts'

/** T tokens; fewer heads of queries and keys than of values are shared. */
export interface DeltaCall {
  readonly q: Tensor4D // (B, T, Hk, D)
  readonly k: Tensor4D // (B, T, Hk, D)
  readonly v: Tensor4D // (B, T, H, E)
  /** Logarithm of what is kept of the memory at each token: 0 or less. */
  readonly decay: Tensor4D // (B, T, H, 1)
  /** How much of a token's value the memory takes, from 0 to 1. */
  readonly rate: Tensor4D // (B, T, H, 1)
}

/** Tokens that are computed together; the memory goes from one chunk to the next. */
const CHUNK = 64
/** Added to the squared length of queries and keys. */
const EPSILON = 1e-6

/**
 * What queries read in a memory S that each token writes to, with q and k of length 1 and q / √D:
 *
 *     S ← e^decay S,  S ← S + rate · k (v − kᵀ S)ᵀ,  y = Sᵀ q
 *
 * Its gradient is that of the chunks below, which are computed again for it.
 *
 * @returns (B, T, H, E)
 * @example const y = gatedDelta({ q, k, v, decay, rate })
 */
export function gatedDelta({ q, k, v, decay, rate }: DeltaCall): Tensor4D {
  return bridge([q, k, v, decay, rate], (...each) => inChunks(...(each as Given)).y)
}

/**
 * The same from a memory that earlier tokens left, without a gradient.
 *
 * @param before (B·H, D, E), all 0 by default
 * @example const { y, memory } = gatedDeltaFrom({ q, k, v, decay, rate }, earlier)
 */
export function gatedDeltaFrom({ q, k, v, decay, rate }: DeltaCall, before?: Tensor3D): { readonly y: Tensor4D; readonly memory: Tensor3D } {
  return inChunks(q, k, v, decay, rate, before)
}

type Given = [q: Tensor4D, k: Tensor4D, v: Tensor4D, decay: Tensor4D, rate: Tensor4D]

/**
 * The tokens of a chunk see each other as in attention. What they write depends on what those before them wrote: with L the strictly lower
 * part of rate · k kᵀ, decayed, their corrections are (I + L)⁻¹ (rate · (v − kᵀ S)).
 */
function inChunks(q: Tensor4D, k: Tensor4D, v: Tensor4D, decay: Tensor4D, rate: Tensor4D, before?: Tensor3D): { y: Tensor4D; memory: Tensor3D } {
  const [B, T, H, E] = v.shape
  const D = k.shape[3]
  const C = Math.min(CHUNK, T)
  const N = Math.ceil(T / C)
  const chunks = (x: Tensor4D): Tensor3D => {
    const [, , heads, size] = x.shape
    const shared = heads === H ? x : tf.reshape<Rank.R4>(tf.tile(tf.reshape(x, [B * T, heads, 1, size]), [1, 1, H / heads, 1]), [B, T, H, size])
    return tf.reshape(tf.pad(tf.transpose(shared, [0, 2, 1, 3]), [[0, 0], [0, 0], [0, N * C - T], [0, 0]]), [B * H * N, C, size])
  }
  const [keys, queries] = [unit(chunks(k)), tf.mul(unit(chunks(q)), D ** -0.5)]
  const rates = chunks(rate)
  const lower = triangle(C)
  const kept = tf.reshape(tf.matMul(tf.reshape(chunks(decay), [-1, C]), lower, false, true), [-1, C, 1]) // the logarithm of what is kept since the chunk began
  const between = tf.mul(tf.exp(tf.mul(tf.sub(kept, tf.transpose(kept, [0, 2, 1])), lower)), lower)
  const weighted = tf.mul(keys, rates)
  const inverse = inverseOf(tf.mul(tf.matMul(weighted, keys, false, true), between), C)
  const written = tf.matMul(inverse, tf.mul(chunks(v), rates))
  const known = tf.matMul(inverse, tf.mul(weighted, tf.exp(kept)))
  const within = tf.mul(tf.matMul(queries, keys, false, true), between)
  const whole = tf.slice(kept, [0, C - 1, 0], [-1, 1, 1])
  const asked = tf.mul(queries, tf.exp(kept))
  const stored = tf.mul(keys, tf.exp(tf.sub(whole, kept)))
  const [U, W, A, Q, K, left] = [written, known, within, asked, stored, tf.exp(whole)].map((x) => chunkByChunk(x, N)) as [Tensor[], Tensor[], Tensor[], Tensor[], Tensor[], Tensor[]]
  let memory: Tensor = before ?? tf.zeros([B * H, D, E])
  const read = U.map((values, n) => {
    const [w, a, ask, store, keep] = [W[n], A[n], Q[n], K[n], left[n]] as [Tensor, Tensor, Tensor, Tensor, Tensor]
    const corrected = tf.sub(values, tf.matMul(w, memory))
    const y = tf.add(tf.matMul(ask, memory), tf.matMul(a, corrected))
    memory = tf.add(tf.mul(memory, keep), tf.matMul(store, corrected, true, false))
    return y
  })
  const all = tf.reshape<Rank.R4>(tf.stack(read, 1), [B, H, N * C, E])
  return { y: tf.transpose(N * C === T ? all : tf.slice(all, [0, 0, 0, 0], [B, H, T, E]), [0, 2, 1, 3]), memory: memory as Tensor3D }
}

function unit(x: Tensor3D): Tensor3D {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), 2, true), EPSILON)))
}

/** The N chunks of each head: (B·H·N, C, X) to N of (B·H, C, X). */
function chunkByChunk(x: Tensor, N: number): Tensor[] {
  const [M = 0, C = 0, X = 0] = x.shape
  const all = tf.reshape(x, [M / N, N, C, X])
  return Array.from({ length: N }, (_, n) => tf.reshape(tf.slice(all, [0, n, 0, 0], [-1, 1, -1, -1]), [M / N, C, X])) // unstack has no gradient of one
}

/** (C, C): 1 on the diagonal and below. */
function triangle(C: number): Tensor2D {
  const [row, column] = indices(C)
  return tf.cast(tf.lessEqual(column, row), 'float32')
}

/**
 * (I + the strictly lower part of x)⁻¹, by blocks twice as large each time: [[a, 0], [x, b]]⁻¹ = [[a⁻¹, 0], [−b⁻¹ x a⁻¹, b⁻¹]]. Unlike a
 * sum of powers of x it adds no large numbers that cancel.
 */
function inverseOf(x: Tensor3D, C: number): Tensor3D {
  const [row, column] = indices(C)
  let inverse: Tensor3D = tf.tile(tf.reshape(tf.eye(C), [1, C, C]), [x.shape[0], 1, 1])
  for (let size = 1; size < C; size *= 2) {
    const [y, z] = [row, column].map((each) => tf.floorDiv(each, tf.scalar(size, 'int32'))) as [Tensor, Tensor]
    const pairs = tf.logicalAnd(tf.equal(y, tf.add(z, tf.scalar(1, 'int32'))), tf.equal(tf.mod(y, tf.scalar(2, 'int32')), tf.scalar(1, 'int32')))
    inverse = tf.sub(inverse, tf.matMul(tf.matMul(inverse, tf.mul(x, tf.cast(pairs, 'float32'))), inverse))
  }
  return inverse
}

function indices(C: number): readonly [row: Tensor, column: Tensor] {
  const all = tf.range(0, C, 1, 'int32')
  return [tf.reshape(all, [C, 1]), tf.reshape(all, [1, C])]
}
