// Prefix-tuning: trained keys and values in front of those of the text, at every attention.
//
//   attention(q, [P_k; k], [P_v; v]),  P_k and P_v (virtualTokens, width of the keys)
//   trained as they are, or through one network of all sites:  P = W₂ tanh(W₁ E + b₁) + b₂
//
// Li and Liang 2021, arXiv:2101.00190
//
// The text's own positions begin after the prefix, as in PEFT; a bias by positions is 0 for the prefix where the model has none for it, as
// T5's decoder does. Of an encoder-decoder, the decoder's attention to its own text has one, as in PEFT. Tasks on rows pool as without it.
// Differs from PEFT: what was saved through the network is a plain prefix, which can be trained on; PEFT only runs it.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { NO_VALUES, type Init, type InitContext, type Inits, type Method } from '../base/method.ts'
import { prepend, reshape, zerosBefore } from '../base/ops/algebra.ts'
import type { AttentionCall } from '../base/ops/attention-call.ts'
import { prependEach, widerBorders } from '../base/ops/packed.ts'
import { kaimingUniform, normal, type RandomStream } from '../base/random.ts'
import type { AttentionSite, Site } from '../base/sites.ts'
import { keyWidth, keyedAttentions, textStarts } from '../base/adapter/virtual-tokens.ts'
import type { PrefixRows } from './from-text.ts'
import { prefixRows } from './rows.ts'
import { prefixFormat } from './file-format.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { PrefixOptions, PrefixConfig } from './options.ts'

const NAMES: Names<PrefixOptions> = { virtualTokens: true, init: true, reparametrization: true }

/**
 * Prefix-tuning: trained keys and values in front of those of the text, at every attention (Li and Liang 2021,
 * arXiv:2101.00190).
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, prefix({ virtualTokens: 10, reparametrization: { hiddenSize: 512 } }))
 */
export function prefix(options: PrefixOptions = {}): Method {
  checkNames('prefix', options, NAMES)
  const { init = 'normal', reparametrization } = options
  const { virtualTokens = typeof init === 'string' ? 20 : init.tokens } = options
  const config: PrefixConfig = { virtualTokens, init, ...(reparametrization === undefined ? {} : { reparametrization }) }
  checkConfig(config)
  return {
    select: (sites) => [...keyedAttentions(sites), ...textStarts(sites, 'prefix', virtualTokens, 'decoder')],
    init: (site, context) => (site.kind === 'attention' ? startOf(config, site, context) : {}),
    shared: (sites, context) => sharedStart(config, sites, context),
    attention: (_, own) => (call, next) => {
      const { key, value } = prefixRows(own)
      const keyBias = call.keyBias === undefined ? undefined : tf.pad(call.keyBias, [[0, 0], [virtualTokens, 0]])
      const hasPlaces = call.borders === undefined && call.bias !== undefined && call.bias.shape[3] > call.k.shape[1]
      const bias = call.bias === undefined || hasPlaces ? call.bias : zerosBefore(call.bias, virtualTokens)
      return next({ ...call, k: before(key, call.k, call), v: before(value, call.v, call), keyBias, bias })
    },
    sequence: () => (sequence, next) => {
      const result = next(sequence)
      return { ...result, offset: result.offset + virtualTokens }
    },
    seesPadding: false,
    name: 'prefix',
    format: prefixFormat(config),
  }
}

function before(rows: Tensor2D, x: Tensor4D, { borders }: AttentionCall): Tensor4D {
  const [B, K, H, D] = x.shape
  if (borders !== undefined) {
    const all = prependEach(rows, reshape<Rank.R2>(x, [K, H * D]), widerBorders(borders, K))
    return reshape<Rank.R4>(all, [B, all.shape[0], H, D])
  }
  return reshape<Rank.R4>(prepend(rows, reshape<Rank.R3>(x, [B, K, H * D])), [B, rows.shape[0] + K, H, D])
}

function startOf({ virtualTokens: P, init, reparametrization }: PrefixConfig, site: AttentionSite, { draw, fresh }: InitContext): Inits {
  const W = keyWidth(site)
  if (reparametrization !== undefined) {
    const layer = (name: string): Inits => lastLayer(name, W, reparametrization.hiddenSize, init === 'zeros', draw)
    return { ...layer('key'), ...layer('value') }
  }
  const rows = (name: 'key' | 'value'): Init => {
    if (!fresh) return { shape: [P, W], values: NO_VALUES }
    if (init === 'zeros') return { shape: [P, W], values: new Float32Array(P * W) }
    if (init === 'normal') return { shape: [P, W], values: normal(draw(name), P * W, 0, 1) } // PEFT: torch's Embedding
    return { shape: [P, W], values: textRows(init, site, name) }
  }
  return { key: rows('key'), value: rows('value') }
}

function textRows({ rows, tokens }: PrefixRows, site: AttentionSite, name: 'key' | 'value'): Float32Array {
  const values = rows.get(site.name)?.[name]
  if (values?.length === tokens * keyWidth(site)) return values
  throw new InputError(`prefix: init has no rows for '${site.name}' of this model; make it with await prefixFromText(model, ids).`)
}

function sharedStart({ virtualTokens: P, reparametrization }: PrefixConfig, sites: readonly Site[], { draw }: InitContext): Inits {
  const first = keyedAttentions(sites)[0]
  if (reparametrization === undefined || first === undefined) return {}
  const [W, size] = [keyWidth(first), reparametrization.hiddenSize]
  return {
    embedding: { shape: [P, W], values: normal(draw('embedding'), P * W, 0, 1) },
    hiddenWeight: { shape: [size, W], values: kaimingUniform(draw('hiddenWeight'), size * W, W) },
    hiddenBias: { shape: [size], values: kaimingUniform(draw('hiddenBias'), size, W) },
  }
}

/** PEFT: torch's Linear, U(±1/√in), unless it is to start as zeros. */
function lastLayer(name: string, W: number, size: number, zeros: boolean, draw: (name: string) => RandomStream): Inits {
  const values = (local: string, count: number): Float32Array =>
    zeros ? new Float32Array(count) : kaimingUniform(draw(local), count, size)
  return {
    [`${name}Weight`]: { shape: [W, size], values: values(`${name}Weight`, W * size) },
    [`${name}Bias`]: { shape: [W], values: values(`${name}Bias`, W) },
  }
}

function checkConfig({ virtualTokens, init, reparametrization }: PrefixConfig): void {
  const problems: string[] = []
  if (!Number.isInteger(virtualTokens) || virtualTokens < 1) {
    problems.push(`virtualTokens: expected an integer of at least 1, got ${shown(virtualTokens)}`)
  }
  if (typeof init !== 'string' && init.tokens !== virtualTokens) {
    problems.push(`virtualTokens: init has rows for ${init.tokens} tokens, got ${virtualTokens}; leave virtualTokens out`)
  }
  if (reparametrization !== undefined) {
    const { hiddenSize } = reparametrization
    if (!Number.isInteger(hiddenSize) || hiddenSize < 1) {
      problems.push(`reparametrization.hiddenSize: expected an integer of at least 1, got ${shown(hiddenSize)}`)
    }
    if (typeof init !== 'string') problems.push('init: the rows of a text cannot be put through a network; leave reparametrization out')
  }
  if (problems.length > 0) throw new InputError('prefix: the options cannot be used:', problems)
}
