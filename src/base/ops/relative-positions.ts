import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { bridge } from '../autodiff/tape.ts'

/** How distances between tokens share the rows of a table. */
export interface Buckets {
  readonly count: number
  /** From this distance on all are one. */
  readonly furthest: number
  /** Keys behind a query have buckets of their own; else they are all as near as itself. */
  readonly bothWays: boolean
}

/**
 * The bucket of a key at a distance from its query: near ones have one each, the others share them by the logarithm of their distance.
 * Raffel et al. 2020, arXiv:1910.10683.
 *
 * @param distance place of the key − place of the query
 * @example bucketOf(-3, { count: 32, furthest: 128, bothWays: true }) // 3
 */
export function bucketOf(distance: number, { count, furthest, bothWays }: Buckets): number {
  const side = bothWays ? Math.floor(count / 2) : count
  const first = bothWays && distance > 0 ? side : 0
  const away = bothWays ? Math.abs(distance) : Math.max(0, -distance)
  const single = Math.floor(side / 2)
  if (away < single) return first + away
  // in float32, as in PyTorch: at a border of two buckets the last digit decides
  const share = Math.fround(Math.fround(Math.log(Math.fround(away / single))) / Math.log(furthest / single))
  return first + Math.min(side - 1, single + Math.floor(Math.fround(share * (side - single))))
}

/** Those of T queries, the last of K keys, row by row: (T·K), int32. */
export function buckets(T: number, K: number, options: Buckets): Tensor1D {
  const near = Array.from({ length: T + K }, (_, i) => bucketOf(i - K, options))
  return tf.tensor1d(Int32Array.from({ length: T * K }, (_, i) => near[(i % K) - (K - T + Math.floor(i / K)) + K] ?? 0), 'int32')
}

/** Rows of a table with a column for each head, (T·K, H), as what attention adds to its scores: (1, H, T, K). */
export function headBias(rows: Tensor2D, T: number, K: number): Tensor4D {
  return bridge([rows], (x) => tf.reshape(tf.transpose(x as Tensor2D), [1, rows.shape[1], T, K]))
}
