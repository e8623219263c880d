import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'

/** A row with this label counts for nothing, as in PyTorch. */
export const IGNORED_LABEL = -100

/**
 * Mean cross entropy of logits against class indices, over the rows whose label is not `IGNORED_LABEL`.
 *
 * d logits = (softmax(logits) − onehot) / count
 *
 * @param logits (N, C) @param labels (N), int32, each in [0, C) or −100
 * @returns a scalar; 0 when every row is ignored (PyTorch gives NaN there)
 * @example const loss = crossEntropy(logits, tf.tensor1d([0, 2], 'int32'))
 */
export function crossEntropy(logits: Tensor2D, labels: Tensor1D): Scalar {
  return op(
    [logits],
    (save) => {
      save(logits, labels)
      const { targets, count } = countedTargets(labels, logits.shape[1])
      return tf.div(tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), targets))), count)
    },
    (dy, saved) => {
      const [x, y] = saved as [Tensor2D, Tensor1D]
      const { targets, counted, count } = countedTargets(y, x.shape[1])
      return [tf.mul(tf.sub(tf.mul(tf.softmax(x), counted), targets), tf.div(dy, count))]
    },
  )
}

interface Targets {
  readonly targets: Tensor2D // (N, C), one-hot; a row of zeros where the label is ignored
  readonly counted: Tensor2D // (N, 1), 0 where the label is ignored
  readonly count: Scalar // at least 1
}

function countedTargets(labels: Tensor1D, classes: number): Targets {
  const counted: Tensor2D = tf.cast(tf.notEqual(tf.expandDims(labels, 1), IGNORED_LABEL), 'float32')
  // oneHot gives a row of zeros for an index outside its range, and −100 is outside
  const targets = tf.cast(tf.oneHot(labels, classes), 'float32') as Tensor2D
  return { targets, counted, count: tf.maximum(tf.sum(counted), 1) }
}
