import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { LossOptions } from '../base/architecture.ts'
import { modelWith } from '../base/adapter/named.ts'
import { read } from '../base/engine/read.ts'
import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { NOTHING_COUNTS } from '../base/tasks/losses.ts'
import { lossOf } from '../base/tasks/task.ts'
import { InputError } from '../errors.ts'
import { prepareBatches, type BatchTransform, type Examples, type PaddedBatch } from './batches.ts'
import type { Measures } from './events.ts'
import { rowCount } from './examples.ts'
import { batchOptionsFor, rowProblems } from './objectives.ts'
import { PREDICT_OPTIONS, type PredictOptions } from './predict.ts'
import { nextTurn } from './turn.ts'

/** Measures of one's own, from what the model gives for a batch: numbers by name, of which the mean over the rows is taken. */
export type OwnMeasure = (output: Tensor, batch: PaddedBatch) => Readonly<Record<string, number>>

/** What rows are measured by, beside the task's own measures. */
interface MeasureOptions {
  readonly batchSize: number
  readonly loss?: LossOptions['loss']
  readonly measure?: OwnMeasure
}

/**
 * What a task is measured by, on held-out rows: each runs through the model once.
 *
 * @throws InputError when the rows lack what the task needs
 */
export async function measure(model: Model, rows: Examples, { batchSize, loss, measure: own }: MeasureOptions): Promise<Measures> {
  const { record } = model
  const problems = rowProblems(model, rows, loss !== undefined)
  if (problems.length > 0) throw new InputError('The rows to evaluate on cannot be used:', problems)
  const [predicted, actual]: [number[], number[]] = [[], []]
  const owned = new Map<string, number>()
  let [sum, weight] = [0, 0]
  for (const batch of batchesOf(model, rows, { batchSize })) {
    const output = model.forward(batch)
    try {
      const summed = (): Tensor => {
        const parts = lossOf(record, output, batch, loss === undefined ? {} : { loss })
        weight += parts.weight
        return parts.sum
      }
      const [[lost = NaN], observed] = await Promise.all([read(summed), loss === undefined ? record.measure?.observe(output, batch) : undefined])
      const measured = tf.tidy(() => own?.(output, batch) ?? {})
      sum += lost
      for (const value of observed?.predicted ?? []) predicted.push(value)
      for (const value of observed?.actual ?? []) actual.push(value)
      for (const [name, value] of Object.entries(measured)) owned.set(name, (owned.get(name) ?? 0) + value * batch.batch)
    } finally {
      output.dispose()
    }
    await nextTurn()
  }
  if (weight === 0) throw new InputError(NOTHING_COUNTS)
  const mean = sum / weight
  return {
    ...(predicted.length > 0 ? record.measure?.measures({ predicted, actual }, model.parts.labels.length) : {}),
    loss: mean,
    ...(record.language === true && loss === undefined ? { perplexity: Math.exp(mean) } : {}),
    ...Object.fromEntries([...owned].map(([name, total]) => [name, total / rowCount(rows)])),
  }
}

/** Rows of like length together. */
function batchesOf(model: Model, rows: Examples, { batchSize, transform }: { readonly batchSize: number; readonly transform?: BatchTransform | undefined }): Iterable<PaddedBatch> {
  const options = { ...batchOptionsFor(model.record), ...(transform === undefined ? {} : { transform }) }
  const classes = model.parts.labels.length
  return prepareBatches(rows, { batchSize, bucketWindow: Math.ceil(rowCount(rows) / batchSize) || 1, ...(classes > 0 ? { classes } : {}), ...options }).epoch(0)
}

/** What `perplexity` takes. */
export interface PerplexityOptions extends PredictOptions {
  /** Makes the labels of each batch. @default `nextTokenLabels` for a causal LM */
  readonly transform?: BatchTransform
}

const NAMES: Names<PerplexityOptions> = { ...PREDICT_OPTIONS, transform: true }

/**
 * Perplexity of a language model: exp of the mean loss over all labelled tokens, whatever batches they are in. Of a causal
 * LM that is every token but the first of each row, where the rows have no `tokenLabels`.
 *
 * @throws InputError when the model is none, there is no label, or it has no adapter of the name
 * @example console.log(await perplexity(model, { ids: [[5, 6, 7], [8, 9]] }, { adapter: [] }))
 */
export async function perplexity(model: Model, examples: Examples, options: PerplexityOptions = {}): Promise<number> {
  checkNames('perplexity', options, NAMES)
  const { batchSize = 32, transform, adapter } = options
  const seen = modelWith(model, adapter)
  const { record } = seen
  if (record.language !== true) throw new InputError(`perplexity: expected a model loaded for 'causal-lm' or 'masked-lm', got one for '${record.name}'.`)
  const problems = transform === undefined ? rowProblems(seen, examples) : []
  if (problems.length > 0) throw new InputError('perplexity: the rows cannot be used:', problems)
  let [sum, weight] = [0, 0]
  for (const batch of batchesOf(seen, examples, { batchSize, transform })) {
    const parts = seen.lossParts(batch)
    const [lost = NaN] = await read(() => parts.sum)
    sum += lost
    weight += parts.weight
  }
  if (weight === 0) throw new InputError('The loss needs labels; no token of the rows has one.')
  return Math.exp(sum / weight)
}
