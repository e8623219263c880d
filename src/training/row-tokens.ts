// Rows of texts, words or pictures as rows of tokens and pixels, with what is to be learned of them at its place.

import { alignLabels } from '../base/tokenizer/align-labels.ts'
import type { Encoded, EncodedWords, EncodeOptions } from '../base/tokenizer/encode.ts'
import type { Picture } from '../base/image/picture.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { firstOf, InputError } from '../errors.ts'
import { tokensOfConversations, type Conversation, type TokensOfConversations } from './conversations.ts'
import type { Examples, Label } from './examples.ts'
import { inputOf, targetOf, type RowOptions, type Target } from './row-options.ts'
import type { Answer } from './row-values.ts'
import type { Partner, ReadRow } from './rows.ts'
import { spanWith } from './span-texts.ts'

/** What a tokenizer is asked; it may be in another thread. */
export type Question =
  | { readonly texts: readonly (string | readonly [string, string])[]; readonly options: EncodeOptions }
  | { readonly words: readonly (readonly string[])[]; readonly options: EncodeOptions }
  | { readonly conversations: readonly Conversation[]; readonly options: EncodeOptions }

/** What it answers. */
export type TokenRows = Encoded | EncodedWords | TokensOfConversations

/** @throws InputError as the tokenizer does */
export function encoded(tokenizer: Tokenizer, question: Question): TokenRows {
  if ('conversations' in question) return tokensOfConversations(tokenizer, question.conversations, question.options.maxLength)
  return 'texts' in question ? tokenizer.encode(question.texts, question.options) : tokenizer.encodeWords(question.words, question.options)
}

/** What makes numbers of what rows hold; it may be in other threads. */
export interface Encoders {
  /** Asks the tokenizer. */
  readonly tokens: (question: Question) => TokenRows | Promise<TokenRows>
  /** The pixels of each picture. @param nameOf what errors call it */
  readonly pixels: (pictures: readonly Picture[], nameOf: (index: number) => string) => Promise<readonly Float32Array[]>
}

/** The rows as examples. */
export async function examplesOf<Row>(rows: readonly ReadRow[], options: RowOptions<Row>, { tokens: encode, pixels }: Encoders): Promise<Examples> {
  const { maxLength } = options
  const input = inputOf(options)
  const kind = targetOf(options)
  const targets = rows.map(({ target }) => target)
  const limit = maxLength === undefined ? {} : { maxLength }
  if (input === 'messages') {
    const { ids, tokenLabels, problems } = (await encode({ conversations: rows.map(({ input }) => input as Conversation), options: limit })) as TokensOfConversations
    if (problems.length > 0) throw new InputError('The conversations cannot be written as text:', firstOf(problems.map(([i, problem]) => `${rows[i]?.where}: ${problem}`), 'conversations'))
    return { ids, tokenLabels }
  }
  if (input === 'words') {
    const { ids, wordIds } = (await encode({ words: rows.map(({ input }) => input as readonly string[]), options: limit })) as EncodedWords
    return kind === undefined ? { ids } : { ids, tokenLabels: wordIds.map((row, i) => labelsOfTokens(row, targets[i] as readonly Label[])) }
  }
  const pictures = options.image === undefined ? {} : { pixels: await pixels(rows.map(({ picture }) => picture as Picture), (i) => rows[i]?.where ?? '') }
  if (input === undefined) return { ...pictures, ...labelsOf(targets, kind, options) }
  const texts = rows.map(({ input }) => input as string | readonly [string, string])
  const isPair = typeof texts[0] === 'object'
  if (kind === 'positive') {
    const partners = targets as readonly Partner[]
    const { ids } = (await encode({ texts: [...texts, ...partners.map(({ positive }) => positive), ...partners.flatMap(({ negatives }) => negatives)], options: limit })) as Encoded
    let next = 2 * rows.length
    const negatives = options.negative === undefined ? {} : { negatives: partners.map((partner) => ids.slice(next, next += partner.negatives.length)) }
    const scores = options.score === undefined ? {} : { scores: partners.map(({ score }) => score) }
    return { ids: ids.slice(0, rows.length), positives: ids.slice(rows.length, 2 * rows.length), ...negatives, ...scores }
  }
  if (kind === 'target') {
    const { ids, typeIds } = (await encode({ texts: [...texts, ...(targets as readonly string[])], options: limit })) as Encoded
    const [read, written] = [ids.slice(0, rows.length), ids.slice(rows.length)]
    return { ids: read, ...(isPair ? { typeIds: typeIds.slice(0, rows.length) } : {}), targets: written }
  }
  const { ids, typeIds, ...places } = (await encode({ texts, options: { ...limit, offsets: kind === 'answer' } })) as Encoded
  const inputs: Examples = { ...(isPair ? { ids, typeIds } : { ids }), ...pictures }
  if (kind === 'answer') return { ...inputs, spans: rows.map((_, i) => spanOf((texts[i] as readonly [string, string])[1], targets[i] as Answer | undefined, places, i)) }
  return { ...inputs, ...labelsOf(targets, kind, options) }
}

/** What is learned of whole rows. */
function labelsOf<Row>(targets: readonly ReadRow['target'][], kind: Target | undefined, options: RowOptions<Row>): Examples {
  if (kind === undefined) return {}
  if (kind !== 'number') return { labels: targets as readonly Label[] | readonly (readonly Label[])[] }
  const numbers = targets as readonly (readonly number[])[]
  const names = columnNames(options.number)
  if (numbers[0]?.length === 1) return { labels: numbers.flat() }
  return { labels: names === undefined ? numbers : numbers.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i] ?? NaN]))) }
}

/** Numbers of several columns have their names, by which a model finds its own; what functions of a row give has none. */
function columnNames<Row>(columns: RowOptions<Row>['number']): readonly string[] | undefined {
  const names = [columns].flat()
  return names.every((name): name is string & keyof Row => typeof name === 'string') ? names : undefined
}

/** The first token of a word has its label, the others none. */
function labelsOfTokens(wordIds: ArrayLike<number>, labels: readonly Label[]): Label[] {
  return Array.from(alignLabels(wordIds, [...labels.keys()]), (word) => labels[word] ?? IGNORED_LABEL)
}

/** First and last token of an answer: the first token of the row where there is none, and −100 for what was cut off. */
function spanOf(context: string, answer: Answer | undefined, { offsets = [], specialTokensMask }: Pick<Encoded, 'offsets' | 'specialTokensMask'>, row: number): readonly [number, number] {
  const places = offsets[row] ?? []
  const tokens = contextOf(places, specialTokensMask[row] ?? [])
  const kept = new Int32Array(2 * places.length).fill(-1)
  for (const token of tokens) kept.set(places[token] ?? [], 2 * token)
  const answers = answer === undefined ? [''] : [answer.text, ...answer.others.filter((text) => typeof text === 'string')]
  return spanWith(tokensOf(answer, tokens, places), { context, places: kept, answers })
}

function tokensOf(answer: Answer | undefined, context: readonly number[], places: readonly (readonly [number, number])[]): readonly [number, number] {
  if (answer === undefined) return [0, 0]
  const end = answer.start + answer.text.length
  const first = context.find((token) => (places[token]?.[1] ?? 0) > answer.start)
  const last = context.filter((token) => (places[token]?.[0] ?? end) < end).at(-1)
  const isWhole = first !== undefined && last !== undefined && first <= last && (places[first]?.[0] ?? 0) <= answer.start && (places[last]?.[1] ?? 0) >= answer.start + answer.text.trimEnd().length
  return isWhole ? [first, last] : [IGNORED_LABEL, IGNORED_LABEL]
}

/** The tokens of the second text of a pair: behind the special tokens that part it from the first, or where places begin anew. */
function contextOf(places: readonly (readonly [number, number])[], special: ArrayLike<number>): number[] {
  const tokens = Array.from(places.keys()).filter((token) => special[token] === 0)
  const begins = tokens.findIndex((token, i) => {
    const before = tokens[i - 1]
    return before !== undefined && (token > before + 1 || (places[token]?.[0] ?? 0) < (places[before]?.[0] ?? 0))
  })
  return begins < 0 ? [] : tokens.slice(begins)
}
