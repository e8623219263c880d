// How well answers are found: exact match and F1 as SQuAD has them (Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822).

import { IGNORED_LABEL } from '../ops/cross-entropy.ts'
import type { MeasuredBatch, ObservedRow, TaskMeasure } from './measures.ts'

/** The texts of a row: what is said of it is compared as text. */
export interface SpanTexts {
  readonly context: string
  /** Begin and end of each token of the row in the context, −1 for those outside it. */
  readonly places: Int32Array
  /** Each of them is right; of no answer ''. */
  readonly answers: readonly string[]
}

interface Scores {
  readonly exactMatch: number
  readonly f1: number
}

/** An answer that was found, and whether none is likelier. */
interface ObservedSpan extends ObservedRow {
  readonly found: Scores
  readonly isNone: boolean
  readonly saysNone: boolean
}

/** Most tokens of an answer, where nothing else is said. */
export const LONGEST = 15

/**
 * The likeliest span of each row beside the right one. Where texts are known it is sought in the context and compared as text, else
 * among all tokens and by the tokens alone. That there is no answer is said of rows only where some of them have none.
 */
export const SPANS: TaskMeasure = {
  async observe(output, batch, textsOf) {
    const logits = await output.data<'float32'>() // (B, T, 2)
    return new Map(Array.from(batch.rows, (row, i) => [row, spanOf(logits, batch, i, textsOf?.(row))] as const).filter((each): each is [number, ObservedSpan] => each[1] !== undefined))
  },
  summarize(noted) {
    const rows = noted.flatMap((each) => [...each.values()]) as ObservedSpan[]
    const someHaveNone = rows.some(({ isNone }) => isNone)
    const mean = (of: keyof Scores): number =>
      rows.reduce((sum, { found, isNone, saysNone }) => sum + (someHaveNone && saysNone ? Number(isNone) : found[of]), 0) / rows.length
    return { exactMatch: mean('exactMatch'), f1: mean('f1') }
  },
}

/** @returns undefined where the row does not count */
function spanOf(logits: Float32Array, { mask, labels = new Int32Array(), batch, length }: MeasuredBatch, i: number, texts: SpanTexts | undefined): ObservedSpan | undefined {
  const [first = IGNORED_LABEL, last = IGNORED_LABEL] = labels.subarray(2 * i, 2 * i + 2)
  if (labels.length !== 2 * batch || first === IGNORED_LABEL || last === IGNORED_LABEL) return undefined
  const isThere = (t: number): boolean => mask === undefined || mask[i * length + t] === 1
  const tokens = Array.from({ length }, (_, t) => t).filter(isThere)
  const begin = tokens[0] ?? 0 // rows may be filled up before it
  const allowed = tokens.filter((t) => (texts?.places[2 * (t - begin)] ?? 0) >= 0)
  const logit = (t: number, side: 0 | 1): number => logits[(i * length + t) * 2 + side] ?? NaN
  const best = likeliest(allowed, logit)
  const actual = [first - begin, last - begin]
  const predicted = [best.first - begin, best.last - begin]
  const isNone = texts === undefined ? false : texts.answers.every((text) => bare(text) === '')
  const found = texts === undefined ? overlap(predicted, actual) : squadScores(textOf(texts, predicted), texts.answers)
  return { predicted, actual, found, isNone, saysNone: texts !== undefined && logit(begin, 0) + logit(begin, 1) > best.score }
}

function likeliest(allowed: readonly number[], logit: (t: number, side: 0 | 1) => number): { readonly first: number, readonly last: number, readonly score: number } {
  let best = { first: allowed[0] ?? 0, last: allowed[0] ?? 0, score: -Infinity }
  for (const { first, last } of spansIn(allowed, LONGEST)) {
    const score = logit(first, 0) + logit(last, 1)
    if (score > best.score) best = { first, last, score }
  }
  return best
}

/** All spans of so many tokens at most that begin and end at allowed ones, which come in order. */
export function* spansIn(allowed: readonly number[], longest: number): Generator<{ readonly first: number; readonly last: number }, void> {
  for (const [i, first] of allowed.entries()) {
    for (const last of allowed.slice(i, i + longest)) if (last - first < longest) yield { first, last }
  }
}

function textOf({ context, places }: SpanTexts, [first = 0, last = 0]: readonly number[]): string {
  return context.slice(places[2 * first], places[2 * last + 1])
}

function overlap(predicted: readonly number[], actual: readonly number[]): Scores {
  const size = ([first = 0, last = 0]: readonly number[]): number => last - first + 1
  const shared = Math.max(0, size([Math.max(predicted[0] ?? 0, actual[0] ?? 0), Math.min(predicted[1] ?? 0, actual[1] ?? 0)]))
  return { exactMatch: Number(shared === size(actual) && shared === size(predicted)), f1: (2 * shared) / (size(actual) + size(predicted)) }
}

/** The scores of an answer beside all that are right, the best of each. */
export function squadScores(said: string, right: readonly string[]): Scores {
  const golds = right.map(bare).filter((text) => text !== '')
  const all = (golds.length > 0 ? golds : ['']).map((gold) => ({ exactMatch: Number(bare(said) === gold), f1: sharedWords(wordsOf(bare(said)), wordsOf(gold)) }))
  return { exactMatch: Math.max(...all.map(({ exactMatch }) => exactMatch)), f1: Math.max(...all.map(({ f1 }) => f1)) }
}

function sharedWords(said: readonly string[], right: readonly string[]): number {
  if (said.length === 0 || right.length === 0) return Number(said.length === right.length)
  const left = new Map<string, number>()
  for (const word of right) left.set(word, (left.get(word) ?? 0) + 1)
  const shared = said.filter((word) => {
    const count = left.get(word) ?? 0
    left.set(word, count - 1)
    return count > 0
  }).length
  return (2 * shared) / (said.length + right.length)
}

const wordsOf = (text: string): readonly string[] => text.split(/\s+/).filter((word) => word !== '')

/** In lower case, without ASCII punctuation and articles, a blank between words. */
function bare(text: string): string {
  const letters = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '')
  return wordsOf(letters.replace(/(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu, ' ')).join(' ')
}
