import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'

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
