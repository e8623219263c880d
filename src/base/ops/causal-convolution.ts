import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor3D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumRows } from './row-sums.ts'

/**
 * Each column by itself, of a token and of those before it: y_t = Σ w_i x_(t − K + 1 + i).
 *
 * dx_t = Σ w_i dy_(t + K − 1 − i), dw_i = Σ dy_t x_(t − K + 1 + i)
 *
 * @param x (B, T, C), behind the K − 1 rows that came `before` them, (B, K − 1, C) @param weight (C, 1, K)
 * @returns (B, T, C)
 * @example const y = causalConvolution(x, weight, tf.zeros([batch, weight.shape[2] - 1, columns]))
 */
export function causalConvolution(x: Tensor3D, weight: Tensor3D, before: Tensor3D): Tensor3D {
  const [B, T, C] = x.shape
  const K = weight.shape[2]
  const taps = (of: Tensor): Tensor[] => tf.unstack(tf.reshape(of, [C, K]), 1)
  const from = (rows: Tensor3D, start: number): Tensor3D => tf.slice(rows, [0, start, 0], [B, T, C])
  return op(
    [x, weight],
    (save) => {
      const rows = tf.concat([before, x], 1)
      save(rows, weight)
      return tf.addN(taps(weight).map((tap, i) => tf.mul<Tensor3D>(from(rows, i), tap)))
    },
    (dy, [rows, w], [xNeeds, weightNeeds]) => {
      if (rows === undefined || w === undefined) return [null, null]
      const later = tf.pad(dy, [[0, 0], [0, K - 1], [0, 0]]) as Tensor3D
      return [
        xNeeds === true ? tf.addN(taps(w).map((tap, i) => tf.mul(from(later, K - 1 - i), tap))) : null,
        weightNeeds === true ? sumRows(weight, tf.reshape(tf.stack(taps(w).map((_, i) => tf.mul(dy, from(rows as Tensor3D, i))), 3), [B * T, C, 1, K])) : null,
      ]
    },
  )
}
