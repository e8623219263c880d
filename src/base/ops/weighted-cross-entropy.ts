// Cross entropy with class weights and label smoothing, as PyTorch defines them.
//
// loss = Σ_n [ (1 − ε) w(y_n) · −log p(y_n) + ε / C · Σ_c w(c) · −log p(c) ] / Σ_n w(y_n)      over rows that count
// d logits = [ ((1 − ε) w(y) + ε / C · Σ_c w(c)) softmax − (1 − ε) w(y) onehot − ε / C · w ] / Σ_n w(y_n)
//
// Label smoothing: Szegedy et al. 2015, arXiv:1512.00567

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { IGNORED_LABEL } from './cross-entropy.ts'

export interface Weighting {
  /** ε: the share of each target that is spread over all classes. */
  readonly smoothing: number
  /** How much each class counts, (C). */
  readonly weights: Float32Array
}

/**
 * Weighted mean cross entropy of logits against smoothed targets, over the rows whose label is not `IGNORED_LABEL`.
 *
 * @param logits (N, C) @param labels (N), int32, each in [0, C) or −100
 * @returns a scalar; 0 when every row is ignored (PyTorch gives NaN there)
 * @example const loss = weightedCrossEntropy(logits, labels, { smoothing: 0.1, weights: Float32Array.of(1, 1, 3) })
 */
export function weightedCrossEntropy(logits: Tensor2D, labels: Tensor1D, weighting: Weighting): Scalar {
  return op(
    [logits],
    (save) => {
      save(logits, labels)
      const { targets, counted, total } = targetsOf(labels, logits.shape[1], weighting)
      // a choice, not a product: −∞ and NaN in a row that is ignored, or at a class of target 0, are not to reach the sum
      const used = tf.logicalAnd(counted, tf.greater(targets, 0))
      return tf.div(tf.neg(tf.sum(tf.where(used, tf.mul(targets, tf.logSoftmax(logits)), tf.zerosLike(logits)))), total)
    },
    (dy, saved) => {
      const [x, y] = saved as [Tensor2D, Tensor1D]
      const { targets, counted, total } = targetsOf(y, x.shape[1], weighting)
      const difference = tf.sub(tf.mul(tf.softmax(x), tf.sum(targets, 1, true)), targets)
      return [tf.mul(tf.where(counted, difference, tf.zerosLike(x)), tf.div(dy, total))]
    },
  )
}

interface Targets {
  readonly targets: Tensor2D // (N, C): what −log p of each class is multiplied by
  readonly counted: Tensor // (N, 1), bool
  readonly total: Scalar // the sum of the labels' weights
}

function targetsOf(labels: Tensor1D, classes: number, { smoothing, weights }: Weighting): Targets {
  const counted = tf.notEqual(tf.expandDims(labels, 1), IGNORED_LABEL)
  const row = tf.tensor2d(weights, [1, classes])
  // oneHot gives a row of zeros for an index outside its range, and −100 is outside
  const chosen = tf.mul(tf.cast(tf.oneHot(labels, classes), 'float32'), row)
  const sum: Scalar = tf.sum(chosen)
  const targets: Tensor2D = tf.add(tf.mul(chosen, 1 - smoothing), tf.mul(row, smoothing / classes))
  return { targets, counted, total: tf.where(tf.equal(sum, 0), tf.onesLike(sum), sum) }
}
