import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumRows } from './row-sums.ts'

/**
 * The logarithm of what a memory keeps: y = −e^log · softplus(x + bias). Gu and Dao 2023, arXiv:2312.00752
 *
 * dx = −e^log · σ(x + bias) · dy, dlog = Σ y dy, dbias = Σ dx
 *
 * @param x (N, H) @param log (H) @param bias (H)
 * @returns (N, H), 0 or less
 * @example const decay = logDecay(x, aLog, dtBias)
 */
export function logDecay(x: Tensor2D, log: Tensor1D, bias: Tensor1D): Tensor2D {
  return op(
    [x, log, bias],
    (save) => {
      const [sum, speed] = [tf.add<Tensor2D>(x, bias), tf.neg(tf.exp(log))]
      const y = tf.mul<Tensor2D>(speed, tf.softplus(sum))
      save(tf.mul(speed, tf.sigmoid(sum)), y)
      return y
    },
    (dy, saved, [xNeeds, logNeeds, biasNeeds]) => {
      const [slope, y] = saved as [Tensor, Tensor]
      const dx = tf.mul(dy, slope)
      return [xNeeds === true ? dx : null, logNeeds === true ? sumRows(log, tf.mul(dy, y)) : null, biasNeeds === true ? sumRows(bias, dx) : null]
    },
  )
}
