import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumOuterProducts } from './row-sums.ts'

/** Some rows of a table W as they are to be. */
export interface ChangedRows {
  readonly rows: Tensor2D // (k, D)
  /** What they were. */
  readonly start: Tensor2D // (k, D)
  /** Which rows of the table these are. */
  readonly indices: readonly number[]
}

/** Which of the k changed rows is that of each of `count` rows of a table; k for the others. */
function placesOf(indices: readonly number[], count: number): Tensor1D {
  const places = new Int32Array(count).fill(indices.length)
  for (const [i, index] of indices.entries()) places[index] = i
  return tf.tensor1d(places, 'int32')
}

/** With a last row, or column, of zeros, for all that is not changed. */
function withZeros(x: Tensor2D, axis: 0 | 1): Tensor2D {
  return tf.pad(x, axis === 0 ? [[0, 1], [0, 0]] : [[0, 0], [0, 1]])
}

/**
 * y[n] + rows[i] − start[i] where id n is the i-th of the indices: the rows of a table of which some have changed, from those of the old one.
 *
 * drows[i] = Σ dy over the places where the i-th of the indices stands
 *
 * @param ids (N), int32, each in [0, count) @param y (N, D)
 * @returns (N, D)
 * @example const embedded = lookupChanged(ids, changed, count, lookup(table, ids))
 */
export function lookupChanged(ids: Tensor1D, { rows, start, indices }: ChangedRows, count: number, y: Tensor2D): Tensor2D {
  return op(
    [rows, y],
    (save) => {
      const places = tf.gather(placesOf(indices, count), ids)
      save(places)
      return tf.add(y, tf.gather(withZeros(tf.sub(rows, start), 0), places))
    },
    (dy, [places], [rowsNeed]) => [
      rowsNeed === true ? tf.slice(tf.unsortedSegmentSum(dy, places as Tensor1D, indices.length + 1), 0, indices.length) : null,
      dy,
    ],
  )
}

/**
 * y + x (rows − start)ᵀ in the columns of the indices: a product with a table of which some rows have changed, from that with the old one.
 *
 * With d the columns of dy:  dx = d (rows − start), drows = dᵀ x
 *
 * @param x (N, D) @param y (N, V)
 * @returns (N, V)
 * @example const logits = productChanged(x, changed, linear(x, table))
 */
export function productChanged(x: Tensor2D, { rows, start, indices }: ChangedRows, y: Tensor2D): Tensor2D {
  return op(
    [x, rows, y],
    (save, [, rowsNeed]) => {
      const change = tf.sub<Tensor2D>(rows, start)
      save(...(rowsNeed === true ? [change, x] : [change]))
      const columns = withZeros(tf.matMul(x, change, false, true), 1)
      return tf.add(y, tf.gather(columns, placesOf(indices, y.shape[1]), 1))
    },
    (dy, [change, kept], [xNeeds]) => {
      const columns = tf.gather(dy as Tensor2D, tf.tensor1d([...indices], 'int32'), 1)
      return [
        xNeeds === true ? tf.matMul(columns, change as Tensor2D) : null,
        kept === undefined ? null : sumOuterProducts(rows, columns, kept as Tensor2D),
        dy,
      ]
    },
  )
}

/** W with the changed rows, beside what else has changed there. Call inside a tidy. */
export function changeRows(weight: Tensor, { rows, start, indices }: ChangedRows): Tensor2D {
  const [count = 0] = weight.shape
  return tf.add(weight, tf.gather(withZeros(tf.sub(rows, start), 0), placesOf(indices, count)))
}
