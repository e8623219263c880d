import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'

/** For each token its product with the row of each distance, read as scores. */
export interface DistanceScores {
  readonly scale: number
  /** x are the keys, not the queries: the scores are turned so that queries come first. @default false */
  readonly keys?: boolean
}

/**
 * scale · x_i · rows[distance of i and j], (B, H, T, T)
 *
 * All distances of a text are products of one table: 2T − 1 rows, from T − 1 to 1 − T, and one that is not read. Row i of the products has
 * what it needs in the T places from T − 1 − i on, which lie one behind the other once the rows are read as one shorter.
 *
 * Source: Huang et al. 2018, arXiv:1809.04281 (the reading); He et al. 2020, arXiv:2006.03654 (the products)
 *
 * @param x (B, T, H, D)
 * @param rows (2T, H · D): row r is for a token T − 1 − r places behind the other
 * @example const scores = distanceScores(q, rows, { scale })
 */
export function distanceScores(x: Tensor4D, rows: Tensor2D, { scale, keys = false }: DistanceScores): Tensor4D {
  const [B, T, H, D] = x.shape
  const order = keys ? [1, 0, 3, 2] : [1, 0, 2, 3]
  const tokens = (from: Tensor): Tensor => tf.reshape(tf.transpose(from as Tensor4D, [2, 0, 1, 3]), [H, B * T, D])
  const table = (from: Tensor): Tensor => tf.transpose(tf.reshape<Rank.R3>(from, [2 * T, H, D]), [1, 0, 2])
  return op(
    [x, rows],
    (save, [xNeeds, rowsNeed]) => {
      if (xNeeds === true) save(rows)
      if (rowsNeed === true) save(x)
      const products = tf.reshape(tf.matMul(tokens(x), table(rows), false, true), [H * B, 2 * T * T])
      const read = tf.slice(tf.reshape(tf.slice(products, [0, T - 1], [H * B, T * (2 * T - 1)]), [H * B, T, 2 * T - 1]), [0, 0, 0], [H * B, T, T])
      return tf.mul(tf.transpose(tf.reshape<Rank.R4>(read, [H, B, T, T]), order), scale)
    },
    (dy, saved, [xNeeds, rowsNeed]) => {
      const read = tf.pad(tf.reshape<Rank.R3>(tf.transpose(tf.mul(dy as Tensor4D, scale), order), [H * B, T, T]), [[0, 0], [0, 0], [0, T - 1]])
      const products = tf.reshape(tf.pad(tf.reshape<Rank.R2>(read, [H * B, T * (2 * T - 1)]), [[0, 0], [T - 1, 1]]), [H, B * T, 2 * T])
      const dx = (): Tensor => tf.transpose(tf.reshape<Rank.R4>(tf.matMul(products, table(saved[0] as Tensor)), [H, B, T, D]), [1, 2, 0, 3])
      const dRows = (): Tensor => tf.reshape(tf.transpose(tf.matMul<Tensor3D>(products, tokens(saved.at(-1) as Tensor), true), [1, 0, 2]), [2 * T, H * D])
      return [xNeeds === true ? dx() : null, rowsNeed === true ? dRows() : null]
    },
  )
}
