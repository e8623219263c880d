import { InputError } from '../errors.ts'
import { addedTokenSplitter } from './tokenizer-added.ts'
import type { AddedToken } from './tokenizer-added.ts'
import { bertNormalizer, wordPiece } from './tokenizer-bert.ts'
import type { BertNormalizerConfig, WordPieceConfig } from './tokenizer-bert.ts'
import type { LibraryTokenizer } from './tokenizer-library.ts'

/** What tokenizer.json says, as far as this library looks at it itself. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[]
  readonly normalizer: Step | null
  readonly pre_tokenizer: Step | null
  readonly model: WordPieceConfig & { readonly type?: string }
}

interface Step extends BertNormalizerConfig {
  readonly type: string
  readonly use_regex?: boolean
  readonly normalizers?: readonly Step[]
  readonly pretokenizers?: readonly Step[]
}

/**
 * The same file with what the library reads otherwise than the reference put in words it reads alike: its own
 * `Whitespace` takes ASCII letters alone for letters. Letters are those of Rust's `\w`, joiners among them.
 */
export function correctedJson<T extends TokenizerJson>(json: T): T {
  const letters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D'
  const correct = (step: Step): object => step.type === 'Whitespace'
    ? { type: 'Split', pattern: { Regex: `[${letters}]+|[^${letters}\\s]+` }, behavior: 'Removed', invert: true }
    : step.pretokenizers === undefined ? step : { ...step, pretokenizers: step.pretokenizers.map(correct) }
  return json.pre_tokenizer === null ? json : { ...json, pre_tokenizer: correct(json.pre_tokenizer) }
}

/** A text's tokens, without special ones. */
export interface TextTokens {
  readonly ids: readonly number[]
  /** Where each token stands in the text, in UTF-16 units; empty unless asked for. */
  readonly offsets: readonly (readonly [number, number])[]
}

/** Splits one text; with a `limit` it may stop as soon as it has that many tokens. */
export type TextTokenizer = (text: string, limit: number, withOffsets: boolean) => TextTokens

/** Longer words are rare: they are split anew each time, so that the memory of known words stays small. */
const longestKept = 64
const mostKept = 100_000

/** A tokenizer of single texts from the library's parts; `normalize` and added tokens are our own. */
export function textTokenizer(json: TokenizerJson, library: LibraryTokenizer): TextTokenizer {
  const normalize = json.normalizer?.type === 'BertNormalizer' ? bertNormalizer(json.normalizer) : libraryNormalizer(library)
  const normalizeOne = remembered(normalize)
  const inNormalized = (token: AddedToken): boolean => json.normalizer !== null && (token.normalized ?? token.special !== true)
  const splitRaw = addedTokenSplitter(json.added_tokens.filter((token) => !inNormalized(token)))
  const splitNormalized = addedTokenSplitter(json.added_tokens.filter(inNormalized).map((token) => ({ ...token, content: normalize(token.content) })))
  const split = wordSplitter(library, json.model.type === 'WordPiece' ? wordPiece(json.model, library.model.tokens_to_ids) : (word) => library.model([word]))
  const cuttable = cutsAtBlanks(json)
  return (text, limit, withOffsets) => {
    // Eight characters a token are enough for most texts.
    for (let size = 8 * limit + 64; ; size *= 4) {
      const head = cuttable ? headOf(text, size) : text
      const tokens = tokenize(head, withOffsets)
      if (head.length === text.length || tokens.ids.length >= limit) return tokens
    }
  }

  function tokenize(text: string, withOffsets: boolean): TextTokens {
    const ids: number[] = []
    const offsets: (readonly [number, number])[] = []
    splitRaw(text).forEach((section, section_index) => {
      if (section.id !== undefined) {
        ids.push(section.id)
        if (withOffsets) offsets.push([section.begin, section.begin + section.text.length])
        return
      }
      const normalized = normalize(section.text)
      const origins = withOffsets ? align(section.text, section.begin, normalized, normalizeOne) : []
      for (const { text: part, begin, id } of splitNormalized(normalized)) {
        const words = id === undefined ? library.pre_tokenizer?.(part, { section_index }) ?? [part] : []
        if (id !== undefined) {
          ids.push(id)
          if (withOffsets) offsets.push(spanOf(origins, begin, begin + part.length))
        }
        let at = 0
        for (const word of words) {
          const pieces = split(word)
          for (const piece of pieces.ids) ids.push(piece)
          if (!withOffsets) continue
          at = part.indexOf(word, at)
          if (at < 0 || json.model.type !== 'WordPiece') throw new InputError('offsets: expected a WordPiece tokenizer (the BERT family); for this one they are not known. Leave the option out')
          for (const [from, to] of pieceSpans(word, pieces.tokens)) offsets.push(spanOf(origins, begin + at + from, begin + at + to))
          at += word.length
        }
      }
    })
    return { ids, offsets }
  }

  /** A word piece is its text after the prefix of continuation; the unknown token stands for the whole word. */
  function pieceSpans(word: string, tokens: readonly string[]): (readonly [number, number])[] {
    if (tokens[0] === library.model.unk_token && tokens.length === 1) return [[0, word.length]]
    const prefix = json.model.continuing_subword_prefix ?? '##'
    let end = 0
    return tokens.map((token, i) => [end, end += token.length - (i === 0 ? 0 : prefix.length)])
  }
}

/** Ids of a word's pieces; every id is checked, for the library gives `undefined` where a vocabulary has no unknown token. */
function wordSplitter({ model }: LibraryTokenizer, piecesOf: (word: string) => string[]): (word: string) => { readonly tokens: readonly string[]; readonly ids: readonly number[] } {
  const known = new Map<string, { tokens: string[]; ids: number[] }>()
  return (word) => {
    const before = known.get(word)
    if (before !== undefined) return before
    const tokens = piecesOf(word)
    const ids = tokens.map((token) => {
      const id: unknown = model.tokens_to_ids.get(token) ?? model.unk_token_id
      if (Number.isInteger(id)) return id as number
      throw new InputError(`the tokenizer has no id for ${JSON.stringify(token)} and no token for the unknown. Add an unk_token to tokenizer.json`)
    })
    const found = { tokens, ids }
    if (known.size >= mostKept) known.clear()
    if (word.length <= longestKept) known.set(word, found)
    return found
  }
}

/** For single characters: texts are made of few. */
function remembered(normalize: (text: string) => string): (character: string) => string {
  const known = new Map<string, string>()
  return (character) => {
    let found = known.get(character)
    if (found === undefined) known.set(character, found = normalize(character))
    return found
  }
}

function libraryNormalizer({ normalizer }: LibraryTokenizer): (text: string) => string {
  return normalizer === null ? (text): string => text : (text): string => normalizer(text)
}

/**
 * True when a text may be cut before a blank between two ASCII letters or digits without changing the tokens before
 * the cut: the pre-tokenizer always splits there, no normaliser listed looks across a blank, and no added token has
 * a blank inside.
 */
function cutsAtBlanks({ normalizer, pre_tokenizer, added_tokens }: TokenizerJson): boolean {
  const local = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Strip']
  const isLocal = (step: Step): boolean => local.includes(step.type) || (step.normalizers?.every(isLocal) ?? false)
  const splits = (step: Step | undefined): boolean => step !== undefined && (
    ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit'].includes(step.type)
    || (step.type === 'ByteLevel' && step.use_regex !== false)
    || splits(step.pretokenizers?.[0]))
  return (normalizer === null || isLocal(normalizer)) && splits(pre_tokenizer ?? undefined)
    && added_tokens.every(({ content }) => !content.trim().includes(' '))
}

/** The text up to the first such blank from `size` on. */
function headOf(text: string, size: number): string {
  if (text.length <= size) return text
  const blank = /(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])/g
  blank.lastIndex = size
  const cut = blank.exec(text)
  return cut === null ? text : text.slice(0, cut.index)
}

/** For each unit of the normalised text, the span of the character in the original text it came from. */
function align(text: string, begin: number, normalized: string, normalizeOne: (character: string) => string): (readonly [number, number])[] {
  const origins: (readonly [number, number])[] = []
  let joined = ''
  let at = begin
  for (const character of text) {
    const piece = normalizeOne(character)
    joined += piece
    for (let i = 0; i < piece.length; i++) origins.push([at, at + character.length])
    at += character.length
  }
  if (joined !== normalized) throw new InputError('offsets: this tokenizer\'s normaliser changes characters by their neighbours, so that their places are lost. Leave the option out')
  return origins
}

function spanOf(origins: readonly (readonly [number, number])[], from: number, to: number): readonly [number, number] {
  return [origins[from]?.[0] ?? 0, origins[to - 1]?.[1] ?? 0]
}
