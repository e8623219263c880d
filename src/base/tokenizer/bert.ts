import type { Tokens } from './models.ts'
import { chain, perCharacter } from './places.ts'
import type { Normalizer } from './places.ts'
import { lowercase, normalForm } from './unicode.ts'
import { noToken } from './unknown.ts'

/** Options of the BertNormalizer in tokenizer.json. */
export interface BertNormalizerConfig {
  readonly clean_text?: boolean | null
  readonly handle_chinese_chars?: boolean | null
  readonly strip_accents?: boolean | null
  readonly lowercase?: boolean | null
}

// The reference's own ranges of CJK ideographs.
const ideograph = /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu
const removed = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\uFFFD]/gu

/**
 * BERT's text clean-up, as the reference implementation (`tokenizers` in Rust) does it: control characters go, every
 * white space is a blank, ideographs stand alone, accents go, letters become small.
 *
 * What differs from the reference are rare characters that newer Unicode versions brought or classed anew.
 */
export function bertNormalizer(config: BertNormalizerConfig): Normalizer {
  const { clean_text: clean = true, handle_chinese_chars: chinese = true, lowercase: small = true } = config
  const steps: Normalizer[] = []
  if (clean === true) steps.push(perCharacter((text) => text.replace(removed, '').replace(/\p{White_Space}/gu, ' ')))
  if (chinese === true) steps.push(perCharacter((text) => text.replace(ideograph, ' $& ')))
  if ((config.strip_accents ?? small) === true) steps.push(normalForm('NFD'), perCharacter((text) => text.replace(/\p{Mn}/gu, '')))
  if (small === true) steps.push(perCharacter(lowercase))
  return chain(steps)
}

/** The WordPiece model in tokenizer.json. */
export interface WordPieceConfig {
  readonly unk_token?: string
  readonly continuing_subword_prefix?: string
  readonly max_input_chars_per_word?: number
}

/**
 * Splits a word into the longest pieces of the vocabulary from the left; a word that cannot be split, or is too
 * long, is the unknown token. No piece is sought that is longer than the vocabulary's longest.
 */
export function wordPiece(config: WordPieceConfig, vocabulary: ReadonlyMap<string, number>): (word: string) => Tokens {
  const { unk_token: unknown = '[UNK]', continuing_subword_prefix: prefix = '##', max_input_chars_per_word: mostChars = 100 } = config
  let longest = 0
  for (const piece of vocabulary.keys()) longest = Math.max(longest, piece.length)
  const whole = (word: string): Tokens => {
    const id = vocabulary.get(unknown)
    if (id === undefined) throw noToken(word)
    return { ids: [id], spans: [0, word.length] }
  }
  return (word) => {
    if (word.length > mostChars && Array.from(word).length > mostChars) return whole(word)
    const ids: number[] = []
    const spans: number[] = []
    for (let begin = 0; begin < word.length;) {
      let end = Math.min(word.length, begin + longest)
      let id: number | undefined
      for (; end > begin; end--) {
        id = vocabulary.get((begin === 0 ? '' : prefix) + word.slice(begin, end))
        if (id !== undefined) break
      }
      if (id === undefined) return whole(word)
      ids.push(id)
      spans.push(begin, end)
      begin = end
    }
    return { ids, spans }
  }
}
