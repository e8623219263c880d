// Rows of numbers in int8, as the products of int8 weights take them: each rounded to whole numbers from −127 to 127 times its own scale
// (Wortsman et al. 2023, arXiv:2304.13013), but for its outliers (Dettmers et al. 2022, arXiv:2208.07339).

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'

/** Numbers of this size are outliers, as in LLM.int8. */
export const THRESHOLD = 6

/** Up to one in so many numbers of a row is an outlier: where more are large, that is what the row is like. */
const OUTLIERS = 32

/** The least size of a row's largest number that can be divided by. */
const LEAST = 1e-30

/**
 * What the rounded rows stand for. A row depends on itself alone, whatever stands beside it; of one with NaN or infinities all numbers
 * are NaN.
 *
 * @param threshold of outliers, which stay as they are; none without
 */
export function roundedRows(x: Tensor2D, threshold: number = Infinity): Tensor2D {
  return tf.tidy(() => {
    const size = tf.abs(x)
    const large = tf.greaterEqual(size, threshold)
    const many = Math.floor(x.shape[1] / OUTLIERS)
    const out = tf.logicalAnd(large, tf.lessEqual(tf.sum(tf.cast(large, 'float32'), 1, true), many))
    const kept = tf.where(out, tf.zerosLike(x), x)
    const largest = tf.max(tf.abs(kept), 1, true)
    const factor = tf.where(tf.greater(largest, LEAST), tf.div(127, largest), tf.zerosLike(largest))
    const whole = tf.mul(tf.round(tf.mul(kept, factor)), tf.mul(largest, Math.fround(1 / 127)))
    const onlyFinite = tf.sum(tf.mul(x, 0), 1, true)
    return tf.add<Tensor2D>(tf.where(out, x, whole), onlyFinite)
  })
}

let isExact = false

/** Whether products of quantised weights may round what is multiplied: those of int8 do, those of NF4 where the processor is faster then. */
export function rounds(): boolean {
  return !isExact
}

/** Runs `work`, in which they do not: what is computed is exact to the weights' numbers, as of every other kind. */
export function withoutRounding<T>(work: () => T): T {
  const before = isExact
  isExact = true
  try {
    return work()
  } finally {
    isExact = before
  }
}
