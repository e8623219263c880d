// The losses of the tasks.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { add, reshape, scale } from '../ops/algebra.ts'
import { columns } from '../ops/columns.ts'
import { crossEntropy, IGNORED_LABEL } from '../ops/cross-entropy.ts'

/** Mean cross entropy of each row, (B, C) with B labels, or of each token, (B, T, C) with B · T. */
export function classLoss(logits: Tensor, labels: Int32Array | undefined): Scalar {
  const rows = flatten(logits)
  return crossEntropy(rows, tf.tensor1d(checkLabels(labels, ...rows.shape), 'int32'))
}

/** The same with each token's logits held against the token after it: (B, T, V) with B · T labels, the ids themselves. */
export function nextTokenLoss(logits: Tensor, labels: Int32Array | undefined): Scalar {
  const rows = flatten(logits)
  const T = logits.shape[1] ?? 0
  const checked = checkLabels(labels, ...rows.shape)
  const next = checked.map((_, i) => ((i + 1) % T === 0 ? IGNORED_LABEL : (checked[i + 1] ?? IGNORED_LABEL)))
  return crossEntropy(rows, tf.tensor1d(next, 'int32'))
}

/** Mean of the cross entropies of the first and the last token of the answer: (B, T, 2) with B · 2 labels. */
export function spanLoss(logits: Tensor, labels: Int32Array | undefined): Scalar {
  const [B, T] = logits.shape as [number, number, number]
  const checked = checkLabels(labels, 2 * B, T)
  const side = (end: 0 | 1): Scalar => {
    const scores = reshape<Rank.R2>(columns(flatten(logits), end, 1), [B, T])
    return crossEntropy(scores, tf.tensor1d(checked.filter((_, i) => i % 2 === end), 'int32'))
  }
  return scale(add(side(0), side(1)), 0.5)
}

function flatten(logits: Tensor): Tensor2D {
  const C = logits.shape.at(-1) ?? 0
  return reshape<Rank.R2>(logits, [logits.size / C, C])
}

function checkLabels(labels: Int32Array | undefined, count: number, classes: number): Int32Array {
  if (labels === undefined) throw new InputError('The loss needs labels, one class index for each row (or token); the batch has none.')
  if (labels.length !== count) throw new InputError(`labels: expected ${count} of them, got ${labels.length}.`)
  const wrong = [...labels.entries()].filter(([, label]) => label !== IGNORED_LABEL && (label < 0 || label >= classes))
  if (wrong.length > 0) {
    throw new InputError(
      `labels: expected 0 to ${classes - 1} (or ${IGNORED_LABEL} for "does not count"); out of range:`,
      wrong.slice(0, 8).map(([index, label]) => `labels[${index}] = ${label}`),
    )
  }
  return labels
}
