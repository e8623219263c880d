import { setImmediate } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Task } from '../base/architecture.ts'
import type { Model } from '../base/model.ts'
import { InputError } from '../errors.ts'
import { prepareBatches, type Examples, type PaddedBatch } from './batches.ts'

/** The class a model gives each row. */
export interface Predictions {
  readonly classes: Int32Array // (rows)
  /** Logits, row after row: rows × classes. */
  readonly logits: Float32Array
}

/**
 * Runs a sequence classifier over many rows, rows of like length together.
 *
 * @param batchSize rows at a time
 * @throws InputError when the model is for another task, or the rows do not fit it
 * @example const { classes } = await predict(model, { ids: tokenizer.encode(texts).ids })
 */
export async function predict(model: Model, examples: Examples, batchSize = 32): Promise<Predictions> {
  const C = model.parts.labels.length
  const logits = new Float32Array(examples.ids.length * C)
  const classes = new Int32Array(examples.ids.length)
  await forEachBatch('predict', model, ['sequence-classification'], examples, batchSize, (output, { rows }) => {
    const values = output.dataSync()
    rows.forEach((row, i) => {
      const one = values.subarray(i * C, (i + 1) * C)
      logits.set(one, row * C)
      classes[row] = one.indexOf(Math.max(...one))
    })
  })
  return { classes, logits }
}

/** Which function predicts for a task. */
const FUNCTIONS: Readonly<Record<Task, string>> = {
  'feature-extraction': 'model.forward(batch)',
  'sentence-embedding': 'embed',
  'sequence-classification': 'predict',
  'token-classification': 'predictTokens',
  'question-answering': 'predictSpans',
  'masked-lm': 'predictTokens',
  'causal-lm': 'generate',
}

/** Runs the model over all rows, rows of like length together. @param read what to do with the output; runs inside a tidy */
export async function forEachBatch(
  caller: string,
  model: Model,
  tasks: readonly Task[],
  { ids, typeIds }: Examples,
  batchSize: number,
  read: (output: Tensor, batch: PaddedBatch) => void,
): Promise<void> {
  const { task } = model.parts
  if (!tasks.includes(task)) {
    const expected = tasks.map((each) => `'${each}'`).join(' or ')
    throw new InputError(`${caller}: expected a model loaded for ${expected}, got one for '${task}'; use ${FUNCTIONS[task]}.`)
  }
  const rows = { ids, ...(typeIds === undefined ? {} : { typeIds }) }
  const batches = prepareBatches(rows, { batchSize, bucketWindow: Math.ceil(ids.length / batchSize) || 1 })
  for (const batch of batches.epoch(0)) {
    tf.tidy(() => { read(model.forward(batch), batch) })
    await setImmediate() // lets signals and timers of the program through
  }
}
