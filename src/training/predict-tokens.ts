import * as tf from '@tensorflow/tfjs-core'
import { modelWith } from '../base/adapter/named.ts'
import { read } from '../base/engine/read.ts'
import type { Model } from '../base/model.ts'
import { checkNames } from '../base/options.ts'
import { rowCount, type Examples } from './examples.ts'
import { forEachBatch, PREDICT_OPTIONS, type PredictOptions } from './predict.ts'

/** What a model says of each token; both are indexed by row, then by token. */
export interface TokenPredictions {
  /** The most probable class of each token; for a masked LM, the most probable token in its place. */
  readonly classes: readonly Int32Array[]
  /** Its probability. */
  readonly scores: readonly Float32Array[]
}

/**
 * Runs a token classifier or a masked LM over many rows, rows of like length together.
 *
 * @throws InputError when the model is for another task, or the rows do not fit it, or it has no adapter of the name
 * @example
 * const tagger = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'token-classification', labels: ['O', 'B-PER', 'I-PER'] })
 * const { classes } = await predictTokens(tagger, { ids: tokenizer.encode(texts).ids })
 * console.log(classes.map((row) => Array.from(row, (label) => tagger.labels[label])))
 */
export async function predictTokens(model: Model, examples: Examples, options: PredictOptions = {}): Promise<TokenPredictions> {
  checkNames('predictTokens', options, PREDICT_OPTIONS)
  const { batchSize = 32, adapter } = options
  const classes: Int32Array[] = Array.from({ length: rowCount(examples) }, () => new Int32Array())
  const scores: Float32Array[] = Array.from({ length: rowCount(examples) }, () => new Float32Array())
  await forEachBatch('predictTokens', modelWith(model, adapter), ['token-classification', 'masked-lm'], examples, batchSize, async (logits, { rows }) => {
    const length = logits.shape[1] ?? NaN
    const [best, probabilities] = await Promise.all([
      read<'int32'>(() => tf.argMax(logits, -1)),
      read(() => tf.exp(tf.sub(tf.max(logits, -1), tf.logSumExp(logits, -1)))),
    ])
    rows.forEach((row, i) => {
      const end = i * length + ((examples.decoderIds ?? examples.ids)?.[row]?.length ?? 0)
      classes[row] = Int32Array.from(best.subarray(i * length, end))
      scores[row] = probabilities.slice(i * length, end)
    })
  })
  return { classes, scores }
}
