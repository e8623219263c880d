import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { bridge } from '../autodiff/tape.ts'

/**
 * (up + 1) · gate · σ(alpha · gate), where gate stays below a limit and up between it and its negative; the columns of x are gates and
 * ups in turn, (S, 2F) to (S, F). gpt-oss
 *
 * @example const middle = clampedGate(x, { alpha: 1.702, limit: 7 })
 */
export function clampedGate(x: Tensor2D, { alpha, limit }: { readonly alpha: number; readonly limit: number }): Tensor2D {
  const [S, columns] = x.shape
  return bridge([x], (both) => {
    const [gates, ups] = tf.unstack(tf.reshape(both, [S, columns / 2, 2]), 2) as [Tensor2D, Tensor2D]
    const gate = tf.minimum(gates, limit)
    return tf.mul(tf.add(tf.clipByValue(ups, -limit, limit), 1), tf.mul(gate, tf.sigmoid(tf.mul(gate, alpha))))
  })
}
