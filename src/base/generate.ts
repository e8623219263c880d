import { InputError } from '../errors.ts'
import { checkBatch, type Batch } from './batch.ts'
import { KvCache } from './cache.ts'
import type { Model } from './model.ts'
import { randomStream, type RandomStream } from './random.ts'

export interface GenerateOptions {
  readonly maxNewTokens: number
  /** Logits are divided by it before a token is drawn; 0 takes the likeliest token. @default 0 */
  readonly temperature?: number
  /** Draws among this many likeliest tokens. @default all */
  readonly topK?: number
  /** Draws among the likeliest tokens that together have at least this probability. @default 1 */
  readonly topP?: number
  /** Above 1, tokens that the row has already become less likely: Keskar et al. 2019, arXiv:1909.05858. @default 1 */
  readonly repetitionPenalty?: number
  /** Token ids that end a row. @default `eos_token_id` of config.json */
  readonly stop?: readonly number[]
  /** Decides what is drawn; each row draws by itself. @default 0 */
  readonly seed?: number
}

/** The new token of each row; undefined for a row that has ended. */
export type NewTokens = readonly (number | undefined)[]

/**
 * Continues texts token by token with a causal LM and what is attached to it. A row ends behind a stop token; the
 * generator ends when every row has, or after `maxNewTokens`. Leaving the loop early frees everything too.
 *
 * @param prompt the ids of one text, or a batch, padded on either side
 * @throws InputError with everything that is wrong with the options or the prompt
 * @example
 * const ids = []
 * for await (const [id] of generate(model, [5, 12, 3], { maxNewTokens: 8 })) ids.push(id)
 */
export function generate(model: Model, prompt: Batch | readonly number[], options: GenerateOptions): AsyncGenerator<NewTokens, void> {
  const settings = settingsOf(model, options)
  const batch = 'ids' in prompt ? prompt : { ids: Int32Array.from(prompt), batch: 1, length: prompt.length }
  checkBatch(batch, model.parts.architecture)
  const rows = textsOf(batch)
  checkLength(model, rows, settings.maxNewTokens)
  return continueRows(model, rows, settings)
}

type Settings = Required<GenerateOptions>

async function* continueRows(model: Model, rows: number[][], settings: Settings): AsyncGenerator<NewTokens, void> {
  const { maxNewTokens, stop, seed } = settings
  const streams = rows.map((_, row) => randomStream(seed, 'generate', row))
  const ended = rows.map(() => false)
  const cache = new KvCache()
  try {
    let batch = padLeft(rows)
    for (let count = 0; count < maxNewTokens && ended.includes(false); count++) {
      const logits = await nextLogits(model, batch, cache)
      const tokens = rows.map((row, i) => (ended[i] === true ? undefined : choose(logits(i), row, settings, streams[i] as RandomStream)))
      tokens.forEach((token, i) => {
        if (token === undefined) return
        rows[i]?.push(token)
        ended[i] = stop.includes(token)
      })
      yield tokens
      batch = { ids: Int32Array.from(tokens, (token) => token ?? 0), batch: rows.length, length: 1 } // of an ended row nothing is read
    }
  } finally {
    cache.dispose()
  }
}

async function nextLogits(model: Model, batch: Batch, cache: KvCache): Promise<(row: number) => Float32Array> {
  const logits = model.forward(batch, { cache }) // (B, 1, V)
  try {
    const values = await logits.data<'float32'>()
    const V = values.length / batch.batch
    return (row) => values.subarray(row * V, (row + 1) * V)
  } finally {
    logits.dispose()
  }
}

function choose(logits: Float32Array, row: readonly number[], settings: Settings, stream: RandomStream): number {
  const { temperature, topK, topP, repetitionPenalty } = settings
  const scores = logits.slice()
  if (repetitionPenalty !== 1) {
    for (const id of new Set(row)) {
      const score = scores[id] ?? 0
      scores[id] = score > 0 ? score / repetitionPenalty : score * repetitionPenalty
    }
  }
  const best = scores.reduce((top, score, id) => (score > (scores[top] ?? 0) ? id : top), 0)
  if (temperature === 0) return best
  const top = scores[best] ?? 0
  const weights = scores.map((score) => Math.exp((score - top) / temperature))
  return draw(mostLikely(weights, topK, topP), weights, stream)
}

/** The ids to draw from. */
function mostLikely(weights: Float32Array, topK: number, topP: number): readonly number[] {
  let ids = Array.from(weights.keys())
  if (topK < ids.length) {
    const least = weights.slice().sort()[weights.length - topK] ?? 0
    ids = ids.filter((id) => (weights[id] ?? 0) >= least)
  }
  if (topP >= 1) return ids
  ids.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0))
  const needed = topP * sum(ids, weights)
  let reached = 0
  return ids.filter((id) => {
    const before = reached
    reached += weights[id] ?? 0
    return before < needed
  })
}

function draw(ids: readonly number[], weights: Float32Array, stream: RandomStream): number {
  let left = (stream() / 2 ** 32) * sum(ids, weights)
  for (const id of ids) {
    left -= weights[id] ?? 0
    if (left < 0) return id
  }
  return ids.at(-1) ?? 0 // rounding alone leads here
}

function sum(ids: readonly number[], weights: Float32Array): number {
  return ids.reduce((total, id) => total + (weights[id] ?? 0), 0)
}

/** The tokens of each row without its padding. */
function textsOf({ ids, mask, batch, length }: Batch): number[][] {
  return Array.from({ length: batch }, (_, row) =>
    [...ids.subarray(row * length, (row + 1) * length)].filter((__, i) => mask?.[row * length + i] !== 0),
  )
}

/** Texts that end together, so that the last column holds the last token of each. */
function padLeft(rows: readonly (readonly number[])[]): Batch {
  const length = Math.max(...rows.map((row) => row.length))
  const filled = (values: (row: readonly number[]) => readonly number[]): Int32Array =>
    Int32Array.from(rows.flatMap((row) => [...new Array<number>(length - row.length).fill(0), ...values(row)]))
  return { ids: filled((row) => row), mask: filled((row) => row.map(() => 1)), batch: rows.length, length }
}

function settingsOf({ parts: { task, config, architecture: { vocabSize } } }: Model, options: GenerateOptions): Settings {
  const { maxNewTokens, temperature = 0, topK = vocabSize, topP = 1, repetitionPenalty = 1, seed = 0 } = options
  const stop = options.stop ?? [config['eos_token_id']].flat().filter((id) => typeof id === 'number')
  const problems: string[] = []
  const check = (fits: boolean, text: string): void => {
    if (!fits) problems.push(text)
  }
  check(task === 'causal-lm', `the model was loaded for '${task}'; load it with { task: 'causal-lm' }`)
  check(Number.isInteger(maxNewTokens) && maxNewTokens >= 1, `maxNewTokens: expected an integer of at least 1, got ${maxNewTokens}`)
  check(temperature >= 0 && temperature < Infinity, `temperature: expected a number from 0, got ${temperature}`)
  check(Number.isInteger(topK) && topK >= 1, `topK: expected an integer of at least 1, got ${topK}`)
  check(topP > 0 && topP <= 1, `topP: expected a number above 0 and up to 1, got ${topP}`)
  check(repetitionPenalty > 0, `repetitionPenalty: expected a number above 0, got ${repetitionPenalty}`)
  const drawing = options.topK !== undefined || options.topP !== undefined
  check(temperature > 0 || !drawing, 'topK and topP say what is drawn from, and with temperature 0 nothing is; give a temperature')
  if (problems.length > 0) throw new InputError('generate: the options cannot be used:', problems)
  return { maxNewTokens, temperature, topK, topP, repetitionPenalty, stop, seed }
}

function checkLength({ parts: { architecture: { maxLength } } }: Model, rows: readonly (readonly number[])[], maxNewTokens: number): void {
  const empty = rows.flatMap((row, i) => (row.length === 0 ? [i] : []))
  if (empty.length > 0) throw new InputError(`generate: rows without a token: ${empty.join(', ')}. Start them with the tokenizer's first token.`)
  const longest = Math.max(...rows.map((row) => row.length))
  if (longest + maxNewTokens - 1 <= maxLength) return // the last token is not read
  throw new InputError(
    `generate: a prompt of ${longest} tokens and ${maxNewTokens} new ones are more than the ${maxLength} positions of the model; ` +
      `ask for at most ${Math.max(0, maxLength - longest + 1)}, or shorten the prompt.`,
  )
}
