import { InputError, shown } from '../../errors.ts'
import { modelWith } from '../adapter/named.ts'
import { checkKind } from '../awaited.ts'
import { checkBatch } from '../batch.ts'
import type { Model } from '../model.ts'
import { checkNames } from '../options.ts'
import type { ChatMessage } from '../tokenizer/chat.ts'
import { warnOfOtherWords } from '../tokenizer/own-words.ts'
import { textStream } from '../tokenizer/stream.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { arrivalsOf } from './arrivals.ts'
import { allOf, checkRows } from './generate.ts'
import { continueQueue } from './queue.ts'
import { Row } from './row.ts'
import { settingsOf } from './settings.ts'
import { GENERATE_TEXT_OPTIONS, promptOf, type GenerateTextOptions } from './text.ts'

/** How many texts are continued. */
export type GenerateTextsOptions = GenerateTextOptions & {
  /** Most texts at a time: each takes memory for its keys and values, and all take less time together than one after the other. @default 32 */
  readonly rows?: number
}

/** What was written behind one of several prompts. */
export interface GeneratedText {
  /** The prompt's place among all, from 0. */
  readonly index: number
  /** Without special tokens. */
  readonly text: string
}

/**
 * Continues any number of texts, or answers conversations, some at a time: one that has ended is given at once and leaves its place to
 * the next. What all prompts of a list begin with, such as a system prompt, is read once. Prompts may come over time, as a server's requests
 * do. Each text is what `generateText` gives, up to rounding; with a temperature it depends on the seed and its place alone. A decoder's alone.
 *
 * @param prompts texts, or messages for the tokenizer's chat template; a list, or what gives them one by one
 * @throws InputError with everything that is wrong with the options or the prompts; of prompts over time when one comes
 * @example
 * for await (const { index, text } of generateTexts(model, tokenizer, ['Once upon', 'There was'], { maxNewTokens: 8, rows: 2 })) {
 *   console.log(index, text)
 * }
 */
export function generateTexts(
  model: Model,
  tokenizer: Tokenizer,
  prompts: Iterable<string | readonly ChatMessage[]> | AsyncIterable<string | readonly ChatMessage[]>,
  options: GenerateTextsOptions,
): AsyncGenerator<GeneratedText, void> {
  checkNames('generateTexts', options, { ...GENERATE_TEXT_OPTIONS, rows: true })
  checkKind('tokenizer', tokenizer)
  checkKind('model', model)
  warnOfOtherWords(model, tokenizer)
  const { rows: most = 32, ...rest } = options
  if (!Number.isInteger(most) || most < 1) throw new InputError(`generateTexts: rows: expected an integer of at least 1, got ${shown(most)}.`)
  if (!isSource(prompts)) throw new InputError(`generateTexts: expected prompts, a list of texts or conversations, got ${shown(prompts)}. One text: generateText.`)
  const { architecture: { decoderStart } } = model.parts
  if (decoderStart !== undefined) throw new InputError('generateTexts: expected a model that continues texts; one that answers them by an encoder takes one after the other: generateText.')
  const seen = modelWith(model, options.adapter)
  const settings = settingsOf(seen, { ...rest, tokenizer })
  const indices = new Map<Row, number>()
  const rowOf = (prompt: string | readonly ChatMessage[]): Row => {
    const ids = promptOf('generateTexts', tokenizer, prompt, rest).ids
    const row = new Row(ids, indices.size, settings)
    indices.set(row, indices.size)
    const batch = allOf([ids])
    checkRows(seen, batch, [ids], settings.maxNewTokens)
    checkBatch(seen.parts.architecture, batch, seen.limits)
    return row
  }
  const isList = Symbol.iterator in prompts
  const given = isList ? [...prompts].map(rowOf) : eachOf(prompts, rowOf)
  const texts = isList ? (given as Row[]).map(({ tokens }) => tokens) : []
  return textsOf(continueQueue(seen, arrivalsOf(given), most, texts.length > 1 ? beginningOf(texts) : []), tokenizer, indices)
}

function isSource(prompts: unknown): boolean {
  return typeof prompts === 'object' && prompts !== null && (Symbol.iterator in prompts || Symbol.asyncIterator in prompts)
}

async function* eachOf<T, U>(source: AsyncIterable<T>, make: (each: T) => U): AsyncGenerator<U, void> {
  for await (const each of source) yield make(each)
}

async function* textsOf(rows: AsyncGenerator<Row, void>, tokenizer: Tokenizer, indices: Map<Row, number>): AsyncGenerator<GeneratedText, void> {
  for await (const row of rows) {
    const stream = textStream(tokenizer, row.tokens.slice(0, row.prompt))
    const text = row.newTokens.map((id) => stream.push(id)).join('') + stream.end()
    yield { index: indices.get(row) ?? 0, text }
  }
}

/** The tokens that all begin with, but for the last of the shortest: each has one to go on from. */
function beginningOf(texts: readonly (readonly number[])[]): readonly number[] {
  const [first = []] = texts
  const most = Math.min(...texts.map(({ length }) => length)) - 1
  let count = 0
  while (count < most && texts.every((text) => text[count] === first[count])) count++
  return first.slice(0, count)
}
