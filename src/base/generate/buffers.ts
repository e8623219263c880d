// Tensors that a cache holds: keys and values with room behind them, and what of them is not seen.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { tidied } from '../engine/tidied.ts'
import { MASKED } from '../ops/attention-call.ts'
import { widerBorders } from '../ops/packed.ts'

/**
 * Rows of keys or values with room for more behind them. Joining the rows of all tokens to those of the next one anew for
 * each token would move as much memory at 1,000 tokens of GPT-2 as a third of its weights, 150 MB of 500 MB.
 */
export interface Buffer {
  readonly rows: Tensor4D // (B, capacity, H, D)
  /** The same memory, row by row. */
  readonly flat: Tensor4D // (B · capacity, 1, H, D)
}

/** Room is made for multiples of this many tokens, */
const ROOM = 32
/** and for this many times those that are there: what is not used yet takes memory, and to make more all is copied. */
const GROWTH = 1.25

/** Hides padding, and what of the buffers is not used yet; each step shows its own token. */
export interface Hidden {
  readonly keyBias: Tensor2D // (B, capacity)
  /** The same memory, key by key. */
  readonly flat: Tensor2D // (B · capacity, 1)
}

export function roomFor(tokens: number): number {
  return Math.ceil(Math.max(tokens + 1, tokens * GROWTH) / ROOM) * ROOM
}

/** Hides what the mask hides, and what there is no token for yet. */
export function hiddenBy(mask: Tensor2D, capacity: number): Hidden {
  return tidied(() => hiddenIn(tf.concat([hiding(mask), tf.fill([mask.shape[0], capacity - mask.shape[1]], MASKED)], 1)))
}

export function hiddenIn(keyBias: Tensor2D): Hidden {
  return { keyBias: tf.keep(keyBias), flat: tf.keep(tf.reshape(keyBias, [keyBias.size, 1])) }
}

/** What is added to scores so that padding is not seen. */
export function hiding(mask: Tensor2D): Tensor2D {
  return tf.mul(tf.sub(1, mask), MASKED)
}

/** The mask of what is not hidden of the first tokens. */
export function shownBy({ keyBias }: Hidden, length: number): Tensor2D {
  return tf.tidy(() => tf.cast(tf.greater(tf.slice(keyBias, [0, 0], [keyBias.shape[0], length]), MASKED / 2), 'float32'))
}

/** The mask of rows that begin at the first place. */
export function maskOf(lengths: readonly number[]): Tensor2D {
  const most = Math.max(...lengths)
  return tf.tensor2d(Float32Array.from({ length: lengths.length * most }, (_, i) => (i % most < (lengths[Math.floor(i / most)] ?? 0) ? 1 : 0)), [lengths.length, most])
}

/** Where each of packed rows' members goes among rows that begin at the first place. */
export function placesOf(borders: readonly number[], lengths: readonly number[], capacity: number): number[] {
  return borders.slice(1).flatMap((_, row) => Array.from({ length: lengths[row] ?? 0 }, (__, t) => row * capacity + t))
}

/** The same of rows that stand one behind the other, x (1, N, H, D). */
export function spread(x: Tensor4D, borders: readonly number[], capacity: number): Buffer {
  const [, count, heads, size] = x.shape
  const wide = widerBorders(borders, count)
  const lengths = wide.slice(1).map((end, row) => end - (wide[row] ?? 0))
  const rows = tf.keep(tf.tidy(() => {
    const places = tf.tensor2d(placesOf(borders, lengths, capacity), [count, 1], 'int32')
    return tf.reshape<tf.Rank.R4>(tf.scatterND(places, tf.reshape(x, [count, heads * size]), [lengths.length * capacity, heads * size]), [lengths.length, capacity, heads, size])
  }))
  return { rows, flat: flatOf(rows) }
}

/** x (B, K, H, D) in memory of its own where there is room behind it. */
export function bufferOf(x: Tensor4D, capacity: number): Buffer {
  const length = x.shape[1]
  const rows = tf.keep(length === capacity ? tf.clone(x) : tf.pad(x, [[0, 0], [0, capacity - length], [0, 0], [0, 0]]))
  return { rows, flat: flatOf(rows) }
}

export function flatOf(rows: Tensor4D): Tensor4D {
  const [batch, capacity, heads, size] = rows.shape
  return tf.keep(tf.reshape(rows, [batch * capacity, 1, heads, size]))
}

/** Rows [from, to) of each sample. */
export function between(x: Tensor4D, from: number, to: number): Tensor4D {
  const [batch, length, heads, size] = x.shape
  return from === 0 && to === length ? x : tf.slice(x, [0, from, 0, 0], [batch, to - from, heads, size])
}
