// Learning without forgetting: on the rows of the new task the model is to answer as it did before. Li and Hoiem 2016,
// arXiv:1606.09282, with the temperature of Hinton et al. 2015, arXiv:1503.02531:
//
//   strength · temperature² · KL(softmax(before / temperature) ‖ softmax(now / temperature)), the mean over the rows or tokens
//   that the task's loss counts
//
// temperature² keeps the size of the gradients. The entropy of the answers before has no gradient: the paper's cross
// entropy has the same slope, and this is 0 where nothing has changed. Question answering chooses among the tokens, a model of
// several labels between yes and no for each; numbers (regression) are held by their squared distance.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import type { Batch } from '../base/batch.ts'
import { isDifferentiable, op } from '../base/autodiff/tape.ts'
import type { Model } from '../base/model.ts'
import { scale } from '../base/ops/algebra.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { squaredErrors } from '../base/ops/targets.ts'
import { labelsAfter, type LossParts } from '../base/tasks/losses.ts'
import { InputError, shown } from '../errors.ts'
import { gradsOfMean } from '../training/accumulate.ts'
import type { Guard } from '../training/guard.ts'
import { checkStrength, noStrength } from './quadratic.ts'
import { checkNames } from '../base/options.ts'

/** What `lwf` takes. */
export interface LwfOptions {
  /**
   * The logits of the model as it was, of the shape of the trained model's; freed by the guard. Another model, or `withAdapters` with a copy
   * of the adapter (`attachLike`): the trained one itself changes with the training, and holds nothing.
   */
  readonly teacher: (batch: Batch) => Tensor
  /** Multiplies the penalty. At least 0. @default 1 */
  readonly strength?: number
  /** Above 0; higher ones give more weight to the unlikely classes. @default 2, the paper's */
  readonly temperature?: number
}

/**
 * The distance of logits from those of a teacher (Hinton et al. 2015, arXiv:1503.02531). Differentiable by `logits`.
 *
 * @param logits (…, C) @param teacher of the same shape
 * @param counts one for each row of logits, 0 where a row does not count. Default: all count
 * @returns a scalar of at least 0
 * @throws InputError when the shapes differ or the temperature is not above 0
 * @example const loss = distillation(tf.tensor2d([[1, 2]]), tf.tensor2d([[2, 1]]), 2)
 */
export function distillation(logits: Tensor, teacher: Tensor, temperature: number, counts?: ArrayLike<number>): Scalar {
  if (!(temperature > 0 && temperature < Infinity)) throw new InputError(`distillation: expected a temperature above 0, got ${temperature}.`)
  const { sum, weight } = distances(logits, sameShape(logits, teacher), temperature, counts)
  return weight === 0 ? sum : scale(sum, 1 / weight)
}

/** How outputs are read as rows of choices that exclude each other, and where a slope of those rows belongs. */
interface Choices {
  /** Of how many numbers one row is. */
  width(shape: number[]): number
  rows(outputs: Tensor): Tensor
  back(slopes: Tensor, shape: number[]): Tensor
}

/** Each position of the last axis is a choice. */
const CLASSES: Choices = {
  width: (shape) => shape.at(-1) ?? 1,
  rows: (logits) => tf.reshape(logits, [-1, logits.shape.at(-1) ?? 1]),
  back: (slopes, shape) => tf.reshape(slopes, shape),
}
/** (B, T, 2): two choices among T places. */
const SPANS: Choices = {
  width: ([, T = 1]) => T,
  rows: (logits) => tf.reshape(tf.transpose(logits, [0, 2, 1]), [-1, logits.shape[1] ?? 1]),
  back: (slopes, [B = 1, T = 1]) => tf.transpose(tf.reshape(slopes, [B, 2, T]), [0, 2, 1]),
}
/** Each number z is a choice between yes and no: the softmax of z / 2 and -z / 2 is the sigmoid of z. */
const LABELS: Choices = {
  width: () => 1,
  rows: (logits) => tf.matMul(tf.reshape(logits, [-1, 1]), tf.tensor2d([[0.5, -0.5]])),
  back: (slopes, shape) => tf.reshape(tf.matMul(slopes, tf.tensor2d([[0.5], [-0.5]])), shape),
}

function choicesOf({ parts: { task }, problem }: Model): Choices {
  if (task === 'question-answering') return SPANS
  return problem === 'multi_label_classification' ? LABELS : CLASSES
}

function distances(logits: Tensor, teacher: Tensor, temperature: number, counts?: ArrayLike<number>, choices: Choices = CLASSES): LossParts {
  const rows = (tensor: Tensor): Tensor => choices.rows(tf.div(tensor, temperature))
  const N = logits.size / choices.width(logits.shape)
  const counted = Float32Array.from(counts ?? new Float32Array(N).fill(1))
  const column = (): Tensor => tf.tensor2d(counted, [N, 1])
  const sum = op([logits], (save) => {
    save(logits, teacher)
    const [now, before] = [tf.logSoftmax(rows(logits)), tf.logSoftmax(rows(teacher))]
    return tf.mul<Scalar>(tf.sum(tf.mul(column(), tf.mul(tf.exp(before), tf.sub(before, now)))), temperature ** 2)
  }, (dy, saved) => {
    const [now, before] = saved.map((tensor) => tf.softmax(rows(tensor))) as [Tensor, Tensor]
    const slope = tf.mul(tf.mul(column(), tf.sub(now, before)), tf.mul(dy, temperature))
    return [choices.back(slope, logits.shape)]
  })
  return { sum, weight: counted.reduce((all, count) => all + count, 0) }
}

/** Which rows of the logits the task's loss counts: those with a label that counts; of a batch without labels, those that are no padding. */
function countsOf({ parts: { task }, problem }: Model, { labels, mask, decoderIds, decoderMask }: Batch, logits: Tensor): ArrayLike<number> | undefined {
  if (problem === 'multi_label_classification') return undefined
  if (task === 'question-answering') return labels?.map((label) => Number(label !== IGNORED_LABEL))
  const [length = 1, classes = 1] = logits.shape.slice(1)
  if (labels?.length === logits.size / (logits.rank === 3 ? classes : length)) {
    return (task === 'causal-lm' ? labelsAfter(labels, length) : labels).map((label) => Number(label !== IGNORED_LABEL))
  }
  return logits.rank === 3 ? (decoderIds === undefined ? mask : decoderMask) : undefined
}

/**
 * Learning without forgetting (arXiv:1606.09282): needs no earlier data, only the earlier model. Costs a forward pass of
 * each, and a backward pass, in each step; both without dropout. Holds what the model answers as its task reads it: classes, places
 * of an answer, each of several labels by itself; a number by its squared distance, without the temperature.
 *
 * @throws InputError when strength or temperature are out of range; in the training, when the teacher is the trained model itself
 * @example
 * const before = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sequence-classification', labels: ['ham', 'spam'] })
 * const guard = lwf({ teacher: (batch) => before.forward(batch) })
 * await new Trainer({ model, train, guards: [guard] }).fit()
 * before.dispose()
 */
export function lwf(options: LwfOptions): Guard {
  checkNames('lwf', options, { teacher: true, strength: true, temperature: true })
  const { teacher, strength = 1, temperature = 2 } = options
  if (typeof teacher !== 'function') throw new InputError(`lwf: expected teacher as a function of a batch, as in (batch) => before.forward(batch), got ${shown(typeof teacher)}.`)
  checkStrength('lwf', 'strength', strength)
  if (!(temperature > 0 && temperature < Infinity)) throw new InputError(`lwf: expected a temperature above 0, got ${temperature}.`)
  const partsOf = (model: Model, batch: Batch): LossParts => {
    const logits = model.forward(batch)
    const before = sameShape(logits, teacher(batch))
    if (isDifferentiable(before)) throw new InputError(ITSELF)
    if (model.problem === 'regression') return { sum: scale(squaredErrors(logits, before), strength), weight: logits.size }
    const { sum, weight } = distances(logits, before, temperature, countsOf(model, batch, logits), choicesOf(model))
    return { sum: scale(sum, strength), weight }
  }
  return {
    name: `lwf(${strength}, temperature ${temperature})`,
    check: () => undefined,
    warning: () => (strength === 0 ? noStrength('lwf', 'strength') : undefined),
    penalty: ({ model, trainable, batches }) => gradsOfMean(batches, (batch) => partsOf(model, batch), trainable),
  }
}

const ITSELF = 'lwf: the teacher answers by the tensors that are trained: it is the trained model itself, and holds nothing. Give another one as it was before, ' +
  'or the model with a copy of the adapter: attachLike(adapter, adapter.trainable, { name: \'before\', enabled: false }), withAdapters(model, [\'before\']).'

function sameShape(logits: Tensor, teacher: Tensor): Tensor {
  if (!(teacher instanceof tf.Tensor)) throw new InputError(`lwf: expected teacher to give logits, as in (batch) => before.forward(batch), got ${shown(teacher)}.`)
  if (logits.shape.join() === teacher.shape.join()) return teacher
  throw new InputError(`distillation: expected logits of one shape, got [${logits.shape.join(', ')}] and the teacher’s [${teacher.shape.join(', ')}].`)
}
