/** Options of the BertNormalizer in tokenizer.json. */
export interface BertNormalizerConfig {
  readonly clean_text?: boolean | null
  readonly handle_chinese_chars?: boolean | null
  readonly strip_accents?: boolean | null
  readonly lowercase?: boolean | null
}

// The reference's own ranges of CJK ideographs, among them the second plane that the JavaScript library leaves out.
const ideograph = /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu
const removed = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\uFFFD]/gu

/**
 * BERT's text clean-up, as the reference implementation (`tokenizers` in Rust) does it: control characters go, every
 * white space is a blank, ideographs stand alone, accents go, letters become small.
 *
 * It takes the place of the JavaScript library's, which differs in ideographs beyond U+FFFF and the Greek final sigma
 * and takes ten times as long. Compared over all of Unicode, what is left is 529 characters that newer Unicode
 * versions brought or changed, none in a script of MiniLM's vocabulary.
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
