import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { op, split } from '../autodiff/tape.ts'

/**
 * `size` columns of x (N, D) from `start` on.
 *
 * @returns (N, size)
 * @example const query = columns(qkv, 0, width)
 */
export function columns(x: Tensor2D, start: number, size: number): Tensor2D {
  const [N, D] = x.shape
  return op(
    [x],
    () => tf.slice(x, [0, start], [N, size]),
    (dy) => [tf.pad(dy, [[0, 0], [start, D - start - size]])],
  )
}

/**
 * The columns of x (N, D) in parts of these sizes, which are all of them.
 *
 * @returns (N, size) of each
 * @example const [query, keyAndValue] = columnsOf(x, [width, 2 * width])
 */
export function columnsOf<S extends readonly number[]>(x: Tensor2D, sizes: readonly [...S]): { -readonly [I in keyof S]: Tensor2D } {
  const N = x.shape[0]
  return split(
    x,
    () => tf.split<Tensor2D>(x, [...sizes], 1),
    (dys) => tf.concat(sizes.map((size, i) => dys[i] ?? tf.zeros([N, size])), 1),
  ) as { -readonly [I in keyof S]: Tensor2D }
}

/**
 * The columns of x (B·T, parts · H · D) in equal parts, each as heads (B, T, H, D): queries, keys and values of one product.
 *
 * @example const [q, k, v] = headsOf(qkv, 3, [batch, length, heads, headSize])
 */
export function headsOf(x: Tensor2D, parts: number, [B, T, H, D]: readonly [number, number, number, number]): Tensor4D[] {
  return split(
    x,
    () => tf.split<Tensor4D>(tf.reshape<Rank.R4>(x, [B, T, parts * H, D]), parts, 2),
    (dys) => tf.reshape(tf.concat(dys.map((dy) => dy ?? tf.zeros([B, T, H, D])), 2), x.shape),
  )
}
