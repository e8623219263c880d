import * as tf from '@tensorflow/tfjs-core'
import type { Tensor4D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { checkBatch } from '../base/batch.ts'
import { storedOf } from '../base/parameters.ts'
import { architecturePass, type Model } from '../base/model.ts'
import { Pass, type Around } from '../base/pass.ts'
import { read } from '../base/engine/read.ts'
import { NO_VALUES } from '../base/method.ts'
import { NO_HANDLERS } from '../base/trace.ts'
import { keyedAttentions } from '../base/adapter/virtual-tokens.ts'
import type { AttentionCall } from '../base/ops/attention-call.ts'

/** The keys and values of a text at every attention of a model. */
export interface PrefixRows {
  readonly tokens: number
  /** By site name; each array (tokens, width). */
  readonly rows: ReadonlyMap<string, { readonly key: Float32Array; readonly value: Float32Array }>
}

/**
 * Runs a text through the frozen model and keeps the keys and values of every attention, as a start for a prefix.
 * Attached adapters take no part.
 *
 * @param ids token ids of the text, one row
 * @throws InputError when the ids do not fit the model, or the model writes another text than it reads
 * @example
 * const [ids = []] = tokenizer.encode(['Is this mail spam?']).ids
 * const adapter = attach(model, prefix({ init: await prefixFromText(model, ids) }))
 */
export async function prefixFromText(model: Model, ids: ArrayLike<number>): Promise<PrefixRows> {
  const { architecture, sites } = model.parts
  const tokens = ids.length
  const batch = { ids: Int32Array.from(ids), batch: 1, length: tokens }
  const wrong = Array.from(ids, (id, i) => (Number.isSafeInteger(id) ? '' : `token ${i}: expected a token id, got ${shown(id)}`)).filter((text) => text !== '')
  if (wrong.length > 0) throw new InputError('prefixFromText: the text cannot be used:', wrong)
  if (architecture.example().decoderIds !== undefined) {
    throw new InputError("prefixFromText: expected a model of one text. Of one that reads a text and writes another, a prefix stands before what is written, and rows for it from a text are missing here; start from prefix({ init: 'normal' }) or 'zeros'.")
  }
  checkBatch(architecture, batch)
  const rows = new Map<string, Promise<Float32Array[]>>()
  const capture = (name: string): Around<AttentionCall, Tensor4D> => (call, next) => {
    rows.set(name, Promise.all([read(() => call.k), read(() => call.v)]))
    return next(call)
  }
  const attention = new Map(keyedAttentions(sites).map(({ name }) => [name, capture(name)]))
  tf.tidy(() => {
    const pass = new Pass({ param: (name) => storedOf(model, name), handlers: { ...NO_HANDLERS, attention }, training: false, seed: 0 })
    architecture.encode(architecturePass(pass, model.parts), batch)
  })
  const found = await Promise.all([...rows].map(async ([name, both]) => {
    const [key = NO_VALUES, value = NO_VALUES] = await both
    return [name, { key, value }] as const
  }))
  return { tokens, rows: new Map(found) }
}
