import * as tf from '@tensorflow/tfjs-core'
import type { Model } from '../base/model.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { InputError } from '../errors.ts'
import { labelsCounted } from './accumulate.ts'
import { prepareBatches, type BatchTransform, type Examples } from './batches.ts'
import type { EvaluateEvent } from './events.ts'
import { accuracy, precisionRecallF1 } from './metrics.ts'
import { missingLabels, transformFor } from './objectives.ts'
import { predict } from './predict.ts'
import { predictTokens } from './predict-tokens.ts'

type Measures = Pick<EvaluateEvent, 'accuracy' | 'f1' | 'loss' | 'perplexity'>

/** What a task is measured by, on held-out rows. @throws InputError when the rows lack what the task needs */
export async function measure(model: Model, rows: Examples, batchSize: number): Promise<Measures> {
  const { task, labels: names } = model.parts
  const missing = missingLabels(task, rows)
  if (missing.length > 0) throw new InputError('The rows to evaluate on cannot be used:', missing)
  const scores = (predictions: ArrayLike<number>, labels: ArrayLike<number>): Measures => ({
    accuracy: accuracy(predictions, labels),
    f1: precisionRecallF1(predictions, labels, names.length === 2 ? { positive: 1 } : 'macro').f1,
  })
  if (task === 'sequence-classification') return scores((await predict(model, rows, batchSize)).classes, rows.labels ?? [])
  if (task === 'token-classification') {
    const { classes } = await predictTokens(model, rows, batchSize)
    const pairs = (rows.tokenLabels ?? []).flatMap((row, i) =>
      Array.from(row, (label, t) => [classes[i]?.[t] ?? NaN, label] as const).filter(([, label]) => label !== IGNORED_LABEL))
    return scores(pairs.map(([predicted]) => predicted), pairs.map(([, label]) => label))
  }
  const loss = meanLoss(model, rows, { batchSize })
  return task.endsWith('-lm') ? { loss, perplexity: Math.exp(loss) } : { loss }
}

/** What `perplexity` takes. */
export interface PerplexityOptions {
  /** Rows at a time. @default 32 */
  readonly batchSize?: number
  /** Makes the labels of each batch. @default `nextTokenLabels` for a causal LM */
  readonly transform?: BatchTransform
}

/**
 * Perplexity of a language model: exp of the mean loss over all labelled tokens, whatever batches they are in. Of a causal
 * LM that is every token but the first of each row, where the rows have no `tokenLabels`.
 *
 * @throws InputError when the model is none, or there is no label
 * @example console.log(perplexity(model, { ids: [[5, 6, 7], [8, 9]] }))
 */
export function perplexity(model: Model, examples: Examples, options: PerplexityOptions = {}): number {
  const { task } = model.parts
  if (!task.endsWith('-lm')) throw new InputError(`perplexity: expected a model loaded for 'causal-lm' or 'masked-lm', got one for '${task}'.`)
  const missing = options.transform === undefined ? missingLabels(task, examples) : []
  if (missing.length > 0) throw new InputError('perplexity: the rows cannot be used:', missing)
  return Math.exp(meanLoss(model, examples, options))
}

function meanLoss(model: Model, examples: Examples, { batchSize = 32, transform }: PerplexityOptions): number {
  const made = transform === undefined ? transformFor(model.parts.task) : { transform }
  let sum = 0
  let count = 0
  for (const batch of prepareBatches(examples, { batchSize, ...made }).epoch(0)) {
    const labels = labelsCounted(model, batch)
    const loss = tf.tidy(() => model.loss(batch).dataSync()[0] ?? NaN)
    if (labels > 0) sum += loss * labels
    count += labels
  }
  if (count === 0) throw new InputError('The loss needs labels; no token of the rows has one.')
  return sum / count
}
