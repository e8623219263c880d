// Small differentiable pieces that models and methods are put together with.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, ShapeMap, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumRows } from './row-sums.ts'

/** a + b, of one shape. */
export function add<T extends Tensor>(a: T, b: T): T {
  return op([a, b], () => tf.add<T>(a, b), (dy) => [dy, dy])
}

/** x (N, D) + a row (1, D) of a parameter; of one that is shorter to the first columns. */
export function addRow(x: Tensor2D, row: Tensor2D): Tensor2D {
  const [, width] = row.shape
  const missing = x.shape[1] - width
  return op(
    [x, row],
    () => tf.add<Tensor2D>(x, missing === 0 ? row : tf.pad(row, [[0, 0], [0, missing]])),
    (dy, _, [, rowNeeds]) => [dy, rowNeeds === true ? tf.expandDims(sumRows(row, missing === 0 ? dy : tf.slice(dy, [0, 0], [-1, width])), -2) : null],
  )
}

/** a · b, number by number. */
export function multiply<T extends Tensor>(a: T, b: T): T {
  return op(
    [a, b],
    (save) => {
      save(a, b)
      return tf.mul<T>(a, b)
    },
    (dy, saved, [aNeeds, bNeeds]) => {
      const [x, y] = saved as [Tensor, Tensor]
      return [aNeeds === true ? tf.mul(dy, y) : null, bNeeds === true ? tf.mul(dy, x) : null]
    },
  )
}

/** x · factor. */
export function scale<T extends Tensor>(x: T, factor: number): T {
  return op([x], () => tf.mul<T>(x, factor), (dy) => [tf.mul(dy, factor)])
}

/** x · factor, where that is not x itself. */
export function times<T extends Tensor>(x: T, factor: number): T {
  return factor === 1 ? x : scale(x, factor)
}

/** cap · tanh(x / cap): between −cap and cap. Gemma 2, arXiv:2408.00118 */
export function capped<T extends Tensor>(x: T, cap: number): T {
  return op(
    [x],
    (save) => {
      const share = tf.tanh<T>(tf.div(x, cap))
      save(share)
      return tf.mul<T>(share, cap)
    },
    (dy, [share]) => [share === undefined ? null : tf.mul(dy, tf.sub(1, tf.square(share)))],
  )
}

/** x in another shape; no data moves. */
export function reshape<R extends Rank>(x: Tensor, shape: ShapeMap[R]): Tensor<R> {
  return op([x], () => tf.reshape(x, shape), (dy) => [tf.reshape(dy, x.shape)])
}

/** The token at `position` of every row: (B, T, D) to (B, D). */
export function tokenAt(x: Tensor3D, position: number): Tensor2D {
  const [B, T, D] = x.shape
  return op(
    [x],
    () => tf.reshape(tf.slice(x, [0, position, 0], [B, 1, D]), [B, D]),
    (dy) => [tf.pad(tf.reshape(dy, [B, 1, D]), [[0, 0], [position, T - position - 1], [0, 0]])],
  )
}

/** x (B·T, D) with zeros at padding, where the 0/1 mask (B, T) is 0. */
export function timesMask(x: Tensor2D, mask: Tensor2D): Tensor2D {
  const zeroed = (rows: Tensor, by: Tensor): Tensor2D => tf.mul(rows, tf.reshape(by, [by.size, 1]))
  return op(
    [x],
    (save) => {
      save(mask)
      return zeroed(x, mask)
    },
    (dy, [kept]) => [kept === undefined ? null : zeroed(dy, kept)],
  )
}

/** Mean over the real tokens of every row: (B, T, D) with a 0/1 mask (B, T) to (B, D). */
export function meanTokens(x: Tensor3D, mask: Tensor2D): Tensor2D {
  const [B, T] = x.shape
  return op(
    [x],
    (save) => {
      const weights = tf.reshape(tf.div(mask, tf.maximum(tf.sum(mask, 1, true), 1)), [B, T, 1])
      save(weights)
      return tf.sum(tf.mul(x, weights), 1)
    },
    (dy, saved) => saved.map((weights) => tf.mul(tf.expandDims(dy, 1), weights)),
  )
}

/** The tokens from `start` on: (B, T, D) to (B, T − start, D). */
export function tokensFrom(x: Tensor3D, start: number): Tensor3D {
  const [B, T, D] = x.shape
  return op(
    [x],
    () => tf.slice(x, [0, start, 0], [B, T - start, D]),
    (dy) => [tf.pad(dy, [[0, 0], [start, 0], [0, 0]])],
  )
}

/** x (N, D) times a factor for each column, or one for all: factor (D) or (1). */
export function scaleColumns(x: Tensor2D, factor: Tensor1D): Tensor2D {
  return op(
    [x, factor],
    (save) => {
      save(x)
      return tf.mul(x, factor)
    },
    (dy, [saved], [xNeeds, factorNeeds]) => [
      xNeeds === true ? tf.mul(dy, factor) : null,
      saved !== undefined && factorNeeds === true ? sumRows(factor, factor.size === 1 ? tf.sum(tf.mul(dy, saved), 1, true) : tf.mul(dy, saved)) : null,
    ],
  )
}

/** The same rows (P, D) before every sample's own: (B, T, D) to (B, P + T, D). */
export function prepend(rows: Tensor2D, x: Tensor3D): Tensor3D {
  const [B, T, D] = x.shape
  const P = rows.shape[0]
  return op(
    [rows, x],
    () => tf.concat([tf.tile(tf.reshape(rows, [1, P, D]), [B, 1, 1]), x], 1),
    (dy, _, [rowsNeed, xNeeds]) => [
      rowsNeed === true ? sumRows(rows, tf.slice(dy, [0, 0, 0], [B, P, D])) : null,
      xNeeds === true ? tf.slice(dy, [0, P, 0], [B, T, D]) : null,
    ],
  )
}

/** As many zeros before the last axis of x: (A, B, C, D) to (A, B, C, count + D). */
export function zerosBefore(x: Tensor4D, count: number): Tensor4D {
  return op(
    [x],
    () => tf.pad(x, [[0, 0], [0, 0], [0, 0], [count, 0]]),
    (dy) => [tf.slice(dy, [0, 0, 0, count], x.shape)],
  )
}

/** Two tensors side by side: (N, D) and (N, E) to (N, D + E). */
export function beside(a: Tensor2D, b: Tensor2D): Tensor2D {
  const [[N, D], [, E]] = [a.shape, b.shape]
  return op([a, b], () => tf.concat([a, b], 1), (dy) => [tf.slice(dy, [0, 0], [N, D]), tf.slice(dy, [0, D], [N, E])])
}
