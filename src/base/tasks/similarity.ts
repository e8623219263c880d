// Losses of texts that belong together, from their vectors. With c the cosine of two, τ a temperature:
//
//   contrastive        the mean over the rows i of −log( exp(c(i, own) / τ) / Σ_j exp(c(i, j) / τ) ), j every text of the batch that
//                      stands beside a row. Henderson et al. 2017, arXiv:1705.00652; InfoNCE, van den Oord et al. 2018,
//                      arXiv:1807.03748
//   cosineSimilarity   the mean over the pairs of (c − score)². Reimers and Gurevych 2019, arXiv:1908.10084
//   coSent             log(1 + Σ exp((c_i − c_j) / τ)) over all i, j with score_i < score_j. Su 2022, kexue.fm/archives/8847
//
// They are sentence-transformers' MultipleNegativesRankingLoss, CosineSimilarityLoss and CoSENTLoss, whose scale is 1 / τ.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import type { Batch } from '../batch.ts'
import { bridge } from '../autodiff/tape.ts'
import { read } from '../engine/read.ts'
import { MASKED } from '../ops/attention-call.ts'
import { crossEntropy } from '../ops/cross-entropy.ts'
import { scale } from '../ops/algebra.ts'
import { squaredErrors } from '../ops/targets.ts'
import { unitRows } from '../ops/unit-rows.ts'
import { checkNames } from '../options.ts'
import { checkLabels, noClasses, type Loss } from './losses.ts'
import { pearson, spearman } from './metrics.ts'
import { together, type TaskMeasure } from './measures.ts'
import type { TaskRecord } from './task.ts'

/** A loss of texts that belong together: `new Trainer({ …, loss: coSent() })`, of a model for `'sentence-embedding'`. */
export interface SimilarityLoss {
  /** What it is and its settings; a training is continued from a checkpoint only with the same. */
  readonly name: string
  /** In place of the task's. */
  readonly parts: Required<Pick<TaskRecord, 'target' | 'loss' | 'measure'>> & Pick<TaskRecord, 'between' | 'byOrder'>
}

/** What `contrastive` and `coSent` take. */
export interface TemperatureOptions {
  /** Cosines are divided by it: the smaller, the more the nearest texts count. Above 0, at most 1. @default 0.05 */
  readonly temperature?: number
}

/**
 * Contrastive loss with the negatives of the batch (arXiv:1705.00652): each row is to choose its own text, by cosine, among all
 * positives and `negatives` of the batch. The loss of a model for sentence embedding where none is given, with its default.
 *
 * A text that equals the row, or one that belongs to it, is not a negative of that row. With `accumulate` the negatives are still those
 * of one batch. Measured by `accuracy`, the share of the rows that are nearest to their own, and `mrr`, the mean of 1 / rank, both in the batch.
 *
 * @throws InputError when the temperature is not above 0, or above 1
 * @example
 * const encoder = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sentence-embedding' })
 * attach(encoder, lora())
 * const pairs = { ids: train.ids, positives: tokenizer.encode(['minutes', 'a prize']).ids }
 * await new Trainer({ model: encoder, train: pairs, loss: contrastive({ temperature: 0.1 }) }).fit()
 */
export function contrastive(options: TemperatureOptions = {}): SimilarityLoss {
  const temperature = temperatureOf('contrastive', options)
  const loss: Loss = (vectors, batch, classes = {}) => {
    noClasses(classes)
    const { cosines, labels, masked } = choices(vectors, batch)
    const logits = bridge<Tensor2D>([cosines], (c) => tf.add(tf.mul(c, 1 / temperature), tf.tensor2d(masked, cosines.shape)))
    return { sum: scale(crossEntropy(logits, tf.tensor1d(labels, 'int32')), labels.length), weight: labels.length }
  }
  return {
    name: `contrastive(${temperature})`,
    parts: { target: { field: 'positives', what: 'positives, a text for each row' }, loss, measure: NEAREST },
  }
}

/**
 * Squared difference of the cosine of each pair and its score (arXiv:1908.10084): rows with `positives` and `scores` from −1 to 1.
 * Measured by Pearson's and Spearman's correlation of cosines and scores.
 *
 * @throws InputError in the training, when a score is outside that range
 * @example
 * const pairs = { ids: train.ids, positives: tokenizer.encode(['minutes', 'a prize']).ids, scores: [0.6, 0.9] }
 * const learning = { train: pairs, loss: cosineSimilarity() } // of a Trainer, whose model is for 'sentence-embedding'
 */
export function cosineSimilarity(): SimilarityLoss {
  const loss: Loss = (vectors, { labels }, options = {}) => {
    noClasses(options)
    const cosines = pairCosines(vectors, labels)
    return { sum: squaredErrors(cosines, tf.tensor1d(Float32Array.from(labels ?? []))), weight: cosines.size }
  }
  return { name: 'cosineSimilarity()', parts: { target: SCORES, between: [-1, 1], loss, measure: CORRELATION } }
}

/**
 * CoSENT (kexue.fm/archives/8847): of two pairs the one with the higher score is to have the higher cosine; rows with `positives` and `scores`
 * of any range. Pairs are held against those of one batch, with `accumulate` too. Measured as `cosineSimilarity`.
 *
 * @throws InputError when the temperature is not above 0, or above 1
 * @example
 * const pairs = { ids: train.ids, positives: tokenizer.encode(['minutes', 'a prize']).ids, scores: [3, 5] }
 * const learning = { train: pairs, loss: coSent() } // of a Trainer, whose model is for 'sentence-embedding'
 */
export function coSent(options: TemperatureOptions = {}): SimilarityLoss {
  const temperature = temperatureOf('coSent', options)
  const loss: Loss = (vectors, { labels }, classes = {}) => {
    noClasses(classes)
    const cosines = pairCosines(vectors, labels)
    const A = cosines.size
    const scores = Float32Array.from(labels ?? [])
    const sum = bridge<Scalar>([cosines], (c) => {
      const differences = tf.sub(tf.reshape(c, [A, 1]), tf.reshape(c, [1, A]))
      const counts = tf.less(tf.tensor2d(scores, [A, 1]), tf.tensor2d(scores, [1, A]))
      const terms = tf.where(counts, tf.mul(differences, 1 / temperature), tf.fill([A, A], MASKED))
      return tf.mul(tf.logSumExp<Scalar>(tf.concat([tf.zeros([1]), tf.reshape(terms, [A * A])])), A) // of the rows, so that batches are weighed by theirs
    })
    return { sum, weight: A }
  }
  return { name: `coSent(${temperature})`, parts: { target: SCORES, byOrder: true, loss, measure: CORRELATION } }
}

const SCORES = { field: 'scores', what: 'scores, a number for each row, beside positives' } as const

function temperatureOf(caller: string, options: TemperatureOptions): number {
  checkNames(caller, options, { temperature: true })
  const { temperature = 0.05 } = options
  if (!(typeof temperature === 'number' && temperature > 0 && temperature <= 1)) { // above 1 all texts count nearly alike, and nothing is learned
    const asScale = temperature > 1 && temperature < Infinity ? ` The scale of sentence-transformers is 1 / temperature: for ${temperature} give { temperature: ${1 / temperature} }.` : ''
    throw new InputError(`${caller}: expected a temperature above 0 and of at most 1, got ${shown(temperature)}.${asScale}`)
  }
  return temperature
}

/** The choice that each of A rows has among the others: cosines (A, R − A), its own place, and what is added where a text is no negative. */
function choices(vectors: Tensor, batch: Partial<Batch>): { readonly cosines: Tensor2D; readonly labels: Int32Array; readonly masked: Float32Array } {
  const [R, D] = vectors.shape as [number, number]
  const A = batch.labels?.length ?? 0
  if (batch.labels !== undefined && (A === 0 || A >= R)) {
    throw new InputError(`labels: expected one for each of the first texts, with others behind them; got ${A} for ${R} texts.`)
  }
  const labels = checkLabels(batch.labels, A, R - A)
  const cosines = bridge<Tensor2D>([unitRows(vectors as Tensor2D)], (unit) =>
    tf.matMul<Tensor2D>(tf.slice(unit, [0, 0], [A, D]), tf.slice(unit, [A, 0], [R - A, D]), false, true))
  return { cosines, labels, masked: equalTexts(labels, R, batch) }
}

/** MASKED for each row at the texts that equal it, or one that belongs to it, but for its own. */
function equalTexts(labels: Int32Array, R: number, { ids, mask, length = 0 }: Partial<Batch>): Float32Array {
  const [A, C] = [labels.length, R - labels.length]
  const masked = new Float32Array(A * C)
  if (ids === undefined) return masked
  const texts = Array.from({ length: R }, (_, row) => ids.subarray(row * length, (row + 1) * length).filter((_, t) => mask?.[row * length + t] !== 0).join())
  const [rows, others] = [texts.slice(0, A), texts.slice(A)]
  rows.forEach((text, i) => {
    const own = new Set([text, ...Array.from(labels).filter((_, k) => rows[k] === text).map((place) => others[place])])
    others.forEach((other, j) => { if (own.has(other) && j !== labels[i]) masked[i * C + j] = MASKED })
  })
  return masked
}

/** The cosine of each of the first texts with that behind them, (A). */
function pairCosines(vectors: Tensor, scores: Batch['labels']): Tensor1D {
  const [R, D] = vectors.shape as [number, number]
  const A = R / 2
  if (scores?.length !== A || !scores.every(Number.isFinite)) {
    throw new InputError(`The loss needs scores, a finite number for each pair of texts: got ${shown(scores)} for ${R} texts.`)
  }
  return bridge<Tensor1D>([unitRows(vectors as Tensor2D)], (unit) =>
    tf.sum<Tensor1D>(tf.mul(tf.slice(unit, [0, 0], [A, D]), tf.slice(unit, [A, 0], [A, D])), 1))
}

/** The rank of each row's own text among those of the batch, beside 1; one as near as it counts as nearer. */
const NEAREST: TaskMeasure = {
  observe: async (vectors, batch) => {
    const { cosines, labels, masked } = choices(vectors, batch)
    const C = cosines.shape[1]
    const values = await read(() => tf.add(cosines, tf.tensor2d(masked, cosines.shape)))
    const rank = (own: number, i: number): number => values.subarray(i * C, (i + 1) * C).filter((value) => value >= (values[i * C + own] ?? NaN)).length
    return new Map(Array.from(batch.rows, (row, i) => [row, { predicted: [rank(labels[i] ?? NaN, i)], actual: [1] }]))
  },
  summarize: (noted, labels) => {
    const ranks = together(noted, labels).predicted
    const mean = (of: (rank: number) => number): number => ranks.reduce((sum, rank) => sum + of(rank), 0) / ranks.length
    return { accuracy: mean((rank) => Number(rank === 1)), mrr: mean((rank) => 1 / rank) }
  },
}

/** The cosine of each pair beside its score. */
const CORRELATION: TaskMeasure = {
  observe: async (vectors, { labels, rows }) => {
    const cosines = await read(() => pairCosines(vectors, labels))
    return new Map(Array.from(rows, (row, i) => [row, { predicted: [cosines[i] ?? NaN], actual: [labels?.[i] ?? NaN] }]))
  },
  summarize: (noted, labels) => {
    const { predicted, actual } = together(noted, labels)
    return { pearson: pearson(predicted, actual), spearman: spearman(predicted, actual) }
  },
}
