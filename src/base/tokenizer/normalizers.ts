import { bertNormalizer } from './bert.ts'
import type { BertNormalizerConfig } from './bert.ts'
import { bytesAsText } from './bytes.ts'
import { precompiled } from './charsmap.ts'
import { patternOf } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import type { Step } from './schema.ts'

export type Normalizer = (text: string) => string

/** The normalizer of tokenizer.json, one that has passed the check; each step as the reference (tokenizers 0.23) does it. */
export function normalizerOf(step: Step | null): Normalizer {
  if (step === null) return (text) => text
  switch (step.type) {
    case 'BertNormalizer': return bertNormalizer(step as BertNormalizerConfig)
    case 'NFC': case 'NFD': case 'NFKC': case 'NFKD': return (text) => text.normalize(step.type)
    case 'Lowercase': return lowercase
    case 'StripAccents': return (text) => text.replace(/\p{M}/gu, '')
    case 'Strip': return stripper(step['strip_left'] === true, step['strip_right'] === true)
    case 'Prepend': return (text) => text === '' ? '' : (step['prepend'] as string) + text
    case 'Nmt': return nmt
    case 'ByteLevel': return bytesAsText
    case 'Precompiled': return precompiled(step['precompiled_charsmap'] as string | null | undefined)
    case 'Replace': {
      const { replace } = patternOf(step['pattern'] as PatternJson)
      return (text) => replace(text, step['content'] as string)
    }
    default: { // Sequence: the check knows no other
      const normalizers = (step['normalizers'] as readonly Step[]).map(normalizerOf)
      return (text) => normalizers.reduce((done, normalize) => normalize(done), text)
    }
  }
}

/** Each letter alone, unlike String.toLowerCase: a sigma at the end of a word stays σ. */
export function lowercase(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase()
}

function stripper(left: boolean, right: boolean): Normalizer {
  return (text) => {
    const begin = left ? text.replace(/^\p{White_Space}+/u, '') : text
    return right ? trimEnd(begin) : begin
  }
}

/** As a pattern with `$` this would look at every run of blanks in the text. */
export function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1] ?? '')) end--
  return text.slice(0, end)
}

function nmt(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => /[\0\t\n\f\r]/.test(control) || (control >= '\x80' && control !== '\x8F' && control !== '\x9F') ? control : '')
    .replace(/[\t\n\f\r\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD]/g, ' ')
}
