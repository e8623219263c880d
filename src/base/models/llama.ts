// LLaMA. Touvron et al. 2023, arXiv:2302.13971
//
// Layers that norm first with the root mean square, rotary positions, attention in which groups of query heads share
// their keys and values, and a gated feed-forward part.
//
// Differs from transformers: positions and windows never count padding; there, positions count it but in generate, and windows
// count what stands between the text and virtual tokens before it.

import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, CheckpointKeys, Encoded, Family } from '../architecture.ts'
import { gated, gatedHalves } from '../ops/activation.ts'
import { reshape, times } from '../ops/algebra.ts'
import { columnsOf } from '../ops/columns.ts'
import { grown, rope, rotation, type Rotation } from '../ops/rope.ts'
import type { Pass } from '../pass.ts'
import type { ResidualOptions } from '../pass-options.ts'
import type { SectionReader } from '../settings.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { features, lastTokenClassifier, paddingBias, positionCount, sentenceEmbedding, textPositions, tokenClassifier } from '../tasks/heads.ts'
import { causalLm } from '../tasks/vocabulary-head.ts'
import { balanced, mixture, type Mixture, type Routed } from './mixture.ts'
import { readRotary, readRotaryByType, type Rotary, type RotaryByType, type RotaryDefaults } from './rotary.ts'
import { checkHeads, DROPOUT, EPSILON, readActivation, readInitializerRange, readPaddingId } from './settings.ts'

export interface LlamaConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values. */
  readonly kvHeads: number
  readonly headSize: number
  readonly intermediateSize: number
  /** Of the gate. */
  readonly activation: string
  readonly epsilon: number
  readonly attentionDropout: number
  /** After the last product of each part of a layer. */
  readonly residualDropout: number
  readonly classifierDropout: number
  readonly initializerRange: number
  readonly tied: boolean
  /** Kinds of rotary positions that layers have. */
  readonly rotary: readonly Rotary[]
  /** Which of them a layer has; none where undefined. */
  readonly rotaryOf: (layer: number) => number | undefined
  /** Queries, keys and values come from one product, and so do gate and up. */
  readonly fused: boolean
  /** Which products have a bias. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean }
  /** Queries and keys are normed: each head by itself, or all heads as one. */
  readonly queryNorms: 'heads' | 'whole' | undefined
  /** Each head of what attention gives is multiplied by σ of its gate, which comes from the product of its query. */
  readonly outputGate: boolean
  /** What stands in a layer in place of attention; attention where undefined. */
  readonly mixer: (layer: number) => Mixer | undefined
  /** Each part of a layer is normed before it begins, or what it gives is, or both are. */
  readonly norms: 'before' | 'behind' | 'both'
  /** Norms multiply by their weights and 1. */
  readonly zeroCentred: boolean
  /** What scores and logits are kept below. */
  readonly caps: { readonly scores?: number | undefined; readonly logits?: number | undefined }
  /** What words, the rows that come into the layers, each part of a layer, scores and logits are multiplied by. */
  readonly factors: { readonly words: number; readonly rows: number; readonly branch: number; readonly scores: number; readonly logits: number }
  /** Each head has a score that takes part in the softmax and gives no value. @default false */
  readonly sinks?: boolean
  /** Experts in place of a layer's feed-forward part. */
  readonly mixture?: { readonly config: Mixture; readonly has: (layer: number) => boolean }
  /** How many keys back a layer's queries see; all where undefined. */
  readonly window: (layer: number) => number | undefined
  /** See `Limits`. */
  readonly renewedAt?: number
}

/** Lets the tokens of a text exchange what they hold, as attention does. */
export interface Mixer {
  /** Its module's name in a layer. */
  readonly name: string
  readonly run: (pass: Pass, x: Tensor2D, sequence: Encoded['sequence']) => Tensor2D
}

/** `model_type: 'llama'`. How its products were split while it was made changes nothing. */
export const llama: Family = llamaFamily('Llama', (read, bounds) => {
  const biased = read.flag('attention_bias', false)
  return { ...readLlamaConfig(read, bounds), biases: { qkv: biased, output: biased, mlp: read.flag('mlp_bias', false) } }
}, { idle: ['pretraining_tp'] })

/** A family of this kind. @param className what transformers calls it @param readConfig what it reads more than `readLlamaConfig` */
export function llamaFamily(
  className: string,
  readConfig: (read: SectionReader, bounds: Bounds) => LlamaConfig,
  { off = {}, idle = [], classNames = {}, keys = {}, partial = false }: FamilyOptions = {},
): Family {
  const whole = partial ? {} : { partial_rotary_factor: [1] }
  const read: Family['read'] = (settings, bounds) => {
    const config = readConfig(settings, bounds)
    const made = decoder(className, config, (pass, input) => encode(pass, config, input))
    return { ...made, classNames, keys: { ...made.keys, ...keys } }
  }
  return { read, off: { ...whole, ...off }, idle }
}

interface FamilyOptions extends Partial<Pick<Family, 'off' | 'idle'> & Pick<Architecture, 'classNames'>> {
  readonly keys?: Partial<CheckpointKeys>
  /** A part of each head may be turned alone. @default false */
  readonly partial?: boolean
}

/** What decoders have in common, whatever their layers are. */
export function decoder(className: string, config: LlamaConfig, run: (pass: Pass, input: Input) => Encoded): Architecture {
  const recurs = Array.from({ length: config.layers }, (_, layer) => config.mixer(layer)).some((mixer) => mixer !== undefined)
  return {
    ...takesTokens({ vocabSize: config.vocabSize, maxLength: maxLengthOf(config), renewedAt: config.renewedAt, steadyTo: Math.min(...config.rotary.map(({ steadyTo = Infinity }) => steadyTo)) }, run, { seesPadding: recurs }), // rows begin anew there
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'model',
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': lastTokenClassifier,
      'token-classification': (options) => tokenClassifier(config.classifierDropout, options, 'score'),
      'causal-lm': () => causalLm(config.vocabSize, { factor: config.factors.logits, cap: config.caps.logits }),
    },
    className,
    keys: {
      rename: [],
      unused: [],
      ignored: [/\.rotary_emb\.inv_freq$/, /^lm_head\./, /^score\./],
    },
    ties: config.tied ? { 'lm_head.weight': 'model.embed_tokens.weight' } : {},
    decoder: config,
  }
}

/** What a class has where config.json says nothing. */
export interface LlamaDefaults {
  /** @default as many as heads */
  readonly kvHeads?: number
  /** @default the hidden size shared by the heads */
  readonly headSize?: number
  /** @default 0 */
  readonly attentionDropout?: number
  /** Setting of the activation, and what it is. @default hidden_act, silu */
  readonly activation?: readonly [key: string, name: string]
  /** @default 1e-6 */
  readonly epsilon?: number
  /** @default false */
  readonly tied?: boolean
  /** Base of the rotary frequencies. @default 10,000 */
  readonly theta?: number
  /** What rotary positions have besides. @default nothing */
  readonly rotary?: RotaryDefaults
  /** Layers that attend to the nearest tokens alone have rotary positions of their own, the second. @default they do not */
  readonly rotaryByType?: RotaryByType | undefined
}

/** Reads a config.json in LLaMA's words. */
export function readLlamaConfig(read: SectionReader, { size, layers }: Bounds, defaults: LlamaDefaults = {}): LlamaConfig {
  const [hiddenSize, heads] = [read.integer('hidden_size', size), read.integer('num_attention_heads', size)]
  const kvHeads = read.integer('num_key_value_heads', { ...size, fallback: read.isNull('num_key_value_heads') ? heads : (defaults.kvHeads ?? heads) })
  read.check(heads % kvHeads === 0, `num_key_value_heads: expected a divisor of num_attention_heads (${heads}), got ${kvHeads}`, ['num_attention_heads', 'num_key_value_heads'])
  const shared = defaults.headSize === undefined && !read.has('head_dim')
  if (shared) checkHeads(read, { hidden_size: hiddenSize, num_attention_heads: heads })
  const headSize = read.integer('head_dim', { ...size, fallback: defaults.headSize ?? Math.floor(hiddenSize / heads) })
  read.check(headSize % 2 === 0, `head_dim: expected an even number, for rotary positions, got ${headSize}`, ['head_dim'])
  read.check(heads * headSize <= size.max, `head_dim: expected at most ${size.max} for all heads, got ${heads} × ${headSize}`, ['head_dim', 'num_attention_heads'])
  const vocabSize = read.integer('vocab_size', size)
  readPaddingId(read, vocabSize)
  const place = { headSize, positions: read.integer('max_position_embeddings', { min: 1 }), theta: defaults.theta, ...defaults.rotary }
  const { rotaryByType: byType } = defaults
  const dropout = (key: string, fallback: number): number => read.number(key, { ...DROPOUT, fallback })
  return {
    vocabSize,
    hiddenSize,
    layers: read.integer('num_hidden_layers', layers),
    heads,
    kvHeads,
    headSize,
    intermediateSize: read.integer('intermediate_size', size),
    activation: readActivation(read, ...(defaults.activation ?? ['hidden_act', 'silu'] as const)),
    epsilon: read.number('rms_norm_eps', { ...EPSILON, fallback: defaults.epsilon ?? 1e-6 }),
    attentionDropout: dropout('attention_dropout', defaults.attentionDropout ?? 0),
    residualDropout: 0,
    classifierDropout: dropout('classifier_dropout', dropout('hidden_dropout', 0.1)),
    initializerRange: readInitializerRange(read),
    tied: read.flag('tie_word_embeddings', defaults.tied ?? false),
    rotary: byType === undefined ? [readRotary(read, place)] : Object.values(readRotaryByType(read, { ...place, ...byType })),
    rotaryOf: () => 0,
    fused: false,
    biases: { qkv: false, output: false, mlp: false },
    queryNorms: undefined,
    outputGate: false,
    mixer: () => undefined,
    norms: 'before',
    zeroCentred: false,
    caps: {},
    factors: { words: 1, rows: 1, branch: 1, scores: 1 / Math.sqrt(headSize), logits: 1 },
    window: () => undefined,
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  /** How each kind of rotary positions turns queries and keys. */
  readonly turns: readonly { readonly q: Rotation; readonly k: Rotation }[]
  readonly note: (routed: Routed) => void
}

function projections(attn: Pass, { heads: H, kvHeads: G, headSize: D, biases: { qkv: bias }, fused, outputGate }: LlamaConfig, x: Tensor2D): [q: Tensor2D, k: Tensor2D, v: Tensor2D] {
  if (fused) return columnsOf(attn.linear('qkv_proj', x, (H + 2 * G) * D, { role: 'qkv', bias }), [H * D, G * D, G * D])
  return [
    attn.linear('q_proj', x, (outputGate ? 2 : 1) * H * D, { role: 'query', bias }),
    attn.linear('k_proj', x, G * D, { role: 'key', bias }),
    attn.linear('v_proj', x, G * D, { role: 'value', bias }),
  ]
}

function selfAttention(pass: Pass, config: LlamaConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { hiddenSize, heads: H, kvHeads: G, headSize: D, biases, attentionDropout: rate } = config
  const { sequence: { batch: B, length: T }, keyBias, turns } = context
  const turn = turns[config.rotaryOf(index) ?? -1]
  const attn = pass.at('self_attn')
  const split = (y: Tensor2D, count: number): Tensor4D => reshape<Rank.R4>(y, [B, T, count, D])
  const turned = (y: Tensor4D, by: 'q' | 'k'): Tensor4D => (turn === undefined ? y : rope(y, turn[by]))
  const normed = (name: string, y: Tensor2D): Tensor2D => {
    if (config.queryNorms === undefined) return y
    return attn.rmsNorm(name, config.queryNorms === 'heads' ? reshape<Rank.R2>(y, [y.size / D, D]) : y, config.epsilon, config)
  }
  const [asked, k, v] = projections(attn, config, x)
  const [q, gate] = config.outputGate ? columnsOf(reshape<Rank.R2>(asked, [B * T * H, 2 * D]), [D, D]) : [asked]
  const mixed = pass.attention(
    'self_attn',
    {
      q: turned(split(normed('q_norm', q), H), 'q'),
      k: turned(split(normed('k_norm', k), G), 'k'),
      v: split(v, G),
      scale: config.factors.scores,
      keyBias,
      cap: config.caps.scores,
      ...(config.sinks === true ? { sinks: attn.param('sinks', { shape: [H], init: 'normal', part: 'weight' }) as Tensor1D } : {}),
      causal: true,
      dropout: pass.training && rate > 0 ? { rate, seed: attn.seedOf('dropout') } : undefined,
    },
    { window: config.window(index) },
  )
  const merged = reshape<Rank.R2>(mixed, [B * T, H * D])
  const passed = gate === undefined ? merged : gated('sigmoid', reshape<Rank.R2>(gate, [B * T, H * D]), merged)
  const projected = attn.linear('o_proj', passed, hiddenSize, { role: 'attention-output', bias: biases.output })
  return attn.dropout('residual_dropout', projected, config.residualDropout)
}

export function feedForward(pass: Pass, config: LlamaConfig, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F, biases: { mlp: bias }, fused } = config
  const middle = fused
    ? gatedHalves(config.activation, pass.linear('gate_up_proj', x, 2 * F, { role: 'gate-up', bias }))
    : gated(config.activation, pass.linear('gate_proj', x, F, { role: 'gate', bias }), pass.linear('up_proj', x, F, { role: 'up', bias }))
  return pass.dropout('residual_dropout', pass.linear('down_proj', middle, D, { role: 'down', bias }), config.residualDropout)
}

function layer(pass: Pass, config: LlamaConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { epsilon, norms, factors, zeroCentred } = config
  const behind = (name: string, y: Tensor2D): Tensor2D => {
    const scaled = times(y, factors.branch)
    return norms === 'before' ? scaled : pass.rmsNorm(name, scaled, epsilon, { zeroCentred })
  }
  const before = (name: string): Pick<ResidualOptions, 'preNorm'> => (norms === 'behind' ? {} : { preNorm: name })
  const options = { norm: zeroCentred ? 'zero-centred rms' : 'rms', epsilon } as const
  const mixer = config.mixer(index)
  const mix = (h: Tensor2D): Tensor2D => mixer?.run(pass.at(mixer.name), h, context.sequence) ?? selfAttention(pass, config, h, index, context)
  const attended = pass.residual(mixer?.name ?? 'self_attn', x, { ...options, part: 'attention', ...before('input_layernorm') }, (h) =>
    behind('post_attention_layernorm', mix(h)))
  const feedNorm = norms === 'both' ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'
  return pass.residual('mlp', attended, { ...options, part: 'feed-forward', ...before(feedNorm) }, (h) =>
    behind('post_feedforward_layernorm', config.mixture?.has(index) === true
      ? mixture(pass.at('mlp'), config.mixture.config, h, context.note)
      : feedForward(pass.at('mlp'), config, h)))
}

function encode(pass: Pass, config: LlamaConfig, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, rotary, factors } = config
  const words = times(pass.embedding('embed_tokens', input.ids, vocabSize, D), factors.words)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: maxLengthOf(config), table: 'embed_tokens' })
  const { rows, ...sequence } = begun
  const positions = textPositions(sequence)
  const count = positionCount(sequence)
  const turns = rotary.map(({ frequencies, scale, growth }) => {
    const k = rotation(positions, sequence.batch, frequencies(count), scale)
    return { k, q: growth === undefined ? k : grown(k, positions, growth) }
  })
  return balanced(pass, config.mixture?.config, (note) => {
    const context: Context = { sequence, keyBias: paddingBias(sequence), turns, note }
    const last = pass.layers('layers', config.layers, times(rows, factors.rows), context, (p, x, index) => layer(p, config, x, index, context))
    return { rows: pass.rmsNorm('norm', last, config.epsilon, config), sequence }
  })
}

export function maxLengthOf({ rotary }: LlamaConfig): number {
  return Math.min(...rotary.map(({ maxLength }) => maxLength))
}
