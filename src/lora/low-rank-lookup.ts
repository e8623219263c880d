import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { sumOuterProducts } from '../base/ops/row-sums.ts'
import { op } from '../base/autodiff/tape.ts'

/**
 * y + s · x B A: what the update of a table adds to a product with the table, y = x Eᵀ.
 *
 * With h = s x B and g = s dy Aᵀ:  dx = g Bᵀ, dA = hᵀ dy, dB = xᵀ g
 *
 * @param x (N, D) @param a (rank, V) @param b (D, rank) @param scale s @param y (N, V)
 * @returns (N, V)
 * @example const logits = lowRankOfTable(x, a, b, alpha / rank, y)
 */
export function lowRankOfTable(x: Tensor2D, a: Tensor2D, b: Tensor2D, scale: number, y: Tensor2D): Tensor2D {
  return op(
    [x, a, b, y],
    (save, [, aNeeds, bNeeds]) => {
      const h = tf.mul<Tensor2D>(tf.matMul(x, b), scale)
      if (aNeeds === true || bNeeds === true) save(x, h)
      return tf.add(y, tf.matMul(h, a))
    },
    (dy, saved, [xNeeds, aNeeds, bNeeds]) => {
      const [rows, h] = saved as [Tensor2D?, Tensor2D?]
      const g = tf.mul<Tensor2D>(tf.matMul(dy, a, false, true), scale)
      return [
        xNeeds === true ? tf.matMul(g, b, false, true) : null,
        aNeeds === true && h !== undefined ? sumOuterProducts(a, h, dy as Tensor2D) : null,
        bNeeds === true && rows !== undefined ? sumOuterProducts(b, rows, g) : null,
        dy,
      ]
    },
  )
}

/**
 * s · A[:, ids]ᵀ Bᵀ: the rows that a low-rank update adds to those of a table.
 *
 * With g = s dy B:  dA[:, i] = Σ g over the places where id i stands, dB = s dyᵀ A[:, ids]ᵀ
 *
 * @param ids (N), int32, each in [0, V) @param a (rank, V) @param b (D, rank) @param scale s
 * @returns (N, D)
 * @example const update = lowRankLookup(ids, a, b, alpha / rank)
 */
export function lowRankLookup(ids: Tensor1D, a: Tensor2D, b: Tensor2D, scale: number): Tensor2D {
  return op(
    [a, b],
    (save) => {
      const h = tf.mul(tf.gather(a, ids, 1), scale) // (rank, N)
      save(ids, h)
      return tf.matMul<Tensor2D>(h, b, true, true)
    },
    (dy, saved, [aNeeds, bNeeds]) => {
      const [indices, h] = saved as [Tensor1D, Tensor2D]
      const toA = (): Tensor2D => tf.transpose(tf.unsortedSegmentSum<Tensor2D>(tf.mul(tf.matMul<Tensor2D>(dy as Tensor2D, b), scale), indices, a.shape[1]))
      return [aNeeds === true ? toA() : null, bNeeds === true ? tf.matMul(dy, h, true, true) : null]
    },
  )
}
