import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'

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
  const { forward, backward } = choose(CROSS_ENTROPY, [logits])
  return op(
    [logits],
    (save) => {
      const { loss, kept } = forward(logits, labels)
      save(logits, labels, ...kept)
      return loss
    },
    (dy, saved) => {
      const [x, y, ...kept] = saved as [Tensor2D, Tensor1D, ...Tensor[]]
      return [backward(dy, x, y, kept)]
    },
  )
}

interface CrossEntropy {
  readonly forward: (logits: Tensor2D, labels: Tensor1D) => { readonly loss: Scalar; readonly kept: readonly Tensor[] }
  readonly backward: (dy: Tensor, logits: Tensor2D, labels: Tensor1D, kept: readonly Tensor[]) => Tensor
}

const CROSS_ENTROPY: Forms<CrossEntropy> = {
  fused: {
    forward: (logits, labels) => {
      const [loss, logSums] = fused('CrossEntropy', [logits, labels], {}, 2) as [Scalar, Tensor]
      return { loss, kept: [logSums] }
    },
    backward: (dy, logits, labels, [logSums]) => fusedOne('CrossEntropyGrad', [dy, logits, labels, logSums]),
  },
  composed: {
    forward: (logits, labels) => {
      const { targets, count } = countedTargets(labels, logits.shape[1])
      // a choice, not a product: −∞ and NaN elsewhere in a row, or in one that is ignored, are not to reach the sum
      const chosen = tf.where(tf.cast(targets, 'bool'), tf.logSoftmax(logits), tf.zerosLike(logits))
      return { loss: tf.div(tf.neg(tf.sum(chosen)), count), kept: [] }
    },
    backward: (dy, logits, labels) => {
      const { targets, counted, count } = countedTargets(labels, logits.shape[1])
      const difference = tf.sub(tf.softmax(logits), targets)
      return tf.mul(tf.where(tf.cast(counted, 'bool'), difference, tf.zerosLike(logits)), tf.div(dy, count))
    },
  },
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
