import { bertNormalizer } from './bert.ts'
import type { BertNormalizerConfig } from './bert.ts'
import { bytesAsText } from './bytes.ts'
import { precompiled } from './charsmap.ts'
import { patternOf } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import { chain, perCharacter, prefixed, replaced, sliced } from './places.ts'
import type { Normalizer } from './places.ts'
import type { Step } from './schema.ts'
import { lowercase, normalForm } from './unicode.ts'
import type { NormalForm } from './unicode.ts'

/** The normalizer of tokenizer.json, one that has passed the check; each step as the reference (tokenizers 0.23) does it. */
export function normalizerOf(step: Step | null): Normalizer {
  if (step === null) return (text) => text
  switch (step.type) {
    case 'BertNormalizer': return bertNormalizer(step as BertNormalizerConfig)
    case 'NFC': case 'NFD': case 'NFKC': case 'NFKD': return normalForm(step.type satisfies NormalForm)
    case 'Lowercase': return perCharacter(lowercase)
    case 'StripAccents': return perCharacter((text) => text.replace(/\p{M}/gu, ''))
    case 'Strip': return stripper(step['strip_left'] === true, step['strip_right'] === true)
    case 'Prepend': return (text) => text.text === '' ? text : prefixed(text, step['prepend'] as string)
    case 'Nmt': return perCharacter(nmt)
    case 'ByteLevel': return perCharacter(bytesAsText)
    case 'Precompiled': return precompiled(step['precompiled_charsmap'] as string | null | undefined)
    case 'Replace': {
      const pattern = patternOf(step['pattern'] as PatternJson)
      const content = step['content'] as string
      return ({ text, places }) => places === undefined ? { text: pattern.replace(text, content) } : replaced({ text, places }, pattern.spans(text), content)
    }
    default: return chain((step['normalizers'] as readonly Step[]).map(normalizerOf)) // Sequence: the check knows no other
  }
}

function stripper(left: boolean, right: boolean): Normalizer {
  return (text) => {
    const end = right ? trimEnd(text.text).length : text.text.length
    const begin = left ? /^\p{White_Space}*/u.exec(text.text)?.[0].length ?? 0 : 0
    return sliced(text, begin, Math.max(begin, end))
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
