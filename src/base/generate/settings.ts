import { InputError, shown } from '../../errors.ts'
import type { AdapterNames } from '../adapter/named.ts'
import { REFUSED } from './fields.ts'
import type { GenerationFile } from '../checkpoint/generation-file.ts'
import { rulesOf, type Rule, type SequenceBias } from './rules.ts'
import type { Sampling } from './sample.ts'
import { stopStringCheck } from './stop.ts'
import type { Model } from '../model.ts'
import { settingsReader, type Range, type SectionReader, type Settings as Json } from '../settings.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/**
 * How texts are continued. What is left out is as generation_config.json beside the model says, or where there is none as
 * config.json does, as in transformers; docs/parity.md lists what becomes of each of its fields. The defaults here are those
 * without these files. Padding never counts, other than in transformers.
 */
export interface GenerateOptions {
  /** Most tokens that a row gets. */
  readonly maxNewTokens: number
  /**
   * Logits are divided by it before a token is drawn; 0 takes the likeliest token, whatever the file says.
   * @default 0; where the file has `do_sample`, its temperature or 1
   */
  readonly temperature?: number
  /** Draws among this many likeliest tokens; 0 for all. @default 50 */
  readonly topK?: number
  /** Draws among the likeliest tokens that together have at least this probability. @default 1 */
  readonly topP?: number
  /** Draws among tokens with at least this share of the likeliest one's probability. @default none */
  readonly minP?: number
  /**
   * Draws among the tokens whose surprise is nearest to the expected one and that together have at least this probability:
   * Meister et al. 2022, arXiv:2202.00666. @default 1
   */
  readonly typicalP?: number
  /** Draws among tokens of at least this probability: Hewitt et al. 2022, arXiv:2210.15191. @default 0 */
  readonly epsilonCutoff?: number
  /** The same with a probability that falls with the entropy: Hewitt et al. 2022, arXiv:2210.15191. @default 0 */
  readonly etaCutoff?: number
  /** Above 1, tokens that the row has already become less likely: Keskar et al. 2019, arXiv:1909.05858. @default 1 */
  readonly repetitionPenalty?: number
  /** No so many tokens in a row come twice; 0 for no such rule. @default 0 */
  readonly noRepeatNgramSize?: number
  /** Sequences of token ids that never come, but a single stop token. @default none */
  readonly badWords?: readonly (readonly number[])[]
  /** Sequences of token ids, and what is added to the logit of the last one behind the others. @default none */
  readonly sequenceBias?: readonly SequenceBias[]
  /** No stop token comes before a row has so many new ones. @default 0 */
  readonly minNewTokens?: number
  /** Token ids that never come. @default none */
  readonly suppressTokens?: readonly number[]
  /** Token ids that are not the first new one. @default none */
  readonly beginSuppressTokens?: readonly number[]
  /** Token ids that end a row. @default `eos_token_id` of the file, one or several */
  readonly stop?: readonly number[]
  /** Texts that end a row, with the token that completes one: it may go on behind it. They need a `tokenizer`. @default none */
  readonly stopStrings?: readonly string[]
  /** The model's; reads `stopStrings`. @default none */
  readonly tokenizer?: Tokenizer
  /** Whether settings of the model's files count; its stop tokens do in any case. @default true */
  readonly fileSettings?: boolean
  /** Decides what is drawn; each row draws by itself. @default 0 */
  readonly seed?: number
  /**
   * The adapters that take part, by name, and no others; `[]` for the plain base. Calls with different ones may be under way at
   * once, and nothing is switched. @default those that are enabled when it is called
   */
  readonly adapter?: AdapterNames
}

export interface Settings extends Sampling {
  readonly maxNewTokens: number
  readonly seed: number
  /** What is done to a row's scores before a token is chosen. */
  readonly rules: readonly Rule[]
  /** Whether a row ends with its last token. */
  readonly ends: (row: readonly number[]) => boolean
}

/** What both the file and the options say. */
interface Values extends Sampling {
  readonly repetitionPenalty: number
  readonly noRepeatNgramSize: number
  readonly badWords: readonly (readonly number[])[]
  readonly sequenceBias: readonly SequenceBias[]
  readonly minNewTokens: number | undefined
  readonly suppressTokens: readonly number[]
  readonly beginSuppressTokens: readonly number[]
  readonly stop: readonly number[]
  readonly stopStrings: readonly string[]
}

/** What the file alone can say. */
interface FileValues extends Values {
  readonly minLength: number
  readonly forcedFirst: number | undefined
  readonly forcedLast: readonly number[]
  readonly removeInvalid: boolean
  readonly decay: { readonly start: number; readonly factor: number } | undefined
}

/** transformers' defaults. */
const DEFAULTS: Values = {
  temperature: 1, topK: 50, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0,
  repetitionPenalty: 1, noRepeatNgramSize: 0, badWords: [], sequenceBias: [], minNewTokens: undefined,
  suppressTokens: [], beginSuppressTokens: [], stop: [], stopStrings: [],
}

/** What options are called in files. */
const IN_FILES: Readonly<Record<keyof Values, string>> = {
  temperature: 'temperature', topK: 'top_k', topP: 'top_p', minP: 'min_p', typicalP: 'typical_p', epsilonCutoff: 'epsilon_cutoff',
  etaCutoff: 'eta_cutoff', repetitionPenalty: 'repetition_penalty', noRepeatNgramSize: 'no_repeat_ngram_size', badWords: 'bad_words_ids',
  sequenceBias: 'sequence_bias', minNewTokens: 'min_new_tokens', suppressTokens: 'suppress_tokens',
  beginSuppressTokens: 'begin_suppress_tokens', stop: 'eos_token_id', stopStrings: 'stop_strings',
}

/** @throws InputError with everything that is wrong with the options; CheckpointError with what is with the file */
export function settingsOf(model: Model, options: GenerateOptions): Settings {
  const { task, generation, architecture } = model.parts
  const { vocabSize = 0 } = model.limits ?? {}
  if (model.record.predictedBy !== 'generate') {
    throw new InputError(`generate: the model was loaded for '${task}'; load it with { task: '${architecture.decoderStart === undefined ? 'causal-lm' : 'seq2seq-lm'}' }.`)
  }
  const { file, json } = generation
  const { tokenizer, fileSettings = true } = options
  const own = readFileValues(fileSettings ? generation : { file, json: { eos_token_id: json['eos_token_id'] } }, vocabSize)
  const read = settingsReader({ ...options }, { file: 'generate', what: 'options' })
  const maxNewTokens = read.integer('maxNewTokens', { min: 1 })
  const seed = read.integer('seed', { fallback: 0 })
  const values = readValues(read, (name) => name, own, { vocabSize, ids: { min: 0, below: vocabSize } })
  const { temperature, minNewTokens, stop, stopStrings } = values
  read.check((minNewTokens ?? 0) <= maxNewTokens || !read.has('minNewTokens'), `minNewTokens: expected at most the ${maxNewTokens} of maxNewTokens, got ${minNewTokens ?? 0}`)
  read.check(!stopStrings.includes(''), 'stopStrings: expected texts of at least one character, got an empty one')
  read.check(stopStrings.length === 0 || tokenizer !== undefined, 'stopStrings: they need the model\'s tokenizer, as in { tokenizer }')
  const drawing = ['topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'].filter((name) => read.has(name))
  read.check(temperature > 0 || drawing.length === 0, `${drawing.join(', ')}: what is drawn from, and with temperature 0 nothing is; give a temperature`)
  if (read.problems.length > 0) throw new InputError('generate: the options cannot be used:', read.problems)
  const { minLength, forcedFirst, forcedLast, removeInvalid, decay } = own
  const rules = rulesOf({
    ...values, minNewTokens: minNewTokens ?? 0, minLength: minNewTokens === undefined ? minLength : 0,
    forcedFirst, forcedLast, removeInvalid, decay, maxNewTokens,
  })
  const ids = new Set(stop)
  const hasString = tokenizer === undefined ? (): boolean => false : stopStringCheck(tokenizer, stopStrings)
  const ends = (row: readonly number[]): boolean => ids.has(row.at(-1) ?? -1) || hasString(row)
  return { ...values, topK: values.topK === 0 ? vocabSize : values.topK, maxNewTokens, seed, rules, ends }
}

/** What ids may be; those of a file that the model does not have ask for nothing. */
interface Bounds {
  readonly vocabSize: number
  readonly ids: Range
}

/** @param nameOf what a value is called where it is read */
function readValues(read: SectionReader, nameOf: (name: keyof Values) => string, before: Values, { vocabSize, ids }: Bounds): Values {
  const number = (name: keyof Values & keyof Sampling | 'repetitionPenalty', range: Range): number => read.number(nameOf(name), { fallback: before[name], ...range })
  const list = (name: 'suppressTokens' | 'beginSuppressTokens' | 'stop'): readonly number[] => read.list(nameOf(name), 'integer', before[name], ids)
  const isSequence = (value: unknown): value is readonly number[] =>
    Array.isArray(value) && value.length > 0 && value.every((id) => Number.isSafeInteger(id) && id >= 0 && id < vocabSize)
  const isBias = (value: unknown): value is SequenceBias => Array.isArray(value) && value.length === 2 && isSequence(value[0]) && Number.isFinite(value[1])
  const several = <T>(name: keyof Values, fits: (value: unknown) => value is T, expected: string, fallback: readonly T[]): readonly T[] => {
    const key = nameOf(name)
    const value = read.raw(key)
    const isRight = (given: unknown): given is readonly T[] => Array.isArray(given) && given.every(fits)
    if (value === undefined || isRight(value)) return value ?? fallback
    read.check(false, `${key}: expected ${expected}, got ${shown(value)}`)
    return fallback
  }
  const least = nameOf('minNewTokens')
  return {
    temperature: number('temperature', { min: 0 }),
    topK: read.integer(nameOf('topK'), { fallback: before.topK, min: 0 }),
    topP: number('topP', { min: 0, max: 1 }),
    minP: number('minP', { min: 0, max: 1 }),
    typicalP: number('typicalP', { above: 0, max: 1 }),
    epsilonCutoff: number('epsilonCutoff', { min: 0, below: 1 }),
    etaCutoff: number('etaCutoff', { min: 0, below: 1 }),
    repetitionPenalty: number('repetitionPenalty', { above: 0 }),
    noRepeatNgramSize: read.integer(nameOf('noRepeatNgramSize'), { fallback: before.noRepeatNgramSize, min: 0 }),
    badWords: several('badWords', isSequence, `lists of token ids below ${vocabSize}`, before.badWords),
    sequenceBias: several('sequenceBias', isBias, `pairs of a list of token ids below ${vocabSize} and a number`, before.sequenceBias),
    minNewTokens: read.has(least) ? read.integer(least, { min: 0 }) : before.minNewTokens,
    suppressTokens: list('suppressTokens'),
    beginSuppressTokens: list('beginSuppressTokens'),
    stop: list('stop'),
    stopStrings: read.list(nameOf('stopStrings'), 'text', before.stopStrings),
  }
}

function readFileValues({ file, json }: GenerationFile, vocabSize: number): FileValues {
  const read = settingsReader(json, { file, what: 'settings of generation' })
  for (const [key, { off, wayOut }] of Object.entries(REFUSED)) read.off(key, off, wayOut)
  const samples = read.flag('do_sample', false)
  const values = readValues(read, (name) => IN_FILES[name], DEFAULTS, { vocabSize, ids: {} })
  read.check(!samples || values.temperature > 0, 'temperature: expected a number above 0 where do_sample is true, got 0')
  const id: Range = { min: 0, below: vocabSize }
  const found: FileValues = {
    ...values,
    temperature: samples ? values.temperature : 0,
    minLength: read.integer('min_length', { fallback: 0, min: 0 }),
    forcedFirst: read.has('forced_bos_token_id') ? read.integer('forced_bos_token_id', id) : undefined,
    forcedLast: read.list('forced_eos_token_id', 'integer', [], id),
    removeInvalid: read.flag('remove_invalid_values', false),
    decay: readDecay(read, values.stop),
  }
  read.done()
  return found
}

function readDecay(read: SectionReader, stop: readonly number[]): FileValues['decay'] {
  const key = 'exponential_decay_length_penalty'
  const value = read.raw(key)
  if (value === undefined) return undefined
  const [start, factor] = Array.isArray(value) ? (value as readonly unknown[]) : []
  const isRight = (value as Json)['length'] === 2 && Number.isSafeInteger(start) && (start as number) >= 0 && Number.isFinite(factor)
  read.check(isRight, `${key}: expected a number of new tokens and a factor, got ${shown(value)}`)
  read.check(stop.length > 0, `${key}: expected an eos_token_id, which it makes likelier, got none`)
  return isRight ? { start: start as number, factor: factor as number } : undefined
}
