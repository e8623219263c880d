import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { op, sharedByBatch } from '../autodiff/tape.ts'

/** How distances between tokens share the rows of a table. */
export interface Buckets {
  readonly count: number
  /** From this distance on all are one. */
  readonly furthest: number
  /** Keys behind a query have the second half of the rows; else they are all as near as itself. */
  readonly bothWays: boolean
}

/**
 * The bucket of a key at a distance from its query: near ones have one each, the others share them by the logarithm of their distance, in
 * float32 as in transformers, since at a border of two buckets the last digit decides. Raffel et al. 2020, arXiv:1910.10683.
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
  const log = (x: number): number => Math.fround(Math.log(Math.fround(x)))
  const share = Math.fround(Math.fround(log(away / single) / log(furthest / single)) * (side - single))
  return first + Math.min(side - 1, single + Math.trunc(share))
}

/**
 * What attention adds to the scores of T queries, the last of K keys, by distance: (1, H, T, K), of no sample of the batch.
 *
 * @param rows looks ids (N) up in a table with a number for each head, (N, H)
 * @example const bias = distanceBias(T, K, buckets, (ids) => pass.embedding('relative_attention_bias', ids, buckets.count, heads))
 */
export function distanceBias(T: number, K: number, buckets: Buckets, rows: (ids: Tensor1D) => Tensor2D): Tensor4D {
  const reach = buckets.furthest // what is further away is as far
  return sharedByBatch(() => {
    const near = tf.tensor1d(Int32Array.from({ length: 2 * reach + 1 }, (_, i) => bucketOf(i - reach, buckets)), 'int32')
    const distances = tf.sub(tf.range(0, K, 1, 'int32'), tf.reshape(tf.range(K - T, K, 1, 'int32'), [T, 1]))
    const places = tf.add(tf.maximum(tf.minimum(distances, whole(reach)), whole(-reach)), whole(reach))
    const pairs = rows(tf.gather(near, tf.reshape<Rank.R1>(places, [T * K])))
    const H = pairs.shape[1]
    return op([pairs], () => tf.reshape<Rank.R4>(tf.transpose(pairs), [1, H, T, K]), (dy) => [tf.transpose(tf.reshape<Rank.R2>(dy, [H, T * K]))])
  })
}

function whole(number: number): Tensor {
  return tf.scalar(number, 'int32')
}
