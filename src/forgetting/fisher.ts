// The diagonal of the Fisher information: how much each trained number matters for what the model says.
//
//   exact      F = mean over x of Σ_y p(y|x) g(x, y)²       g(x, y) = ∂ log p(y|x) / ∂θ
//   sampled    F = mean over x of g(x, y)², y drawn from p(·|x)
//   predicted  F = mean over x of g(x, y)², y the likeliest
//   empirical  F = mean over x of g(x, y)², y the label
//
// The square is of each example's gradient, never of a batch's mean: that would be smaller by about the batch size.
// van de Ven 2025, arXiv:2502.11756, compares the kinds.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { perExampleGrads } from '../base/autodiff/grads.ts'
import { read } from '../base/engine/read.ts'
import type { Model } from '../base/model.ts'
import { permutation, randomStream, uniform, type RandomStream } from '../base/random.ts'
import { NOTHING_COUNTS } from '../base/tasks/losses.ts'
import { classifiesRows } from '../base/tasks/task.ts'
import { checkAwaited } from '../base/awaited.ts'
import { InputError } from '../errors.ts'
import { prepareBatches, type BatchOptions, type Examples, type PaddedBatch } from '../training/batches.ts'
import { withClassNumbers } from '../training/class-names.ts'
import { notRows, rowCount } from '../training/examples.ts'
import { batchOptionsFor, rowProblems } from '../training/objectives.ts'
import { lengthOf } from '../training/padding.ts'
import { nextTurn } from '../training/turn.ts'
import { several, type Workers } from '../training/workers.ts'
import { checkNames } from '../base/options.ts'
import { strangers } from './records.ts'

/** How `diagonalFisher` estimates. */
export interface FisherOptions {
  /**
   * Whose gradients are squared.
   *
   * - `'exact'`: those of every class, each by its probability; one backward pass for each class
   * - `'sampled'`: that of a class drawn by its probability
   * - `'predicted'`: that of the likeliest class
   * - `'empirical'`: that of the label; the only kind for tasks other than sequence and image classification. Where a row has
   *   several labels, its gradient is that of the sum of their log-probabilities
   *
   * @default 'exact'
   */
  readonly kind?: 'exact' | 'sampled' | 'predicted' | 'empirical'
  /** How many examples to take, drawn without replacement. @default all, in their order */
  readonly size?: number
  /** Decides which examples are taken and which classes are drawn. @default 0 */
  readonly seed?: number
  /** Shares the batches with other processes, which call the same and all get the whole: see `joinWorkers`. @default this process alone */
  readonly distributed?: Workers
}

const KINDS: readonly NonNullable<FisherOptions['kind']>[] = ['exact', 'sampled', 'predicted', 'empirical']

/** At a time: so many rows, so many tokens of them, and so many numbers of their gradients (64 MB). */
const [MOST_ROWS, MOST_TOKENS, MOST_NUMBERS] = [32, 1024, 2 ** 24]

/**
 * The diagonal Fisher information of trained tensors at their present values, without dropout; van de Ven 2025,
 * arXiv:2502.11756, compares its kinds.
 *
 * @param trainable the tensors, all of which the model's output must depend on: `adapter.trainable`
 * @param given rows of the task that is to be remembered; labels are used by the empirical kind alone
 * @returns for each trained tensor one of its shape with numbers of at least 0; the caller disposes them
 * @throws InputError when there are no examples, the kind does not fit the task, labels are missing, or a gradient is not
 *   finite. TrainingError naming the tensors that the output does not depend on
 * @example
 * const importance = await diagonalFisher(model, adapter.trainable, train, { kind: 'sampled', size: 2, seed: 1 })
 */
export async function diagonalFisher(
  model: Model,
  trainable: Readonly<Record<string, Variable>>,
  given: Examples,
  options: FisherOptions = {},
): Promise<Record<string, Tensor>> {
  checkNames('diagonalFisher', options, { kind: true, size: true, seed: true, distributed: true })
  checkAwaited('model', model)
  const strange = [...strangers([['the tensors', trainable]]), notRows(given) ?? []].flat()
  if (strange.length > 0) throw new InputError('diagonalFisher: this cannot be computed:', strange)
  const examples = withClassNumbers(model, given)
  const { kind = 'exact', size = rowCount(examples), seed = 0 } = options
  const problems = fisherProblems(model, examples, { kind, size })
  if (problems.length > 0) throw new InputError('diagonalFisher: this cannot be computed:', problems)
  const total = rowCount(examples)
  const order = size < total ? permutation(randomStream(seed, 'fisher', 'examples'), total).slice(0, size) : 'given'
  const batches = batchesOf(model, trainable, examples, order)
  const draw = randomStream(seed, 'fisher', 'classes')
  const workers = several(options.distributed)
  let sums: Record<string, Tensor> = tf.tidy(() => mapValues(trainable, (variable) => tf.zerosLike(variable)))
  let counted = 0
  try {
    let place = 0
    for (const batch of batches) {
      if (workers !== undefined && place++ % workers.count !== workers.rank) {
        if (kind === 'sampled') uniform(draw, batch.batch, 0, 1) // so that the next batch draws what it would draw
        continue
      }
      for (const { labels, weights } of await targets(model, batch, kind, draw)) {
        const added = addSquares(sums, model, trainable, { ...batch, ...(labels === undefined ? {} : { labels }) }, weights)
        sums = added.sums
        counted += added.counted
      }
      await nextTurn()
    }
    if (workers !== undefined) ({ sums, counted } = await overAll(workers, sums, counted))
    if (counted === 0) throw new InputError(NOTHING_COUNTS)
    const mean = tf.tidy(() => mapValues(sums, (sum) => tf.div(sum, size)))
    const names = Object.keys(mean)
    const finite = await Promise.all(Object.values(mean).map((tensor) => read<'int32'>(() => tf.all(tf.isFinite(tensor)))))
    const wrong = names.filter((_, i) => finite[i]?.[0] !== 1)
    if (wrong.length === 0) return mean
    tf.dispose(mean)
    throw new InputError('diagonalFisher: the gradients of these examples are not all finite:', wrong.map((name) => `the information: ${name} has numbers that are not finite`))
  } finally {
    tf.dispose(sums)
  }
}

/**
 * Batches as large as can be: of one example where an operation on a trained tensor cannot tell the gradients of several
 * apart, as the first example shows; and of answers to questions, which are one place of all in a row, padding too.
 */
function batchesOf(
  model: Model,
  trainable: Readonly<Record<string, Variable>>,
  examples: Examples,
  order: NonNullable<BatchOptions['order']>,
): Iterable<PaddedBatch> {
  const ofSize = (batchSize: number): Iterable<PaddedBatch> =>
    prepareBatches(examples, { batchSize, order, ...batchOptionsFor(model) }).epoch(0)
  const [first] = [...ofSize(1)] as [PaddedBatch, ...PaddedBatch[]] // there is one
  const { value, grads } = perExampleGrads(() => model.lossParts({ labels: Int32Array.of(0), ...first }).sum, trainable, 1)
  const areApart = Object.entries(trainable).every(([name, { rank }]) => (grads[name]?.rank ?? 0) > rank)
  tf.dispose([value, ...Object.values(grads)])
  if (!areApart || model.parts.task === 'question-answering') return ofSize(1)
  const numbers = Object.values(trainable).reduce((sum, variable) => sum + variable.size, 0)
  const tokens = Array.from({ length: rowCount(examples) }, (_, row) => lengthOf(examples, row)).reduce((most, length) => Math.max(most, length), 1)
  return ofSize(Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_TOKENS / tokens), Math.floor(MOST_NUMBERS / numbers))))
}

/** What the gradients of a batch's rows are taken for, and how much the square of each counts. */
interface Target {
  readonly labels?: Int32Array
  readonly weights: readonly number[]
}

async function targets(model: Model, batch: PaddedBatch, kind: NonNullable<FisherOptions['kind']>, draw: RandomStream): Promise<Target[]> {
  const rows = [...new Array<number>(batch.batch).keys()]
  const alike = rows.map(() => 1)
  if (kind === 'empirical') return [{ weights: alike }]
  const values = await read(() => tf.softmax(model.forward(batch)))
  const classes = model.labels.length
  const probabilities = rows.map((row) => values.slice(row * classes, (row + 1) * classes))
  if (kind === 'exact') {
    return model.labels.map((_, label) => ({ labels: Int32Array.from(alike, () => label), weights: probabilities.map((row) => row[label] ?? NaN) }))
  }
  const chosen = kind === 'predicted' ? (row: Float32Array) => row.indexOf(Math.max(...row)) : (row: Float32Array) => drawn(row, draw)
  return [{ labels: Int32Array.from(probabilities, chosen), weights: alike }]
}

function drawn(probabilities: ArrayLike<number>, draw: RandomStream): number {
  let rest = uniform(draw, 1, 0, 1)[0] ?? NaN
  const last = probabilities.length - 1 // takes what rounding leaves over
  for (let i = 0; i < last; i++) {
    rest -= probabilities[i] ?? NaN
    if (rest < 0) return i
  }
  return last
}

/** Adds Σ weight · g² over the rows to the sums, which are freed; and how much of the labels counted. */
function addSquares(
  sums: Readonly<Record<string, Tensor>>,
  model: Model,
  trainable: Readonly<Record<string, Variable>>,
  batch: PaddedBatch,
  weights: readonly number[],
): { readonly sums: Record<string, Tensor>; readonly counted: number } {
  let counted = 0
  const { value, grads } = perExampleGrads(() => {
    const parts = model.lossParts(batch)
    counted = parts.weight
    return parts.sum // log p of the labels, not their mean
  }, trainable, batch.batch)
  try {
    const next = tf.tidy(() => {
      const share = tf.tensor2d([...weights], [1, weights.length])
      return mapValues(sums, (sum, name) => {
        const rows = tf.reshape(grads[name] as Tensor, [weights.length, sum.size]) // of the same names
        return tf.add(sum, tf.reshape(tf.matMul(share, tf.square(rows)), sum.shape))
      })
    })
    return { sums: next, counted }
  } finally {
    tf.dispose([value, ...Object.values(grads), ...Object.values(sums)])
  }
}

/** The sums over all workers; those given are freed. */
async function overAll(workers: Workers, sums: Readonly<Record<string, Tensor>>, counted: number): Promise<{ readonly sums: Record<string, Tensor>; readonly counted: number }> {
  const all: Record<string, Tensor> = {}
  for (const [name, sum] of Object.entries(sums)) {
    const numbers = Float32Array.from(await sum.data<'float32'>())
    await workers.sum(numbers)
    all[name] = tf.tensor(numbers, sum.shape, 'float32')
  }
  const count = Float32Array.of(counted)
  await workers.sum(count)
  tf.dispose(sums)
  return { sums: all, counted: count[0] ?? NaN }
}

function mapValues<T>(record: Readonly<Record<string, T>>, make: (value: T, name: string) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, make(value, name)]))
}

/** What keeps the information from being computed of these rows. */
export function fisherProblems(model: Model, examples: Examples, { kind, size = rowCount(examples) }: Required<Pick<FisherOptions, 'kind'>> & Pick<FisherOptions, 'size'>): string[] {
  const { record, parts: { task } } = model
  const total = rowCount(examples)
  if (total === 0) return ['expected at least one example, got none']
  const problems: string[] = []
  if (!KINDS.includes(kind)) problems.push(`kind: '${kind}' is not one of ${KINDS.join(', ')}`)
  if (!Number.isInteger(size) || size < 1 || size > total) problems.push(`size: expected an integer from 1 to ${total}, got ${size}`)
  if (record.likelihood === false) problems.push(`the model is for '${task}', which gives no probabilities`)
  else if (kind === 'empirical') problems.push(...rowProblems(model, examples))
  else if (!classifiesRows(task) || record.numeric === true) problems.push(`kind: '${kind}' is for sequence and image classification, the model is for '${task}'; use 'empirical'`)
  return problems
}
