import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CheckpointError, InputError } from '../errors.ts'
import type { Sampling } from './generate-sample.ts'
import { stopStringCheck } from './generate-stop.ts'
import type { Model } from './model.ts'
import type { Tokenizer } from './tokenizer.ts'

/**
 * How texts are continued. What is left out is as generation_config.json beside the model says, as in transformers; the
 * defaults here are those without that file.
 */
export interface GenerateOptions {
  /** Most tokens that a row gets. */
  readonly maxNewTokens: number
  /**
   * Logits are divided by it before a token is drawn; 0 takes the likeliest token, whatever the file says.
   * @default 0; where the file has `do_sample`, its temperature or 1
   */
  readonly temperature?: number
  /** Draws among this many likeliest tokens. @default all (transformers: 50) */
  readonly topK?: number
  /** Draws among the likeliest tokens that together have at least this probability. @default 1 */
  readonly topP?: number
  /**
   * Above 1, tokens that the row has already become less likely: Keskar et al. 2019, arXiv:1909.05858. Padding does not
   * count, other than in transformers. @default 1
   */
  readonly repetitionPenalty?: number
  /** Token ids that end a row. @default `eos_token_id` of generation_config.json or config.json, one or several */
  readonly stop?: readonly number[]
  /** Texts that end a row, with the token that completes one: it may go on behind it. They need a `tokenizer`. @default none */
  readonly stopStrings?: readonly string[]
  /** The model's; reads `stopStrings`. @default none */
  readonly tokenizer?: Tokenizer
  /** Decides what is drawn; each row draws by itself. @default 0 */
  readonly seed?: number
}

export interface Settings extends Sampling {
  readonly maxNewTokens: number
  readonly seed: number
  /** Whether a row ends with its last token. */
  readonly ends: (row: readonly number[]) => boolean
}

/** @throws InputError with everything that is wrong with the options; CheckpointError with what is with the file */
export function settingsOf(model: Model, options: GenerateOptions): Settings {
  const { task, architecture: { vocabSize }, config } = model.parts
  const file = fileDefaults(model)
  const { maxNewTokens, temperature = file.temperature, seed = 0, stopStrings = [], tokenizer } = options
  const { topK = file.topK ?? vocabSize, topP = file.topP, repetitionPenalty = file.repetitionPenalty } = options
  const stop = options.stop ?? file.stop ?? numbers(config['eos_token_id'])
  const problems: string[] = []
  const check = (fits: boolean, text: string): void => {
    if (!fits) problems.push(text)
  }
  check(task === 'causal-lm', `the model was loaded for '${task}'; load it with { task: 'causal-lm' }`)
  check(Number.isInteger(maxNewTokens) && maxNewTokens >= 1, `maxNewTokens: expected an integer of at least 1, got ${maxNewTokens}`)
  check(temperature >= 0 && temperature < Infinity, `temperature: expected a number from 0, got ${temperature}`)
  check(Number.isInteger(topK) && topK >= 1, `topK: expected an integer of at least 1, got ${topK}`)
  check(topP > 0 && topP <= 1, `topP: expected a number above 0 and up to 1, got ${topP}`)
  check(repetitionPenalty > 0 && repetitionPenalty < Infinity, `repetitionPenalty: expected a number above 0, got ${repetitionPenalty}`)
  check(Number.isSafeInteger(seed), `seed: expected an integer, got ${seed}`)
  const unknown = (options.stop ?? []).filter((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize))
  check(unknown.length === 0, `stop: expected token ids below ${vocabSize}, got ${unknown.join(', ')}`)
  check(!stopStrings.includes(''), 'stopStrings: expected texts of at least one character, got an empty one')
  check(stopStrings.length === 0 || tokenizer !== undefined, 'stopStrings: they need the model\'s tokenizer, as in { tokenizer }')
  const drawing = options.topK !== undefined || options.topP !== undefined
  check(temperature > 0 || !drawing, 'topK and topP say what is drawn from, and with temperature 0 nothing is; give a temperature')
  if (problems.length > 0) throw new InputError('generate: the options cannot be used:', problems)
  const ids = new Set(stop)
  const hasString = tokenizer === undefined ? (): boolean => false : stopStringCheck(tokenizer, stopStrings)
  const ends = (row: readonly number[]): boolean => ids.has(row.at(-1) ?? -1) || hasString(row)
  return { maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, ends }
}

interface Defaults {
  readonly temperature: number
  readonly topK: number | undefined
  readonly topP: number
  readonly repetitionPenalty: number
  readonly stop: readonly number[] | undefined
}

/** generation_config.json: temperature, top-k and top-p count there only where `do_sample` is true. */
function fileDefaults({ parts: { folder } }: Model): Defaults {
  const path = join(folder, 'generation_config.json')
  const json = readJson(path)
  const problems: string[] = []
  const read = (key: string, fallback: number): number => {
    const value = json[key] ?? fallback
    if (typeof value === 'number') return value
    problems.push(`${key}: expected a number, got ${JSON.stringify(value)}`)
    return fallback
  }
  const topK = read('top_k', 0) // 0 for all
  const defaults: Defaults = {
    temperature: json['do_sample'] === true ? read('temperature', 1) : 0,
    topK: topK === 0 ? undefined : topK,
    topP: read('top_p', 1),
    repetitionPenalty: read('repetition_penalty', 1),
    stop: json['eos_token_id'] === undefined || json['eos_token_id'] === null ? undefined : numbers(json['eos_token_id']),
  }
  if (problems.length > 0) throw new CheckpointError(`${path} cannot be used:`, problems)
  return defaults
}

function readJson(path: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return {} // most models have no such file
  }
  try {
    return { ...(JSON.parse(text) as Record<string, unknown>) }
  } catch (cause) {
    throw new CheckpointError(`${path} is not valid JSON: ${(cause as Error).message}`, [], { cause })
  }
}

function numbers(value: unknown): readonly number[] {
  return [value].flat().filter((id) => typeof id === 'number')
}
