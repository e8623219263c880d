// The losses of the tasks.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { LossOptions } from '../architecture.ts'
import { bridge } from '../tape.ts'
import { add, reshape, scale } from '../ops/algebra.ts'
import { columns } from '../ops/columns.ts'
import { crossEntropy, IGNORED_LABEL } from '../ops/cross-entropy.ts'
import { unitRows } from '../ops/unit-rows.ts'
import { weightedCrossEntropy } from '../ops/weighted-cross-entropy.ts'

/** Mean cross entropy of each row, (B, C) with B labels, or of each token, (B, T, C) with B · T. */
export function classLoss(logits: Tensor, labels: Int32Array | undefined, options: LossOptions = {}): Scalar {
  const rows = flatten(logits)
  return entropy(rows, checkLabels(labels, ...rows.shape), options)
}

/** The same with each token's logits held against the token after it: (B, T, V) with B · T labels, the ids themselves. */
export function nextTokenLoss(logits: Tensor, labels: Int32Array | undefined, options: LossOptions = {}): Scalar {
  const rows = flatten(logits)
  const T = logits.shape[1] ?? 0
  const checked = checkLabels(labels, ...rows.shape)
  const next = checked.map((_, i) => ((i + 1) % T === 0 ? IGNORED_LABEL : (checked[i + 1] ?? IGNORED_LABEL)))
  return entropy(rows, next, options)
}

/** Mean of the cross entropies of the first and the last token of the answer: (B, T, 2) with B · 2 labels. */
export function spanLoss(logits: Tensor, labels: Int32Array | undefined, { labelSmoothing, classWeights }: LossOptions = {}): Scalar {
  if (classWeights !== undefined) throw new InputError('classWeights: expected none; the places of an answer are no classes.')
  const [B, T] = logits.shape as [number, number, number]
  const checked = checkLabels(labels, 2 * B, T)
  const side = (end: 0 | 1): Scalar => {
    const scores = reshape<Rank.R2>(columns(flatten(logits), end, 1), [B, T])
    return entropy(scores, checked.filter((_, i) => i % 2 === end), labelSmoothing === undefined ? {} : { labelSmoothing })
  }
  return scale(add(side(0), side(1)), 0.5)
}

/** What cosines are multiplied by before the softmax, as in sentence-transformers. */
const COSINE_SCALE = 20

/**
 * Contrastive loss with the negatives of the batch: each of A texts is to choose the one that belongs to it, by cosine,
 * among the R − A others. Henderson et al. 2017, arXiv:1705.00652; InfoNCE, van den Oord et al. 2018, arXiv:1807.03748.
 *
 * @param vectors (R, D), the A texts before the others
 * @param labels (A), for each text its own among the others
 */
export function contrastiveLoss(vectors: Tensor, labels: Int32Array | undefined, options: LossOptions = {}): Scalar {
  if (options.classWeights !== undefined) throw new InputError('classWeights: expected none; the texts of a batch are no classes.')
  const [R, D] = vectors.shape as [number, number]
  const A = labels?.length ?? 0
  if (labels !== undefined && (A === 0 || A >= R)) {
    throw new InputError(`labels: expected one for each of the first texts, with others behind them; got ${A} for ${R} texts.`)
  }
  const checked = checkLabels(labels, A, R - A)
  const cosines = bridge<Tensor2D>([unitRows(vectors as Tensor2D)], (unit) =>
    tf.matMul<Tensor2D>(tf.slice(unit, [0, 0], [A, D]), tf.slice(unit, [A, 0], [R - A, D]), false, true))
  return entropy(scale(cosines, COSINE_SCALE), checked, options)
}

/** The plain mean is the fused kernel's. */
function entropy(logits: Tensor2D, labels: Int32Array, { labelSmoothing = 0, classWeights }: LossOptions): Scalar {
  const tensor = tf.tensor1d(labels, 'int32')
  if (labelSmoothing === 0 && classWeights === undefined) return crossEntropy(logits, tensor)
  const C = logits.shape[1]
  const weights = classWeights === undefined ? new Float32Array(C).fill(1) : Float32Array.from(classWeights)
  const problems: string[] = []
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) problems.push(`labelSmoothing: expected a share from 0 to 1, got ${labelSmoothing}`)
  if (weights.length !== C) problems.push(`classWeights: expected ${C}, one for each class, got ${weights.length}`)
  if (!weights.every((weight) => weight >= 0 && weight < Infinity)) problems.push('classWeights: expected numbers of at least 0')
  if (problems.length > 0) throw new InputError('The loss cannot be computed:', problems)
  return weightedCrossEntropy(logits, tensor, { smoothing: labelSmoothing, weights })
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
