import { InputError } from '../../errors.ts'
import { addedTokenSplitter, inNormalized } from './added.ts'
import type { AddedToken } from './added.ts'
import type { WordPieceConfig } from './bert.ts'
import type { TokenModel } from './models.ts'
import { normalizerOf } from './normalizers.ts'
import { isFamilyPattern } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import { preTokenizerOf } from './pre-tokenizers.ts'
import type { Step } from './schema.ts'

/** What tokenizer.json says, once it has passed the check. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[]
  readonly normalizer: Step | null
  readonly pre_tokenizer: Step | null
  readonly model: Step
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

/** A tokenizer of single texts. */
export function textTokenizer(json: TokenizerJson, model: TokenModel): TextTokenizer {
  const normalize = normalizerOf(json.normalizer)
  const normalizeOne = remembered(normalize)
  const preTokenize = preTokenizerOf(json.pre_tokenizer)
  const splitRaw = addedTokenSplitter(json.added_tokens.filter((token) => !inNormalized(token)))
  const splitNormalized = addedTokenSplitter(json.added_tokens.filter(inNormalized).map((token) => ({ ...token, content: normalize(token.content) })))
  const split = rememberedWords(model)
  const lengthOf = json.model.type === 'WordPiece' ? pieceLength(json.model as WordPieceConfig, model) : undefined
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
    for (const section of splitRaw(text)) {
      if (section.id !== undefined) {
        ids.push(section.id)
        if (withOffsets) offsets.push([section.begin, section.begin + section.text.length])
        continue
      }
      const normalized = normalize(section.text)
      const origins = withOffsets ? align(section.text, section.begin, normalized, normalizeOne) : []
      for (const { text: part, begin, id } of splitNormalized(normalized)) {
        if (part === '') continue
        if (id !== undefined) {
          ids.push(id)
          if (withOffsets) offsets.push(spanOf(origins, begin, begin + part.length))
          continue
        }
        // The text begins with this part unless the normalizer took away what it began with.
        const first = section.begin === 0 && begin === 0 && normalizeOne(String.fromCodePoint(text.codePointAt(0) ?? 0)) !== ''
        let at = 0
        for (const { text: word } of preTokenize([{ text: part, first }])) {
          const pieces = split(word)
          for (const piece of pieces) ids.push(piece)
          if (!withOffsets) continue
          at = part.indexOf(word, at)
          if (at < 0 || lengthOf === undefined) throw new InputError('offsets: expected a WordPiece tokenizer (the BERT family); for this one they are not known. Leave the option out')
          for (const [from, to] of pieceSpans(word, pieces, lengthOf)) offsets.push(spanOf(origins, begin + at + from, begin + at + to))
          at += word.length
        }
      }
    }
    return { ids, offsets }
  }
}

/** A word piece is its text after the prefix of continuation; the unknown token, of length undefined, stands for the whole word. */
function pieceSpans(word: string, pieces: readonly number[], lengthOf: (id: number, first: boolean) => number | undefined): (readonly [number, number])[] {
  let end = 0
  return pieces.map((id, i) => [end, end = Math.min(word.length, end + (lengthOf(id, i === 0) ?? word.length))])
}

function pieceLength(config: WordPieceConfig, { ids }: TokenModel): (id: number, first: boolean) => number | undefined {
  const tokens = new Map(Array.from(ids, ([token, id]) => [id, token]))
  const { unk_token: unknown = '[UNK]', continuing_subword_prefix: prefix = '##' } = config
  return (id, first) => {
    const token = tokens.get(id) ?? ''
    return token === unknown ? undefined : token.length - (first ? 0 : prefix.length)
  }
}

/** Ids of a word's pieces. */
function rememberedWords({ split }: TokenModel): (word: string) => readonly number[] {
  const known = new Map<string, readonly number[]>()
  return (word) => {
    const before = known.get(word)
    if (before !== undefined) return before
    const ids = split(word)
    if (known.size >= mostKept) known.clear()
    if (word.length <= longestKept) known.set(word, ids)
    return ids
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

/**
 * True when a text may be cut before a blank between two ASCII letters or digits without changing the tokens before
 * the cut: the pre-tokenizer always splits there, no normaliser listed looks across a blank, and no added token has
 * a blank inside.
 */
function cutsAtBlanks({ normalizer, pre_tokenizer, added_tokens }: TokenizerJson): boolean {
  const local = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Strip', 'Nmt', 'Precompiled']
  const runsOfBlanks = (step: Step): boolean => step.type === 'Replace' && (step['pattern'] as PatternJson).Regex === ' {2,}'
  const isLocal = (step: Step): boolean => local.includes(step.type) || runsOfBlanks(step) || ((step['normalizers'] as readonly Step[] | undefined)?.every(isLocal) ?? false)
  const splits = (step: Step | undefined): boolean => step !== undefined && (
    ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit'].includes(step.type)
    || (step.type === 'ByteLevel' && step['use_regex'] !== false)
    || (step.type === 'Metaspace' && step['split'] !== false)
    || (step.type === 'Split' && step['behavior'] === 'Isolated' && step['invert'] === false && isFamilyPattern(step['pattern'] as PatternJson))
    || (step.type === 'Sequence' && splits((step['pretokenizers'] as readonly Step[])[0])))
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
