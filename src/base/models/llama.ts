// LLaMA. Touvron et al. 2023, arXiv:2302.13971
//
// Layers that norm first with the root mean square, rotary positions, attention in which groups of query heads share
// their keys and values, and a gated feed-forward part.
//
// Differs from transformers: positions and windows never count padding; there, positions count it but in generate, and windows
// count what stands between the text and virtual tokens before it.

import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { gated } from '../ops/activation.ts'
import { reshape } from '../ops/algebra.ts'
import { rope, rotation, type Rotation } from '../ops/rope.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { causalLm, features, lastTokenClassifier, paddingBias, positionCount, sentenceEmbedding, textPositions, tokenClassifier } from '../tasks/heads.ts'
import { readRotary, type Rotary } from './rotary.ts'
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
  readonly rotary: Rotary
  /** Which products have a bias. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean }
  /** Queries and keys are normed, head by head. */
  readonly headNorms: boolean
  /** How many keys back a layer's queries see; all where undefined. */
  readonly window: (layer: number) => number | undefined
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
  { off = {}, idle = [] }: Partial<Pick<Family, 'off' | 'idle'>> = {},
): Family {
  return { read: (read, bounds) => architecture(className, readConfig(read, bounds)), off: { partial_rotary_factor: [1], ...off }, idle }
}

function architecture(className: string, config: LlamaConfig): Architecture {
  return {
    ...takesTokens({ vocabSize: config.vocabSize, maxLength: config.rotary.maxLength }, (pass, input) => encode(pass, config, input)),
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'model',
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': lastTokenClassifier,
      'token-classification': (options) => tokenClassifier(config.classifierDropout, options, 'score'),
      'causal-lm': () => causalLm(config.vocabSize),
    },
    className,
    keys: {
      rename: [],
      unused: [],
      ignored: [/\.rotary_emb\.inv_freq$/, /^lm_head\./, /^score\./],
    },
    ties: config.tied ? { 'lm_head.weight': 'model.embed_tokens.weight' } : {},
  }
}

/** What a class has where config.json says nothing. */
interface LlamaDefaults {
  /** @default as many as heads */
  readonly kvHeads?: number
  /** @default the hidden size shared by the heads */
  readonly headSize?: number
  /** @default 0 */
  readonly attentionDropout?: number
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
  const dropout = (key: string, fallback: number): number => read.number(key, { ...DROPOUT, fallback })
  return {
    vocabSize,
    hiddenSize,
    layers: read.integer('num_hidden_layers', layers),
    heads,
    kvHeads,
    headSize,
    intermediateSize: read.integer('intermediate_size', size),
    activation: readActivation(read, 'hidden_act', 'silu'),
    epsilon: read.number('rms_norm_eps', { ...EPSILON, fallback: 1e-6 }),
    attentionDropout: dropout('attention_dropout', defaults.attentionDropout ?? 0),
    residualDropout: 0,
    classifierDropout: dropout('classifier_dropout', dropout('hidden_dropout', 0.1)),
    initializerRange: readInitializerRange(read),
    tied: read.flag('tie_word_embeddings', false),
    rotary: readRotary(read, { headSize, positions: read.integer('max_position_embeddings', { min: 1 }) }),
    biases: { qkv: false, output: false, mlp: false },
    headNorms: false,
    window: () => undefined,
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  readonly turn: Rotation
}

function selfAttention(pass: Pass, config: LlamaConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { hiddenSize, heads: H, kvHeads: G, headSize: D, biases, attentionDropout: rate } = config
  const { sequence: { batch: B, length: T }, keyBias, turn } = context
  const attn = pass.at('self_attn')
  const split = (y: Tensor2D, count: number): Tensor4D => reshape<Rank.R4>(y, [B, T, count, D])
  const normed = (name: string, y: Tensor2D): Tensor2D =>
    config.headNorms ? attn.rmsNorm(name, reshape<Rank.R2>(y, [y.size / D, D]), config.epsilon) : y
  const q = attn.linear('q_proj', x, H * D, { role: 'query', bias: biases.qkv })
  const k = attn.linear('k_proj', x, G * D, { role: 'key', bias: biases.qkv })
  const v = attn.linear('v_proj', x, G * D, { role: 'value', bias: biases.qkv })
  const mixed = pass.attention(
    'self_attn',
    {
      q: rope(split(normed('q_norm', q), H), turn),
      k: rope(split(normed('k_norm', k), G), turn),
      v: split(v, G),
      scale: 1 / Math.sqrt(D),
      keyBias,
      causal: true,
      dropout: pass.training && rate > 0 ? { rate, seed: attn.seedOf('dropout') } : undefined,
    },
    { window: config.window(index) },
  )
  const merged = reshape<Rank.R2>(mixed, [B * T, H * D])
  const projected = attn.linear('o_proj', merged, hiddenSize, { role: 'attention-output', bias: biases.output })
  return attn.dropout('residual_dropout', projected, config.residualDropout)
}

function feedForward(pass: Pass, config: LlamaConfig, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F, biases: { mlp: bias } } = config
  const gate = pass.linear('gate_proj', x, F, { role: 'gate', bias })
  const up = pass.linear('up_proj', x, F, { role: 'up', bias })
  return pass.dropout('residual_dropout', pass.linear('down_proj', gated(config.activation, gate, up), D, { role: 'down', bias }), config.residualDropout)
}

function layer(pass: Pass, config: LlamaConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { epsilon } = config
  const attended = pass.residual(
    'self_attn',
    x,
    { part: 'attention', preNorm: 'input_layernorm', norm: 'rms', epsilon },
    (h) => selfAttention(pass, config, h, index, context),
  )
  return pass.residual(
    'mlp',
    attended,
    { part: 'feed-forward', preNorm: 'post_attention_layernorm', norm: 'rms', epsilon },
    (h) => feedForward(pass.at('mlp'), config, h),
  )
}

function encode(pass: Pass, config: LlamaConfig, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, rotary } = config
  const words = pass.embedding('embed_tokens', input.ids, vocabSize, D)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: rotary.maxLength, table: 'embed_tokens' })
  const { rows, ...sequence } = begun
  const positions = textPositions(sequence)
  const turn = rotation(positions, sequence.batch, rotary.frequencies(positionCount(sequence)), rotary.scale)
  const context: Context = { sequence, keyBias: paddingBias(sequence), turn }
  const last = pass.layers('layers', config.layers, rows, context, (p, x, index) => layer(p, config, x, index, context))
  return { rows: pass.rmsNorm('norm', last, config.epsilon), sequence }
}
