import { firstOf, InputError, shown } from '../../errors.ts'
import { checkNames } from '../options.ts'
import { plainTemplate, truncatedLengths } from './template.ts'
import type { Template, Truncation } from './template.ts'
import type { TextTokenizer, TextTokens, TokenPlace } from './text.ts'

/** How rows are cut and filled. */
export interface EncodeOptions {
  /** Most tokens of a row, special ones included. @default no limit */
  readonly maxLength?: number | undefined
  /** Which text of a pair is cut. @default 'longest_first' */
  readonly truncation?: Truncation | undefined
  /** Fill rows to the longest one's length or to `maxLength`. @default false */
  readonly padding?: 'longest' | 'max' | false | undefined
  /** Put the tokenizer's special tokens around the text; false for what a chat template wrote, which has them. @default true */
  readonly specialTokens?: boolean | undefined
  /** Also say where each token stands in its text, and of which word it is. @default false */
  readonly offsets?: boolean | undefined
}

/** How rows of words are cut and filled. */
export type EncodeWordsOptions = Omit<EncodeOptions, 'truncation'>

/** Rows of tokens, one for each text or pair. */
export interface Encoded {
  readonly ids: readonly Int32Array[]
  /** 1 for a token, 0 for padding. */
  readonly attentionMask: readonly Int32Array[]
  /** Which text of a pair a token belongs to, by the tokenizer's own rule. */
  readonly typeIds: readonly Int32Array[]
  /** 1 for a token that is not from the text. */
  readonly specialTokensMask: readonly Int32Array[]
  /** Whether `maxLength` has cut something off the row. */
  readonly truncated: readonly boolean[]
  /** Begin and end of each token in its text, as `text.slice` takes them; [0, 0] for special tokens. With `offsets`. */
  readonly offsets?: readonly (readonly (readonly [number, number])[])[]
  /** Number of the word each token is of, as the tokenizer cuts words; -1 for special tokens. With `offsets`. */
  readonly wordIds?: readonly Int32Array[]
}

/** Rows of tokens, one for each list of words. */
export interface EncodedWords extends Omit<Encoded, 'offsets' | 'wordIds'> {
  /** Place of the word each token is of in its row; -1 for special tokens. */
  readonly wordIds: readonly Int32Array[]
  /** Begin and end of each token in its word. With `offsets`. */
  readonly offsets?: Encoded['offsets']
}

/** What a tokenizer encodes with. */
export interface Encoder {
  readonly tokenize: TextTokenizer
  readonly template: Template
  readonly trim: (places: readonly TokenPlace[]) => TokenPlace[]
  readonly cutLeft: boolean
  readonly padLeft: boolean
  readonly padId: number | undefined
  readonly padTypeId: number
}

/** Reads the text at one place of the template, up to a number of tokens. */
type Reader = (limit: number) => TextTokens

/** Rows of texts and of pairs of texts. */
export function encodeTexts(encoder: Encoder, texts: readonly (string | readonly [string, string])[], options: EncodeOptions): Encoded {
  checkNames('encode', options, { maxLength: true, truncation: true, padding: true, specialTokens: true, offsets: true })
  check('texts', texts, 'a text or a pair of texts', (text) => typeof text === 'string' || (isTexts(text) && text.length === 2))
  const { offsets = false } = options
  const readers = texts.map((text) => (typeof text === 'string' ? [text] : text).map((each): Reader => (limit) => encoder.tokenize(each, limit, offsets)))
  const { wordIds, offsets: places, ...encoded } = encodeRows(encoder, readers, options)
  return offsets ? { ...encoded, offsets: places, wordIds } : encoded
}

/** Rows of words that come split already. */
export function encodeWords(encoder: Encoder, rows: readonly (readonly string[])[], options: EncodeWordsOptions): EncodedWords {
  checkNames('encodeWords', options, { maxLength: true, padding: true, specialTokens: true, offsets: true })
  check('rows', rows, 'a list of words', isTexts)
  const { offsets = false } = options
  const { offsets: places, ...encoded } = encodeRows(encoder, rows.map((words) => [(limit): TextTokens => wordTokens(encoder, words, limit)]), options)
  return offsets ? { ...encoded, offsets: places } : encoded
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}

function check(what: 'texts' | 'rows', given: unknown, expected: string, fits: (value: unknown) => boolean): void {
  const problems = Array.isArray(given)
    ? given.flatMap((value: unknown, i) => (fits(value) ? [] : [`${what === 'texts' ? 'text' : 'row'} ${i}: expected ${expected}, got ${shown(value)}`]))
    : [`expected a list of ${what}, got ${shown(given)}`]
  if (problems.length > 0) throw new InputError(`The ${what === 'texts' ? 'texts' : 'words'} cannot be encoded`, firstOf(problems, what))
}

function wordTokens({ tokenize }: Encoder, words: readonly string[], limit: number): TextTokens {
  const ids: number[] = []
  const places: TokenPlace[] = []
  for (const [word, text] of words.entries()) {
    if (ids.length >= limit) break
    const tokens = tokenize(text, limit - ids.length, true)
    for (const id of tokens.ids) ids.push(id)
    for (const place of tokens.places ?? []) places.push({ ...place, word })
  }
  return { ids, places }
}

type Rows = Required<Encoded>

function encodeRows(encoder: Encoder, texts: readonly (readonly Reader[])[], options: EncodeOptions): Rows {
  const { maxLength, truncation = 'longest_first', padding = false, specialTokens = true } = options
  const { padId, padTypeId, padLeft } = encoder
  const problems: string[] = []
  if (maxLength !== undefined && !(Number.isInteger(maxLength) && maxLength > 0)) problems.push(`maxLength: expected a natural number, got ${shown(maxLength)}`)
  if (padding === 'max' && maxLength === undefined) problems.push('padding "max" needs a maxLength')
  if (padding !== false && padId === undefined) problems.push('padding: the tokenizer has no padding token. Name one as "pad_token" in tokenizer_config.json')
  if (problems.length > 0) throw new InputError('The texts cannot be encoded', problems)

  const rows = texts.map((readers, i) => {
    const row = encodeRow(specialTokens ? encoder : { ...encoder, template: plainTemplate }, readers, maxLength ?? Infinity, truncation)
    if (typeof row === 'string') problems.push(`text ${i}: ${row}`)
    return row
  })
  if (problems.length > 0) throw new InputError('The texts cannot be encoded', firstOf(problems, 'texts'))
  const good = rows as Row[]
  const length = padding === 'max' ? maxLength : padding === 'longest' ? good.reduce((most, { ids }) => Math.max(most, ids.length), 0) : undefined
  const fill = <T>(values: readonly T[], value: T): readonly T[] => {
    if (length === undefined) return values
    const pad = Array<T>(length - values.length).fill(value)
    return padLeft ? [...pad, ...values] : [...values, ...pad]
  }
  const rowsOf = (field: (row: Row) => readonly number[], value: number): Int32Array[] => good.map((row) => Int32Array.from(fill(field(row), value)))
  return {
    ids: rowsOf(({ ids }) => ids, padId ?? 0),
    attentionMask: rowsOf(({ ids }) => ids.map(() => 1), 0),
    typeIds: rowsOf(({ typeIds }) => typeIds, padTypeId),
    specialTokensMask: rowsOf(({ special }) => special, 1),
    truncated: good.map(({ truncated }) => truncated),
    offsets: good.map((row) => fill(row.places.map(({ span }) => span), [0, 0])),
    wordIds: rowsOf(({ places }) => places.map(({ word }) => word), -1),
  }
}

interface Row {
  readonly ids: number[]
  readonly typeIds: number[]
  readonly special: number[]
  readonly places: TokenPlace[]
  readonly truncated: boolean
}

const nowhere: TokenPlace = { text: '', span: [0, 0], word: -1, token: '' }

/** The row, or why there is none. */
function encodeRow(encoder: Encoder, readers: readonly Reader[], maxLength: number, truncation: Truncation): Row | string {
  const template = readers.length === 1 ? encoder.template.single : encoder.template.pair
  const room = maxLength - template.filter((slot) => 'id' in slot).length
  if (room < 0) return `the special tokens alone are more than maxLength ${maxLength}`
  let tokens = readers.map((read) => read(encoder.cutLeft ? Infinity : room + 1)) // one more, to tell a text that just fits from a longer one
  // The odd token goes to the longer text: which one that is only their whole lengths tell.
  if (room % 2 === 1 && tokens.length === 2 && tokens.every(({ ids }) => ids.length > room)) tokens = readers.map((read) => read(Infinity))
  const [first, second] = tokens
  const kept = readers.length === 1
    ? [Math.min(first?.ids.length ?? 0, room), 0] as const
    : truncatedLengths(first?.ids.length ?? 0, second?.ids.length ?? 0, room, truncation)
  if (kept === undefined) return `the second text alone fills the ${room} tokens that maxLength ${maxLength} leaves; cut it too (truncation "longest_first")`

  const truncated = tokens.some(({ ids }, i) => ids.length > (kept[i] ?? 0))
  const row: Row = { ids: [], typeIds: [], special: [], places: [], truncated }
  for (const slot of template) {
    const special = 'id' in slot
    const { ids = [], places } = special ? { ids: [slot.id] } : tokens[slot.text] ?? {}
    const count = special ? 1 : kept[slot.text]
    const from = encoder.cutLeft ? ids.length - count : 0
    for (const id of ids.slice(from, from + count)) {
      row.ids.push(id)
      row.typeIds.push(slot.typeId)
      row.special.push(special ? 1 : 0)
    }
    for (const place of special ? [nowhere] : encoder.trim((places ?? []).slice(from, from + count))) row.places.push(place)
  }
  return row
}
