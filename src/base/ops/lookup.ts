import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { op } from '../autodiff/tape.ts'
import { gatherRows } from '../engine/kernels.ts'

/**
 * Rows of a table by index.
 *
 * @param table (V, D), a tensor where it may be trained @param ids (N), int32, each in [0, V)
 * @returns (N, D)
 * @example const rows = lookup(table, tf.tensor1d([3, 1], 'int32'))
 */
export function lookup(table: FrozenWeight | Tensor2D, ids: Tensor1D): Tensor2D {
  if (!(table instanceof tf.Tensor)) return table.rows(ids)
  return op(
    [table],
    (save) => {
      save(ids)
      return gatherRows(table, ids)
    },
    (dy, saved) => saved.map((indices) => tf.unsortedSegmentSum(dy, indices as Tensor1D, table.shape[0])),
  )
}
