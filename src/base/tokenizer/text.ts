import { addedTokenSplitter, inNormalized } from './added.ts'
import type { AddedToken } from './added.ts'
import { cutter } from './cut.ts'
import type { TokenModel, Tokens } from './models.ts'
import { normalizerOf } from './normalizers.ts'
import { originOf, placed, sliced } from './places.ts'
import type { Span } from './places.ts'
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
  readonly ids: number[]
  /** Where each token stands and what it is; only where asked for. */
  readonly places?: TokenPlace[]
}

export interface TokenPlace {
  readonly text: string
  /** Begin and end in the text, in UTF-16 units. */
  readonly span: Span
  /** Number of the stretch between the pre-tokenizer's cuts. */
  readonly word: number
  /** As the vocabulary writes it; of added tokens what the text has. */
  readonly token: string
}

/** Splits one text; with a `limit` it may stop as soon as it has that many tokens. */
export type TextTokenizer = (text: string, limit: number, withPlaces: boolean) => TextTokens

/** Longer words are rare: they are split anew each time, so that the memory of known words stays small. */
const longestKept = 64
const mostKept = 100_000

/** A tokenizer of single texts. */
export function textTokenizer(json: TokenizerJson, model: TokenModel): TextTokenizer {
  const normalize = normalizerOf(json.normalizer)
  const preTokenize = preTokenizerOf(json.pre_tokenizer)
  const splitRaw = addedTokenSplitter(json.added_tokens.filter((token) => !inNormalized(token)))
  const splitNormalized = addedTokenSplitter(json.added_tokens.filter(inNormalized).map((token) => ({ ...token, content: normalize({ text: token.content }).text })))
  const split = rememberedWords(model)
  const tokens = new Map(Array.from(model.ids, ([token, id]) => [id, token]))
  const headOf = cutter(json, model)
  return (text, limit, withPlaces) => {
    // Eight characters a token are enough for most texts.
    for (let size = 8 * limit + 64; ; size *= 4) {
      const head = headOf(text, size)
      const found = tokenize(head, withPlaces)
      if (head.length === text.length || found.ids.length >= limit) return found
    }
  }

  function tokenize(text: string, withPlaces: boolean): TextTokens {
    const ids: number[] = []
    const places: TokenPlace[] = []
    let words = 0
    const addWhole = (id: number, token: string, span: Span): void => {
      ids.push(id)
      places.push({ text, span, word: words++, token })
    }
    for (const section of splitRaw(text)) {
      if (section.id !== undefined) {
        addWhole(section.id, section.text, [section.begin, section.begin + section.text.length])
        continue
      }
      const normalized = normalize(withPlaces ? placed(section.text, section.begin) : { text: section.text })
      for (const { text: part, begin, id } of splitNormalized(normalized.text)) {
        if (part === '') continue
        const piece = sliced(normalized, begin, begin + part.length)
        if (id !== undefined) {
          addWhole(id, part, originOf(piece, 0, part.length))
          continue
        }
        // The text begins with this part unless the normalizer took away what it began with.
        const first = section.begin === 0 && begin === 0 && normalize({ text: String.fromCodePoint(text.codePointAt(0) ?? 0) }).text !== ''
        for (const word of preTokenize([{ ...piece, first }])) {
          const { ids: own, spans } = split(word.text)
          for (const each of own) ids.push(each)
          if (withPlaces) own.forEach((each, i) => places.push({ text, span: originOf(word, spans[2 * i] ?? 0, spans[2 * i + 1] ?? 0), word: words, token: tokens.get(each) ?? '' }))
          words++
        }
      }
    }
    return withPlaces ? { ids, places } : { ids }
  }
}

/** Tokens of a word. */
function rememberedWords({ split }: TokenModel): (word: string) => Tokens {
  const known = new Map<string, Tokens>()
  return (word) => {
    const before = known.get(word)
    if (before !== undefined) return before
    const tokens = split(word)
    if (known.size >= mostKept) known.clear()
    if (word.length <= longestKept) known.set(word, tokens)
    return tokens
  }
}
