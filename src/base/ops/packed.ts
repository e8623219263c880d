// Pieces for rows of different lengths that stand one behind the other.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/** The length of the longest row. */
export function longestOf(borders: readonly number[]): number {
  return borders.reduce((most, end, row) => Math.max(most, end - (borders[row - 1] ?? 0)), 0)
}

/** Borders where each row has the same number of members more, so that there are `count` in all. */
export function widerBorders(borders: readonly number[], count: number): number[] {
  const [rows, tokens] = [borders.length - 1, borders.at(-1) ?? 0]
  return borders.map((border, row) => border + ((count - tokens) / rows) * row)
}

/** Rows (N, D) at their places among `count`, with zeros at the others. @param places (N), int32 */
export function spreadRows(x: Tensor2D, places: Tensor1D, count: number): Tensor2D {
  const [N, D] = x.shape
  return op(
    [x],
    (save) => {
      save(places)
      return tf.scatterND(tf.reshape(places, [N, 1]), x, [count, D])
    },
    (dy, [from]) => [from === undefined ? null : tf.gather(dy, from as Tensor1D)],
  )
}

/** The same rows (P, D) before those between each two borders of x (N, D). */
export function prependEach(rows: Tensor2D, x: Tensor2D, borders: readonly number[]): Tensor2D {
  const [[P, D], [N]] = [rows.shape, x.shape]
  const B = borders.length - 1
  const [virtual, own]: [number[], number[]] = [[], []]
  for (let row = 0; row < B; row++) {
    const [first = 0, end = 0] = [borders[row], borders[row + 1]]
    for (let n = 0; n < P; n++) virtual.push(first + row * P + n)
    for (let i = first; i < end; i++) own.push(i + (row + 1) * P)
  }
  const indices = (places: number[]): Tensor1D => tf.tensor1d(places, 'int32')
  return op(
    [rows, x],
    () => {
      const places = tf.reshape(indices([...virtual, ...own]), [B * P + N, 1])
      return tf.scatterND(places, tf.concat([tf.tile(rows, [B, 1]), x], 0), [B * P + N, D])
    },
    (dy, _, [rowsNeed, xNeeds]) => [
      rowsNeed === true ? tf.sum(tf.reshape(tf.gather(dy, indices(virtual)), [B, P, D]), 0) : null,
      xNeeds === true ? tf.gather(dy, indices(own)) : null,
    ],
  )
}
