import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { gatherRows, isOpaque } from '../engine/bfloat16.ts'
import { op } from '../autodiff/tape.ts'

/**
 * Rows of a table by index.
 *
 * @param table (V, D), bfloat16 where it is frozen so @param ids (N), int32, each in [0, V)
 * @returns (N, D)
 * @example const rows = lookup(table, tf.tensor1d([3, 1], 'int32'))
 */
export function lookup(table: Tensor2D, ids: Tensor1D): Tensor2D {
  return op(
    [table],
    (save) => {
      save(ids)
      return isOpaque(table) ? gatherRows(table, ids) : tf.gather(table, ids)
    },
    (dy, saved) => saved.map((indices) => tf.unsortedSegmentSum(dy, indices as Tensor1D, table.shape[0])),
  )
}
