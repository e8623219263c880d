import type { Model } from '../base/model.ts'
import { checkNames } from '../base/options.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError } from '../errors.ts'
import { softmax } from '../training/predict-spans.ts'
import { predict } from '../training/predict.ts'
import { ANSWER_OPTIONS, answering, checkTexts, rowsOf, type AnswerOptions, type Text } from './rows.ts'

/** What a classifier says of a text or a picture. */
export interface Classification {
  /** The likeliest label. */
  readonly label: string
  /** Its probability. */
  readonly probability: number
  /** The labels that hold, the likeliest first: that one alone, or where several may hold those above one half. */
  readonly labels: readonly string[]
  /** The probability of each label. */
  readonly probabilities: Readonly<Record<string, number>>
}

/**
 * The label of each text, or of each pair of texts, in the words of the model's labels.
 *
 * @throws InputError when the model is for another task or of a regression, the texts are none, or it has no adapter of the name
 * @example
 * for (const { label, probability } of await classify(model, tokenizer, ['You have won a prize!', 'Minutes of the meeting'])) {
 *   console.log(label, probability.toFixed(2))
 * }
 */
export async function classify(model: Model, tokenizer: Tokenizer, texts: readonly Text[], options: AnswerOptions = {}): Promise<Classification[]> {
  const { labels, rows, several } = await outputs('classify', model, tokenizer, texts, options, false)
  return rows.map((logits) => classification(labels, logits, several))
}

/** What logits say. @param several any number of labels may hold, each by itself; else they exclude each other */
export function classification(labels: readonly string[], logits: readonly number[], several: boolean): Classification {
  const values = several ? logits.map((logit) => 1 / (1 + Math.exp(-logit))) : softmax(logits)
  const ranked = labels.map((label, i) => ({ label, probability: values[i] ?? NaN })).sort((a, b) => b.probability - a.probability)
  const best = ranked[0] ?? { label: '', probability: NaN } // a classifier has a label
  const holding = several ? ranked.filter(({ probability }) => probability > 0.5) : [best]
  return { ...best, labels: holding.map(({ label }) => label), probabilities: named(labels, values) }
}

/**
 * The numbers that a model of a regression gives each text, or each pair of texts, by the names of its outputs.
 *
 * @throws InputError when the model is for another task or has classes, the texts are none, or it has no adapter of the name
 * @example
 * const rater = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sequence-classification', labels: ['stars'], problemType: 'regression' })
 * const [{ stars } = {}] = await regress(rater, tokenizer, ['A film to see twice'])
 */
export async function regress(model: Model, tokenizer: Tokenizer, texts: readonly Text[], options: AnswerOptions = {}): Promise<Readonly<Record<string, number>>[]> {
  const { labels, rows } = await outputs('regress', model, tokenizer, texts, options, true)
  return rows.map((values) => named(labels, values))
}

async function outputs(caller: string, model: Model, tokenizer: Tokenizer, texts: readonly Text[], options: AnswerOptions, numbers: boolean): Promise<{ labels: readonly string[]; rows: number[][]; several: boolean }> {
  checkNames(caller, options, ANSWER_OPTIONS)
  const seen = answering(caller, model, tokenizer, 'sequence-classification', options)
  const { labels, problem } = seen.model
  if ((problem === 'regression') !== numbers) {
    throw new InputError(numbers ? 'regress: expected a model of a regression, got one with classes; use classify.' : 'classify: expected a model with classes, got one of a regression; use regress.')
  }
  checkTexts(caller, texts, true)
  const several = problem === 'multi_label_classification'
  if (texts.length === 0) return { labels, rows: [], several }
  const { logits } = await predict(seen.model, rowsOf(seen, tokenizer, texts), { batchSize: seen.batchSize })
  return { labels, several, rows: texts.map((_, i) => [...logits.subarray(i * labels.length, (i + 1) * labels.length)]) }
}

function named(labels: readonly string[], values: readonly number[]): Readonly<Record<string, number>> {
  return Object.fromEntries(labels.map((label, i) => [label, values[i] ?? NaN]))
}
