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
export function bertNormalizer(config: BertNormalizerConfig): (text: string) => string {
  const { clean_text: clean = true, handle_chinese_chars: chinese = true, lowercase = true } = config
  const stripAccents = config.strip_accents ?? lowercase
  return (text) => {
    let out = text
    if (clean === true) out = out.replace(removed, '').replace(/\p{White_Space}/gu, ' ')
    if (chinese === true) out = out.replace(ideograph, ' $& ')
    if (stripAccents === true) out = out.normalize('NFD').replace(/\p{Mn}/gu, '')
    // Unlike String.toLowerCase, the reference lowers each letter alone, so a sigma at the end of a word stays σ.
    if (lowercase === true) out = out.replaceAll('Σ', 'σ').toLowerCase()
    return out
  }
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
export function wordPiece(config: WordPieceConfig, vocabulary: ReadonlyMap<string, number>): (word: string) => string[] {
  const { unk_token: unknown = '[UNK]', continuing_subword_prefix: prefix = '##', max_input_chars_per_word: mostChars = 100 } = config
  let longest = 0
  for (const piece of vocabulary.keys()) longest = Math.max(longest, piece.length)
  return (word) => {
    if (word.length > mostChars && Array.from(word).length > mostChars) return [unknown]
    const pieces: string[] = []
    for (let begin = 0; begin < word.length;) {
      let end = Math.min(word.length, begin + longest)
      let piece = ''
      for (; end > begin; end--) {
        piece = (begin === 0 ? '' : prefix) + word.slice(begin, end)
        if (vocabulary.has(piece)) break
      }
      if (end === begin) return [unknown]
      pieces.push(piece)
      begin = end
    }
    return pieces
  }
}
