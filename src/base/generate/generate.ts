import { InputError, shown } from '../../errors.ts'
import { checkBatch, joinBatches, tokenIds, type Batch } from '../batch.ts'
import { KvCache } from './cache.ts'
import { modelWith } from '../adapter/named.ts'
import { Row } from './row.ts'
import { settingsOf, type GenerateOptions, type Settings } from './settings.ts'
import type { Model } from '../model.ts'
import { checkNames, type Names } from '../options.ts'

/** The new token of each row; undefined for a row that has ended. */
export type NewTokens = readonly (number | undefined)[]

export const GENERATE_OPTIONS: Names<GenerateOptions> = {
  maxNewTokens: true, temperature: true, topK: true, topP: true, minP: true, typicalP: true, epsilonCutoff: true, etaCutoff: true,
  repetitionPenalty: true, noRepeatNgramSize: true, badWords: true, sequenceBias: true, minNewTokens: true, suppressTokens: true,
  beginSuppressTokens: true, stop: true, stopStrings: true, tokenizer: true, fileSettings: true, seed: true, adapter: true,
}

/**
 * Continues texts token by token with a causal LM and what is attached to it, or writes the answers of an encoder-decoder to
 * them, whose encoder runs once. A row ends behind a stop token or a stop
 * string; the generator ends when every row has, or after `maxNewTokens`. Leaving the loop early frees everything too.
 *
 * @param prompt the ids of one text, or a batch; a mask says what is padding, on either side
 * @throws InputError with everything that is wrong with the options or the prompt; CheckpointError when
 *   generation_config.json cannot be used
 * @example
 * const ids = []
 * for await (const [id] of generate(model, [5, 12, 3], { maxNewTokens: 8 })) ids.push(id)
 */
export function generate(model: Model, prompt: Batch | readonly number[], options: GenerateOptions): AsyncGenerator<NewTokens, void> {
  checkNames('generate', options, GENERATE_OPTIONS)
  const seen = modelWith(model, options.adapter)
  const settings = settingsOf(seen, options)
  const { architecture } = seen.parts
  const { decoderStart: start } = architecture
  const batch = isBatch(prompt) ? prompt : oneRow(prompt)
  const asked = start === undefined ? batch : { ...batch, decoderIds: new Int32Array(batch.batch).fill(start) }
  checkBatch(architecture, asked, seen.limits)
  const texts = textsOf(batch)
  checkRows(seen, batch, texts, settings.maxNewTokens)
  return start === undefined
    ? continueRows(seen, texts, settings, (rows, tokens) => (tokens === undefined ? allOf(rows) : nextOf(tokens)))
    : continueRows(seen, texts.map(() => [start]), settings, (_, tokens) => ({ ...asked, ...(tokens === undefined ? {} : { decoderIds: nextOf(tokens).ids }) }))
}

function isBatch(prompt: unknown): prompt is Batch {
  return typeof prompt === 'object' && prompt !== null && 'batch' in prompt
}

/** Numbers that are no integers would be cut to ones. */
function oneRow(ids: readonly number[]): Batch {
  const other = otherThanRow(ids)
  if (other !== undefined) throw new InputError(`generate: expected the token ids of one row, or a batch, got ${other}.`)
  const wrong = Array.from(ids, (id, i) => (Number.isSafeInteger(id) ? '' : `token ${i}: expected a token id, got ${shown(id)}`)).filter((text) => text !== '')
  if (wrong.length > 0) throw new InputError('generate: the prompt cannot be continued:', wrong)
  return { ids: Int32Array.from(ids), batch: 1, length: ids.length }
}

/** What else was given for the ids of a row; undefined for a list of what may be ids. */
function otherThanRow(given: unknown): string | undefined {
  if (typeof given === 'string') return `the text ${shown(given)}; of texts: generateText(model, tokenizer, text, …)`
  if (typeof given === 'object' && given !== null && 'ids' in given) return 'what tokenizer.encode gives; one row of it: ids[0]'
  if (!Array.isArray(given) && !ArrayBuffer.isView(given)) return shown(given)
  return typeof (given as readonly unknown[])[0] === 'object' ? 'a list of rows; one row: ids[0]' : undefined
}

/**
 * @param texts what new tokens are put behind
 * @param batchOf what the model reads at first, or anew, and then of the newest tokens
 */
async function* continueRows(
  model: Model, texts: readonly (readonly number[])[], settings: Settings, batchOf: (rows: readonly (readonly number[])[], tokens?: NewTokens) => Batch,
): AsyncGenerator<NewTokens, void> {
  const rows = texts.map((text, i) => new Row(text, i, settings))
  const cache = new KvCache()
  const { renewedAt } = model.parts.architecture.text ?? {}
  const all = (): readonly number[][] => rows.map(({ tokens }) => tokens)
  let inCache = [...rows.keys()] // places of rows in the cache
  try {
    let batch = batchOf(all())
    for (let count = 0; count < settings.maxNewTokens && rows.some(({ hasEnded }) => !hasEnded); count++) {
      const scores = await nextScores(model, batch, cache)
      const tokens = rows.map((row, i) => (row.hasEnded ? undefined : row.choose(scores(inCache.indexOf(i)))))
      yield tokens
      const anew = cache.positions === renewedAt
      if (anew) cache.dispose()
      else inCache = withoutEnded(cache, rows, inCache)
      if (anew) inCache = [...rows.keys()]
      batch = batchOf(all(), anew ? undefined : inCache.map((i) => tokens[i]))
    }
  } finally {
    cache.dispose()
  }
}

/** Rows that have ended leave the cache when they are half of it: until then they cost less than another program of its steps. */
function withoutEnded(cache: KvCache, rows: readonly Row[], inCache: number[]): number[] {
  if (!cache.isByRows) return inCache
  inCache.forEach((i, place) => { if (rows[i]?.hasEnded === true) cache.rest(place) })
  const places = [...inCache.keys()].filter((place) => rows[inCache[place] ?? -1]?.hasEnded === false)
  if (places.length === 0 || places.length > inCache.length / 2) return inCache
  cache.keep(places)
  return places.map((place) => inCache[place] ?? -1)
}

/** They end together: the last column holds the last token of each. */
export function allOf(rows: readonly (readonly number[])[]): Batch {
  return joinBatches(rows.map(oneRow), { paddingSide: 'left' })
}

/** Of an ended row nothing is read. */
export function nextOf(tokens: NewTokens): Batch & Required<Pick<Batch, 'ids'>> {
  return { ids: Int32Array.from(tokens, (token) => token ?? 0), batch: tokens.length, length: 1 }
}

/** The one place where a token waits for the engine. */
export async function nextScores(model: Model, batch: Batch, cache: KvCache): Promise<(row: number) => Float32Array> {
  const logits = model.forward(batch, { cache }) // (B, 1, V)
  try {
    const values = await logits.data<'float32'>()
    const V = values.length / batch.batch
    return (row) => values.subarray(row * V, (row + 1) * V)
  } finally {
    logits.dispose()
  }
}

/** The tokens of each row without its padding. */
function textsOf(prompt: Batch): number[][] {
  const { mask, batch, length } = prompt
  const ids = tokenIds(prompt, 'generate')
  return Array.from({ length: batch }, (_, row) =>
    [...ids.subarray(row * length, (row + 1) * length)].filter((__, i) => mask?.[row * length + i] !== 0),
  )
}

export function checkRows({ limits, parts: { architecture: { decoderStart } } }: Model, { mask, length }: Batch, rows: readonly (readonly number[])[], maxNewTokens: number): void {
  const { maxLength = Infinity } = limits ?? {}
  const problems: string[] = []
  for (const [i, row] of rows.entries()) {
    const kept = mask?.subarray(i * length, (i + 1) * length) ?? new Int32Array(0)
    if (row.length === 0) problems.push(`row ${i} has no token: start it with the tokenizer's first token`)
    else if (kept.lastIndexOf(1) - kept.indexOf(1) >= row.length) problems.push(`row ${i}: expected padding at its ends alone, the mask has a 0 between two tokens`)
  }
  const longest = decoderStart === undefined ? Math.max(...rows.map((row) => row.length)) : 1
  if (longest + maxNewTokens - 1 > maxLength) { // the last token is not read
    problems.push(
      `a prompt of ${longest} tokens and ${maxNewTokens} new ones are more than the ${maxLength} positions of the model; ` +
        `ask for at most ${Math.max(0, maxLength - longest + 1)}, or shorten the prompt`,
    )
  }
  if (problems.length > 0) throw new InputError('generate: the prompt cannot be continued:', problems)
}
