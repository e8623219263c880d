// The losses of the tasks.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import type { LossOptions } from '../architecture.ts'
import type { Batch } from '../batch.ts'
import { add, reshape, scale } from '../ops/algebra.ts'
import { columns } from '../ops/columns.ts'
import { crossEntropy, IGNORED_LABEL } from '../ops/cross-entropy.ts'
import { binaryCrossEntropies, squaredErrors } from '../ops/targets.ts'
import { weightedCrossEntropy, type Weighting } from '../ops/weighted-cross-entropy.ts'

/** A loss as its sum and what it is to be divided by, so that parts of a batch, and batches, are divided once, at the end. */
export interface LossParts {
  /** Differentiable. */
  readonly sum: Scalar
  /** How much counts: labels, or their weights; at least 0. */
  readonly weight: number
}

/**
 * A task's loss, from what the model gives for a batch.
 *
 * @throws InputError when labels are missing, of the wrong number or out of range, or the options do not fit them
 */
export type Loss = (output: Tensor, batch: Partial<Batch>, options?: LossOptions) => LossParts

/** A mean over nothing is no number: PyTorch gives NaN. */
export const NOTHING_COUNTS: string = `The loss needs a label that counts: all of them are ${IGNORED_LABEL}, or of classes whose weight is 0.`

/** Cross entropy of each row, (B, C) with B labels, or of each token, (B, T, C) with B · T. */
export const classLoss: Loss = (logits, { labels }, options = {}) => {
  const rows = flatten(logits)
  if (rows.shape[1] < 2) throw new InputError('The loss needs at least two classes: of one there is nothing to learn.')
  return entropy(rows, checkLabels(labels, ...rows.shape), options)
}

/** The same with each token's logits held against the token after it: (B, T, V) with B · T labels, the ids themselves. */
export const nextTokenLoss: Loss = (logits, { labels }, options = {}) => {
  const rows = flatten(logits)
  return entropy(rows, labelsAfter(checkLabels(labels, ...rows.shape), logits.shape[1] ?? 0), options)
}

/** The labels of tokens, each of them checked, as the loss of a language model holds them against the logits of B · T tokens. */
export type TokenLabels = (labels: Batch['labels'], shape: readonly [batch: number, length: number, classes: number]) => Int32Array

export const ownLabels: TokenLabels = (labels, [batch, length, classes]) => checkLabels(labels, batch * length, classes)

export const nextLabels: TokenLabels = (labels, shape) => labelsAfter(ownLabels(labels, shape), shape[1])

/** The label behind each, in rows of so many; behind the last of a row nothing counts. */
export function labelsAfter<V extends Int32Array | Float32Array>(labels: V, length: number): V {
  return labels.map((_, i) => ((i + 1) % length === 0 ? IGNORED_LABEL : (labels[i + 1] ?? IGNORED_LABEL))) as V
}

/**
 * The mean of the mean cross entropies of the first and the last tokens of the answers: (B, T, 2) with B · 2 labels. Of a batch in
 * which more rows have one side than the other, it counts as if all had both.
 */
export const spanLoss: Loss = (logits, { labels }, { labelSmoothing, classWeights } = {}) => {
  if (classWeights !== undefined) throw new InputError('classWeights: expected none; the places of an answer are no classes.')
  const [B, T] = logits.shape as [number, number, number]
  const checked = checkLabels(labels, 2 * B, T)
  const [first, last] = ([0, 1] as const).map((end) => {
    const scores = reshape<Rank.R2>(columns(flatten(logits), end, 1), [B, T])
    return entropy(scores, checked.filter((_, i) => i % 2 === end), labelSmoothing === undefined ? {} : { labelSmoothing })
  }) as [LossParts, LossParts]
  const weight = 2 * Math.max(first.weight, last.weight)
  const share = ({ sum, weight: own }: LossParts): Scalar => scale(sum, own === 0 ? 0 : weight / 2 / own)
  return { sum: add(share(first), share(last)), weight }
}

/** Mean squared error of each number, (B, C) with B · C of them. */
export const regressionLoss: Loss = (outputs, { labels }, options = {}) => {
  noClasses(options)
  return { sum: squaredErrors(outputs, targets(labels, outputs)), weight: outputs.size }
}

/** Binary cross entropy of each label by itself, (B, C) with B · C labels from 0 to 1. */
export const multiLabelLoss: Loss = (logits, { labels }, options = {}) => {
  noClasses(options)
  const wanted = targets(labels, logits)
  const outside = (labels ?? []).findIndex((label) => label < 0 || label > 1)
  if (outside >= 0) throw new InputError(`labels: expected numbers from 0 to 1 for a model of several labels a row, got ${shown(labels?.[outside])} as labels[${outside}].`)
  return { sum: binaryCrossEntropies(logits, wanted), weight: logits.size }
}

export function noClasses({ labelSmoothing = 0, classWeights }: LossOptions): void {
  if (labelSmoothing !== 0 || classWeights !== undefined) {
    throw new InputError('labelSmoothing, classWeights: expected none; the model has no classes that exclude each other.')
  }
}

/** Labels that are numbers, of the shape of the outputs. */
function targets(labels: Batch['labels'], { shape, size }: Tensor): Tensor {
  if (labels === undefined) throw new InputError(`The loss needs labels, ${size} numbers for outputs of shape [${shape.join(', ')}]; the batch has none.`)
  if (labels.length !== size) throw new InputError(`labels: expected ${size} numbers for outputs of shape [${shape.join(', ')}], got ${labels.length}.`)
  const wrong = labels.findIndex((label) => !Number.isFinite(label))
  if (wrong >= 0) throw new InputError(`labels: expected finite numbers, got ${shown(labels[wrong])} as labels[${wrong}].`)
  return tf.tensor(Float32Array.from(labels), shape, 'float32')
}

/** Labels, each by its weight; the plain mean is the fused kernel's. */
export function entropy(logits: Tensor2D, labels: Int32Array, options: LossOptions): LossParts {
  const tensor = tf.tensor1d(labels, 'int32')
  const weight = weightOf(labels, options)
  const weighting = weightingOf(options, logits.shape[1])
  return { sum: scale(weighting === undefined ? crossEntropy(logits, tensor) : weightedCrossEntropy(logits, tensor, weighting), weight), weight }
}

/** How much the labels count together. */
export function weightOf(labels: Int32Array, { classWeights }: LossOptions): number {
  return labels.reduce((sum, label) => sum + (label === IGNORED_LABEL ? 0 : (classWeights?.[label] ?? 1)), 0)
}

/** How C classes count; undefined where it is each the same, and no label is smoothed. @throws InputError when the options do not fit */
export function weightingOf({ labelSmoothing = 0, classWeights }: LossOptions, C: number): Weighting | undefined {
  if (labelSmoothing === 0 && classWeights === undefined) return undefined
  const weights = classWeights === undefined ? new Float32Array(C).fill(1) : Float32Array.from(classWeights)
  const problems: string[] = []
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) problems.push(`labelSmoothing: expected a share from 0 to 1, got ${labelSmoothing}`)
  if (weights.length !== C) problems.push(`classWeights: expected ${C}, one for each class, got ${weights.length}`)
  if (!weights.every((weight) => weight >= 0 && weight < Infinity)) problems.push('classWeights: expected numbers of at least 0')
  if (problems.length > 0) throw new InputError('The loss cannot be computed:', problems)
  return { smoothing: labelSmoothing, weights }
}

function flatten(logits: Tensor): Tensor2D {
  const C = logits.shape.at(-1) ?? 0
  return reshape<Rank.R2>(logits, [logits.size / C, C])
}

export function checkLabels(labels: Batch['labels'], count: number, classes: number): Int32Array {
  if (labels === undefined) throw new InputError('The loss needs labels, one class index for each row (or token); the batch has none.')
  if (labels.length !== count) throw new InputError(`labels: expected ${count} of them, got ${labels.length}.`)
  const isRight = (label: number): boolean => label === IGNORED_LABEL || (Number.isInteger(label) && label >= 0 && label < classes)
  const wrong = [...labels.entries()].filter(([, label]) => !isRight(label))
  if (wrong.length > 0) {
    throw new InputError(
      `labels: expected 0 to ${classes - 1} (or ${IGNORED_LABEL} for "does not count"); out of range:`,
      wrong.slice(0, 8).map(([index, label]) => `labels[${index}] = ${shown(label)}`),
    )
  }
  return labels instanceof Int32Array ? labels : Int32Array.from(labels)
}
