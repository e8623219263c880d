import type { TokenModel } from './models.ts'
import { normalizerOf } from './normalizers.ts'
import { isFamilyPattern } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import { preTokenizerOf } from './pre-tokenizers.ts'
import type { Step } from './schema.ts'
import type { TokenizerJson } from './text.ts'

/**
 * A function that gives the beginning of a text, of about `size` characters, whose tokens are the first of the whole
 * text's; the whole text where the tokenizer's steps do not allow a cut.
 */
export function cutter(json: TokenizerJson, model: TokenModel): (text: string, size: number) => string {
  return cutsAtBlanks(json, model) ? headOf : (text) => text
}

/** The text up to the first blank between two ASCII letters or digits from `size` on. */
function headOf(text: string, size: number): string {
  if (text.length <= size) return text
  const blank = /(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])/g
  blank.lastIndex = size
  const cut = blank.exec(text)
  return cut === null ? text : text.slice(0, cut.index)
}

/** True when no step looks across such a blank. */
function cutsAtBlanks({ normalizer, pre_tokenizer: pre, model: step, added_tokens }: TokenizerJson, model: TokenModel): boolean {
  if (added_tokens.some(({ content }) => content.trim().includes(' '))) return false
  if (splits(pre)) return isLocal(normalizer)
  const whole = pre === null || pre.type === 'Metaspace'
  return whole && ['BPE', 'Unigram'].includes(step.type) && isLocal(normalizer, true) && neverJoins(markOf(normalizer, pre), model)
}

/** Whether each character is normalised without those behind a blank; `marked` where blanks may become something else. */
function isLocal(step: Step | null, marked = false): boolean {
  const local = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Strip', 'Nmt', 'Precompiled', 'Prepend']
  if (step === null || local.includes(step.type)) return true
  const { String: text, Regex: source } = (step['pattern'] ?? {}) as PatternJson
  if (step.type === 'Replace') return source === ' {2,}' || (marked && text === ' ')
  return step.type === 'Sequence' && (step['normalizers'] as readonly Step[]).every((each) => isLocal(each, marked))
}

/** Whether the pre-tokenizer always splits there. */
function splits(step: Step | null | undefined): boolean {
  if (step === null || step === undefined) return false
  return ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit'].includes(step.type)
    || (step.type === 'ByteLevel' && step['use_regex'] !== false)
    || (step.type === 'Metaspace' && step['split'] !== false)
    || (step.type === 'Split' && step['behavior'] === 'Isolated' && step['invert'] === false && isFamilyPattern(step['pattern'] as PatternJson))
    || (step.type === 'Sequence' && splits((step['pretokenizers'] as readonly Step[])[0]))
}

/** What a blank between letters is when it comes to the model. */
function markOf(normalizer: Step | null, pre: Step | null): string {
  const [word] = preTokenizerOf(pre)([{ ...normalizerOf(normalizer)({ text: 'a b' }), first: true }])
  return /a(.+)b$/u.exec(word?.text ?? '')?.[1] ?? ''
}

/** Whether no token has anything before the blanks in it: then it never joins a letter and a blank. */
function neverJoins(mark: string, { ids }: TokenModel): boolean {
  const behindBlanks = (token: string): string => token.startsWith(mark) ? behindBlanks(token.slice(mark.length)) : token
  return ids.has(mark) && mark !== '' && Array.from(ids.keys()).every((token) => !behindBlanks(token).includes(mark))
}
