import type { Tensor } from '@tensorflow/tfjs-core'
import type { Task } from '../base/architecture.ts'
import { modelWith, type AdapterNames } from '../base/adapter/named.ts'
import { outputOf, type Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { paddingProblem, warnOfOtherRows } from '../base/tokenizer/own-words.ts'
import { InputError } from '../errors.ts'
import { prepareBatches, type Examples, type PaddedBatch } from './batches.ts'
import { inputsOf, notRows, rowCount } from './examples.ts'
import { nextTurn } from './turn.ts'
import { ownOf, several, type Workers } from './workers.ts'

/** How a model is run over rows. */
export interface PredictOptions {
  /** Rows at a time. @default 32 */
  readonly batchSize?: number
  /**
   * The adapters that take part, by name, and no others; `[]` for the plain base. Calls with different ones may be under way at
   * once, and nothing is switched. @default those that are enabled when it is called
   */
  readonly adapter?: AdapterNames
}

export const PREDICT_OPTIONS: Names<PredictOptions> = { batchSize: true, adapter: true }

/** How a model is run over rows, by this process or by several. */
export interface SharedPredictOptions extends PredictOptions {
  /** Shares the batches with other processes, which call the same and all get the whole: see `joinWorkers`. @default this process alone */
  readonly distributed?: Workers
}

export const SHARED_OPTIONS: Names<SharedPredictOptions> = { ...PREDICT_OPTIONS, distributed: true }

/** What a model gives each row. */
export interface Predictions {
  /** The likeliest class of each row; empty where rows have none that exclude each other. */
  readonly classes: Int32Array
  /** Logits, or of a regression its numbers, row after row: rows × classes. */
  readonly logits: Float32Array
  /** Of several labels a row: those that are likelier there than not. */
  readonly labels?: readonly (readonly number[])[]
}

/**
 * Runs a classifier of texts or pictures over many rows, rows of like length together.
 *
 * @throws InputError when the model is for another task, the rows do not fit it, or it has no adapter of the name
 * @example
 * const { ids } = tokenizer.encode(texts)
 * const [before, after] = await Promise.all([predict(model, { ids }, { adapter: [] }), predict(model, { ids }, { adapter: 'spam' })])
 * console.log(before.classes, after.classes)
 */
export async function predict(model: Model, examples: Examples, options: SharedPredictOptions = {}): Promise<Predictions> {
  checkNames('predict', options, SHARED_OPTIONS)
  const { batchSize = 32, adapter, distributed } = options
  const seen = modelWith(model, adapter)
  const { record: { numeric = false }, labels: { length: C }, problem } = seen
  const logits = new Float32Array(rowCount(examples) * C)
  await forEachBatch('predict', seen, ['sequence-classification', 'image-classification'], examples, batchSize, async (output, { rows }) => {
    const values = await output.data()
    rows.forEach((row, i) => { logits.set(values.subarray(i * C, (i + 1) * C), row * C) })
  }, distributed)
  await distributed?.sum(logits) // of a row that another has seen there are zeros
  const classes = Int32Array.from({ length: numeric ? 0 : rowCount(examples) }, (_, row) => {
    const one = logits.subarray(row * C, (row + 1) * C)
    return one.indexOf(Math.max(...one))
  })
  if (problem !== 'multi_label_classification') return { classes, logits }
  const labels = Array.from({ length: rowCount(examples) }, (_, row) => Array.from({ length: C }, (__, label) => label).filter((label) => (logits[row * C + label] ?? 0) > 0))
  return { classes, logits, labels }
}

/** Runs the model over all rows, or those of this worker, rows of like length together. @param read what to do with the output, which is freed then */
export async function forEachBatch(
  caller: string,
  model: Model,
  tasks: readonly Task[],
  examples: Examples,
  batchSize: number,
  read: (output: Tensor, batch: PaddedBatch) => Promise<void>,
  workers?: Workers,
): Promise<void> {
  const strange = notRows(examples)
  if (strange !== undefined) throw new InputError(`${caller}: ${strange}.`)
  const { task } = model.parts
  if (!tasks.includes(task)) {
    const expected = tasks.map((each) => `'${each}'`).join(' or ')
    throw new InputError(`${caller}: expected a model loaded for ${expected}, got one for '${task}'; use ${model.record.predictedBy}.`)
  }
  const filled = paddingProblem(model, 'ids', examples.ids)
  if (filled !== undefined) throw new InputError(`${caller}: ${filled}.`)
  warnOfOtherRows(model, examples.ids)
  const batches = prepareBatches(inputsOf(examples), { batchSize, bucketWindow: Math.ceil(rowCount(examples) / batchSize) || 1 })
  for await (const batch of ownOf(several(workers), batches.epoch(0))) {
    const output = outputOf(model, batch)
    try {
      await read(output, batch)
    } finally {
      output.dispose()
    }
    await nextTurn()
  }
}
