import { modelWith } from '../base/adapter/named.ts'
import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import { LONGEST, spansIn } from '../base/tasks/span-measure.ts'
import { InputError, shown } from '../errors.ts'
import { rowCount, type Examples } from './examples.ts'
import { forEachBatch, PREDICT_OPTIONS, type PredictOptions } from './predict.ts'

/** A stretch of tokens that may be the answer. */
export interface Span {
  readonly first: number
  readonly last: number
  /** Probability of its first token times that of its last. */
  readonly score: number
}

/** Where answers may lie, how many there are and how long. */
export interface SpanOptions extends PredictOptions {
  /** 1 for each token that an answer may contain: those of the context, without special tokens. @default all tokens */
  readonly context?: readonly ArrayLike<number>[]
  /** Answers for each row, the best first. @default 1 */
  readonly best?: number
  /** Most tokens of an answer. @default 15 */
  readonly maxLength?: number
}

const NAMES: Names<SpanOptions> = { ...PREDICT_OPTIONS, context: true, best: true, maxLength: true }

/**
 * Answers of extractive question answering: for each row its most probable spans, by the rule of transformers' pipelines.
 * Probabilities are over the context alone, a span ends where it begins or later, and is no longer than `maxLength`.
 *
 * @returns for each row its spans, the best first; fewer where the context has no more
 * @throws InputError when the model is for another task, or rows and options do not fit, or it has no adapter of the name
 * @example
 * const reader = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'question-answering' })
 * const { ids, typeIds, specialTokensMask } = tokenizer.encode([['Who won?', 'The visitors won by one goal.']])
 * const context = typeIds.map((row, i) => row.map((type, t) => (type === 1 && specialTokensMask[i]?.[t] === 0 ? 1 : 0)))
 * const [[answer] = []] = await predictSpans(reader, { ids, typeIds }, { context })
 * if (answer !== undefined) console.log(tokenizer.decode(ids[0]?.slice(answer.first, answer.last + 1) ?? []))
 */
export async function predictSpans(model: Model, examples: Examples, options: SpanOptions = {}): Promise<Span[][]> {
  checkNames('predictSpans', options, NAMES)
  const { context, best = 1, maxLength = LONGEST, batchSize = 32, adapter } = options
  const problems = Object.entries({ best, maxLength })
    .filter(([, value]) => !Number.isInteger(value) || value < 1)
    .map(([name, value]) => `${name}: expected an integer of at least 1, got ${shown(value)}`)
  if (context !== undefined && (context.length !== rowCount(examples) || context.some((row, i) => row.length !== examples.ids?.[i]?.length))) {
    problems.push('context: expected one number for each token of each row of ids')
  }
  if (problems.length > 0) throw new InputError('predictSpans: the options cannot be used:', problems)
  const spans: Span[][] = Array.from({ length: rowCount(examples) }, () => [])
  await forEachBatch('predictSpans', modelWith(model, adapter), ['question-answering'], examples, batchSize, async (output, { rows, length }) => {
    const logits = await output.data<'float32'>() // (B, T, 2)
    rows.forEach((row, i) => {
      const allowed = Array.from(examples.ids?.[row] ?? [], (_, t) => t).filter((t) => context === undefined || context[row]?.[t] === 1)
      const side = (which: 0 | 1): Map<number, number> => {
        const probabilities = softmax(allowed.map((t) => logits[(i * length + t) * 2 + which] ?? NaN))
        return new Map(allowed.map((t, at) => [t, probabilities[at] ?? NaN]))
      }
      const [begins, ends] = [side(0), side(1)]
      const found = Array.from(spansIn(allowed, maxLength), ({ first, last }) => ({ first, last, score: (begins.get(first) ?? NaN) * (ends.get(last) ?? NaN) }))
      spans[row] = found.sort((a, b) => b.score - a.score).slice(0, best)
    })
  })
  return spans
}

/** Probabilities of logits. */
export function softmax(values: readonly number[]): number[] {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity)
  const powers = values.map((value) => Math.exp(value - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}
