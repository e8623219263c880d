import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../base/tape.ts'

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
