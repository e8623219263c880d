import { tokenizerLimits } from './limits.ts'

/** A step of tokenizer.json, or its model: a type and that type's options. */
export type Step = Readonly<Record<string, unknown>> & { readonly type: string }

/** What is known of an option: it is done, refused unless it is off, or without effect on ids and text. */
export interface Option {
  readonly list: 'done' | 'refused' | 'idle'
  readonly expected: string
  readonly fits: (value: unknown) => boolean
}

type Options = Readonly<Record<string, Option>>

const done = (expected: string, fits: (value: unknown) => boolean): Option => ({ list: 'done', expected, fits })
const isText = (value: unknown): boolean => typeof value === 'string'
const flag = done('true or false', (value) => typeof value === 'boolean')
const flagOrNone = done('true, false or null', (value) => value === undefined || value === null || typeof value === 'boolean')
const text = done('a text', isText)
const textOrNone = done('a text or null', (value) => value === undefined || value === null || isText(value))
const character = done('one character', (value) => typeof value === 'string' && Array.from(value).length === 1)
const natural = done('a natural number', (value) => Number.isInteger(value) && (value as number) > 0)
const count = done('a number of characters', (value) => Number.isInteger(value) && (value as number) >= 0)
const pattern = done('{ "String": text } or { "Regex": text }', (value) => {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return entries.length === 1 && entries.every(([key, content]) => (key === 'String' || key === 'Regex') && typeof content === 'string')
})
const oneOf = (...values: readonly string[]): Option => done(`one of ${values.join(', ')}`, (value) => values.includes(value as string))
const steps = done('a list of steps', Array.isArray)
const maybe = (option: Option): Option => ({ ...option, fits: (value) => value === undefined || option.fits(value) })
const idle: Option = { list: 'idle', expected: 'anything', fits: () => true }
const off = (...values: readonly unknown[]): Option =>
  ({ list: 'refused', expected: values.map((value) => JSON.stringify(value)).join(' or '), fits: (value) => value === undefined || values.includes(value) })

const behavior = oneOf('Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous')
const byteLevel: Options = { add_prefix_space: flag, trim_offsets: idle, use_regex: maybe(flag) }
const metaspace: Options = {
  replacement: character,
  prepend_scheme: maybe(oneOf('always', 'first', 'never')),
  split: flagOrNone,
  add_prefix_space: off(null, true), // older files; the reference refuses false beside the default scheme
  str_rep: idle,
}
const twoTokens: Options = { sep: done('a token and its id', isToken), cls: done('a token and its id', isToken) }

/**
 * Every step of the reference (tokenizers 0.23) but UnicodeScripts, and every option of it. What is not here is refused
 * by name.
 */
export const stepOptions: Readonly<Record<'normalizer' | 'pre_tokenizer' | 'model' | 'post_processor' | 'decoder', Readonly<Record<string, Options>>>> = {
  normalizer: {
    BertNormalizer: { clean_text: maybe(flag), handle_chinese_chars: maybe(flag), strip_accents: flagOrNone, lowercase: maybe(flag) },
    ByteLevel: {}, Lowercase: {}, NFC: {}, NFD: {}, NFKC: {}, NFKD: {}, Nmt: {}, StripAccents: {},
    Precompiled: { precompiled_charsmap: textOrNone },
    Prepend: { prepend: text },
    Replace: { pattern, content: text },
    Sequence: { normalizers: steps },
    Strip: { strip_left: flag, strip_right: flag },
  },
  pre_tokenizer: {
    BertPreTokenizer: {}, Whitespace: {}, WhitespaceSplit: {},
    ByteLevel: byteLevel,
    CharDelimiterSplit: { delimiter: character },
    Digits: { individual_digits: flag },
    FixedLength: { length: natural },
    Metaspace: metaspace,
    Punctuation: { behavior: maybe(behavior) },
    Sequence: { pretokenizers: steps },
    Split: { pattern, behavior, invert: flag },
  },
  model: {
    BPE: {
      dropout: off(null, 0), unk_token: textOrNone, continuing_subword_prefix: textOrNone, end_of_word_suffix: textOrNone,
      fuse_unk: flagOrNone, byte_fallback: maybe(flag), ignore_merges: maybe(flag), vocab: done('ids of tokens', isVocabulary), merges: done('pairs of tokens', isMerges),
    },
    Unigram: {
      unk_id: done('a place in the vocabulary or null', (value) => value === null || value === undefined || Number.isInteger(value)),
      vocab: done('tokens with their scores', isScores), byte_fallback: maybe(flag), alpha: off(null), nbest_size: off(null),
    },
    WordLevel: { vocab: done('ids of tokens', isVocabulary), unk_token: textOrNone },
    WordPiece: { unk_token: maybe(text), continuing_subword_prefix: maybe(text), max_input_chars_per_word: maybe(count), vocab: done('ids of tokens', isVocabulary) },
  },
  post_processor: {
    BertProcessing: twoTokens,
    ByteLevel: { add_prefix_space: maybe(flag), trim_offsets: maybe(flag), use_regex: idle },
    RobertaProcessing: { ...twoTokens, trim_offsets: maybe(flag), add_prefix_space: maybe(flag) },
    Sequence: { processors: steps },
    TemplateProcessing: { single: done('a list of places', Array.isArray), pair: done('a list of places', Array.isArray), special_tokens: done('ids of the special tokens', isObject) },
  },
  decoder: {
    BPEDecoder: { suffix: text },
    ByteFallback: {}, Fuse: {},
    ByteLevel: { add_prefix_space: idle, trim_offsets: idle, use_regex: idle },
    CTC: { pad_token: text, word_delimiter_token: text, cleanup: flag },
    Metaspace: { ...metaspace, split: idle },
    Replace: { pattern, content: text },
    Sequence: { decoders: steps },
    Strip: { content: character, start: count, stop: count },
    WordPiece: { prefix: text, cleanup: flag },
  },
}

/** The other fields of tokenizer.json. */
export const otherOptions: Readonly<Record<'file' | 'added_tokens' | 'padding' | 'truncation', Options>> = {
  file: {
    version: off('1.0'), truncation: done('settings or null', isObjectOrNone), padding: done('settings or null', isObjectOrNone),
    added_tokens: done('a list of tokens', (value) => value === undefined || (Array.isArray(value) && value.every(isObject))),
    normalizer: done('a step or null', isObjectOrNone), pre_tokenizer: done('a step or null', isObjectOrNone), post_processor: done('a step or null', isObjectOrNone),
    decoder: done('a step or null', isObjectOrNone), model: done('a model', isObject),
  },
  added_tokens: {
    id: done(tokenizerLimits.expected, tokenizerLimits.isId), content: text, single_word: maybe(flag), lstrip: maybe(flag), rstrip: maybe(flag), normalized: maybe(flag), special: maybe(flag),
  },
  padding: {
    direction: maybe(oneOf('Left', 'Right')), pad_id: maybe(done(tokenizerLimits.expected, tokenizerLimits.isId)), pad_type_id: maybe(count),
    strategy: idle, pad_to_multiple_of: idle, pad_token: idle, // asked for by the caller of encode
  },
  truncation: { direction: maybe(oneOf('Left', 'Right')), max_length: idle, strategy: idle, stride: idle },
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isObjectOrNone(value: unknown): boolean {
  return value === undefined || value === null || isObject(value)
}

function isToken(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && tokenizerLimits.isId(value[1])
}

function isVocabulary(value: unknown): boolean {
  return isObject(value) && Object.values(value as object).every(tokenizerLimits.isId)
}

function isScores(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number')
}

function isMerges(value: unknown): boolean {
  return Array.isArray(value) && value.every((merge) => typeof merge === 'string' || (Array.isArray(merge) && merge.length === 2 && merge.every(isText)))
}
