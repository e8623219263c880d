import { setImmediate } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Model } from '../base/model.ts'
import { InputError } from '../errors.ts'
import { prepareBatches, type Examples } from './batches.ts'

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
  const { task } = model.parts
  if (task !== 'sequence-classification') {
    throw new InputError(`predict: expected a model loaded for 'sequence-classification', got one for '${task}'; use model.forward(batch).`)
  }
  const count = examples.ids.length
  const C = model.parts.labels.length
  const logits = new Float32Array(count * C)
  const classes = new Int32Array(count)
  const batches = prepareBatches(examples, { batchSize, bucketWindow: Math.ceil(count / batchSize) })
  for (const batch of batches.epoch(0)) {
    const values = tf.tidy(() => (model.forward(batch) as Tensor2D).dataSync())
    batch.rows.forEach((row, i) => {
      const one = values.subarray(i * C, (i + 1) * C)
      logits.set(one, row * C)
      classes[row] = one.indexOf(Math.max(...one))
    })
    await setImmediate() // lets signals and timers of the program through
  }
  return { classes, logits }
}
