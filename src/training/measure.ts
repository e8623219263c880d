import * as tf from '@tensorflow/tfjs-core'
import type { OwnLoss } from '../base/architecture.ts'
import { modelWith } from '../base/adapter/named.ts'
import { read } from '../base/engine/read.ts'
import { outputOf, taskLoss, type Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { NOTHING_COUNTS } from '../base/tasks/losses.ts'
import { together, type Measure, type Observed, type TaskMeasure } from '../base/tasks/measures.ts'
import type { SimilarityLoss } from '../base/tasks/similarity.ts'
import { lossOf, recordWith } from '../base/tasks/task.ts'
import { InputError, shown } from '../errors.ts'
import { areBatches, prepareBatches, readyBatches, type BatchSource, type BatchTransform, type Examples, type PaddedBatch } from './batches.ts'
import { withClassNumbers } from './class-names.ts'
import type { Measures } from './events.ts'
import { rowCount } from './examples.ts'
import { aloneInBatch, batchOptionsFor, rowProblems } from './objectives.ts'
import { PREDICT_OPTIONS, type PredictOptions } from './predict.ts'
import { textsIn } from './span-texts.ts'
import { nextTurn } from './turn.ts'
import { gather, ownOf, several, type Workers } from './workers.ts'

/**
 * Measures of one's own, numbers by name: made of what the model said of all rows beside what is right, where its task has that, or of
 * whatever they note of each batch. Tensors that `observe` makes are freed when it returns, or begins to wait.
 */
export type OwnMeasure = ((observed: Observed) => Readonly<Record<string, number>>) | Measure

/** How `evaluate` measures. */
export interface EvaluateOptions extends PredictOptions {
  /** `contrastive`, `cosineSimilarity` or `coSent`, with their measures, or a loss of one's own. @default the task's, with its measures */
  readonly loss?: OwnLoss | SimilarityLoss
  /** Measures of one's own, beside the task's. @default none */
  readonly measure?: OwnMeasure
  /** Shares the batches with other processes, which call the same: see `joinWorkers`. @default this process alone */
  readonly distributed?: Workers
}

const EVALUATE_OPTIONS: Names<EvaluateOptions> = { ...PREDICT_OPTIONS, loss: true, measure: true, distributed: true }

/**
 * Measures a model on labelled rows, as `Trainer` does: the loss and what its task is measured by. Each row runs through the model once,
 * rows of like length together.
 *
 * @param rows with labels, or batches made of them in another way, of which those of epoch 0
 * @throws InputError when the rows lack what the task needs, or it has no adapter of the name
 * @example
 * const { accuracy, f1, loss } = await evaluate(model, { ids: tokenizer.encode(texts).ids, labels: [0, 1] })
 * console.log(accuracy, f1, loss)
 * @example
 * const rows = { ids: tokenizer.encode(texts).ids, labels: [0, 1] }
 * const { missed } = await evaluate(model, rows, {
 *   measure: ({ predicted, actual }) => ({ missed: actual.filter((label, i) => label === 1 && predicted[i] === 0).length }),
 * })
 * console.log(missed)
 */
export async function evaluate(model: Model, rows: Examples | BatchSource, options: EvaluateOptions = {}): Promise<Measures> {
  checkNames('evaluate', options, EVALUATE_OPTIONS)
  if (areBatches(rows) && options.batchSize !== undefined) throw new InputError('evaluate: the options cannot be used:', [readyBatches('batchSize')])
  return await measuresOf('evaluate', model, rows, options)
}

/** @param caller as errors name it @param isTrial the first batch that counts is enough @param prepare is called with each batch before the pass over it */
export async function measuresOf(
  caller: string, model: Model, rows: Examples | BatchSource, options: EvaluateOptions,
  { isTrial = false, prepare }: { readonly isTrial?: boolean; readonly prepare?: ((batch: PaddedBatch) => Promise<void>) | undefined } = {},
): Promise<Measures> {
  const { batchSize = 32, adapter, loss, measure: own } = options
  const seen = modelWith(model, adapter)
  const { labels } = seen
  const record = recordWith(seen.record, loss)
  const unfit = rowProblems(seen, rows, loss)
  const problems = [...(unfit.length > 0 ? unfit : aloneInBatch(seen, rows, batchSize, loss)), ...measureProblems(seen, own)]
  if (problems.length > 0) throw new InputError(`${caller}: the rows cannot be measured:`, problems)
  const beside = textsIn((areBatches(rows) ? rows.examples : rows) ?? {})
  const measures = {
    task: typeof loss === 'function' || record.measure === undefined ? undefined : withTexts(record.measure, beside),
    own: own === undefined ? undefined : measureOf(seen, own, beside),
  }
  const isObserved = measures.task !== undefined || measures.own !== undefined
  const by = loss === undefined ? {} : { loss }
  const noted = { task: [] as unknown[], own: [] as unknown[] }
  let [sum, weight] = [0, 0]
  // What a measure of one's own notes may be anything, also what cannot be sent: then each worker measures all.
  const workers = isTrial || typeof own === 'object' ? undefined : several(options.distributed)
  for await (const batch of ownOf(workers, areBatches(rows) ? rows.epoch(0) : batchesOf(seen, rows, batchSize))) {
    if (areBatches(rows)) await rows.warn?.(seen)
    await prepare?.(batch)
    const output = isObserved ? outputOf(seen, batch) : undefined
    try {
      const [lost = NaN] = await read(() => {
        const parts = output === undefined ? taskLoss(seen, batch, by).parts : lossOf(record, output, batch, by)
        weight += parts.weight
        return parts.sum
      })
      sum += lost
      if (output !== undefined) for (const of of ['task', 'own'] as const) noted[of].push(await measured(() => measures[of]?.observe(output, batch)))
    } finally {
      output?.dispose()
    }
    if (isTrial && weight > 0) break
    await nextTurn()
  }
  if (workers !== undefined) {
    const all = await gather(workers, { sum, weight, noted })
    sum = all.reduce((total, each) => total + each.sum, 0)
    weight = all.reduce((total, each) => total + each.weight, 0)
    for (const of of ['task', 'own'] as const) noted[of] = all.flatMap((each) => each.noted[of])
  }
  if (weight === 0) throw new InputError(NOTHING_COUNTS)
  const mean = sum / weight
  const found = measures.own === undefined ? {} : byName(measures.own.summarize(noted.own, labels))
  return {
    ...measures.task?.summarize(noted.task as never, labels),
    loss: mean,
    ...(record.language === true && loss === undefined ? { perplexity: Math.exp(mean) } : {}),
    ...found,
  }
}

/** @throws InputError where a measure of one's own gives something else than numbers by name */
function byName(found: unknown): Readonly<Record<string, number>> {
  const got = found instanceof Promise ? 'a Promise; what has to be awaited belongs into `observe` of { observe, summarize }' : shown(found)
  const isRecord = typeof found === 'object' && found !== null && !Array.isArray(found) && !(found instanceof Promise)
  if (!isRecord) throw new InputError(`measure: expected numbers by name, as in ({ predicted }) => ({ count: predicted.length }), got ${got}.`)
  const wrong = Object.entries(found).filter(([, value]) => typeof value !== 'number').map(([name, value]) => `${name}: got ${shown(value)}`)
  if (wrong.length > 0) throw new InputError('measure: expected numbers by name:', wrong)
  return found as Readonly<Record<string, number>>
}

/** What is observed; the tensors that this makes are freed, but for those that are being read. */
async function measured(observe: () => unknown): Promise<unknown> {
  let found: unknown
  tf.tidy(() => { found = observe() })
  return await found
}

/** What keeps a measure of one's own from being made. */
export function measureProblems({ record }: Model, own: OwnMeasure | undefined): string[] {
  if (typeof own !== 'function' || record.measure !== undefined) return []
  return [`measure: a model for '${record.name}' says no class or number for a row that could be compared; give { observe, summarize } in place of a function`]
}

function measureOf({ record: { measure } }: Model, own: OwnMeasure, textsOf: TextsOf): Measure {
  if (typeof own !== 'function') return own
  return { observe: (output, batch) => measure?.observe(output, batch, textsOf), summarize: (noted, labels) => own(together(noted as never, labels)) }
}

/** The texts of a row's answer, where they are known. */
type TextsOf = ReturnType<typeof textsIn>

function withTexts(measure: TaskMeasure, textsOf: TextsOf): TaskMeasure {
  return { ...measure, observe: (output, batch) => measure.observe(output, batch, textsOf) }
}

/** Rows of like length together. */
function batchesOf(model: Model, rows: Examples, batchSize: number): Iterable<PaddedBatch> {
  const { length: classes } = model.labels
  const options = { batchSize, bucketWindow: windowOf(rows, batchSize), ...(classes > 0 ? { classes } : {}), ...batchOptionsFor(model) }
  return prepareBatches(withClassNumbers(model, rows), options).epoch(0)
}

function windowOf(rows: Examples, batchSize: number): number {
  return Math.ceil(rowCount(rows) / batchSize) || 1
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
  if (record.language !== true) throw new InputError(`perplexity: expected a model loaded for 'causal-lm', 'seq2seq-lm' or 'masked-lm', got one for '${record.name}'.`)
  const rows = transform === undefined ? examples : prepareBatches(examples, { batchSize, bucketWindow: windowOf(examples, batchSize), transform })
  const { perplexity: found = NaN } = await measuresOf('perplexity', seen, rows, { batchSize })
  return found
}
