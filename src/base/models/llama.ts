// LLaMA. Touvron et al. 2023, arXiv:2302.13971
//
// Layers that norm first with the root mean square, rotary positions, attention in which groups of query heads share
// their keys and values, and a gated feed-forward part.
//
// Differs from transformers: positions and windows never count padding; there, positions count it but in generate, and windows
// count what stands between the text and virtual tokens before it.

import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { CheckpointError } from '../../errors.ts'
import type { Architecture, ConfigJson, Encoded } from '../architecture.ts'
import type { Input } from '../batch.ts'
import { configReader } from '../config.ts'
import { gatedSilu } from '../ops/activation.ts'
import { reshape } from '../ops/algebra.ts'
import { rope, rotation, type Rotation } from '../ops/rope.ts'
import type { Pass } from '../pass.ts'
import { causalLm, features, lastTokenClassifier, paddingBias, sentenceEmbedding, textPositions, tokenClassifier } from './heads.ts'
import { readRotary, type Rotary } from './rotary.ts'

export interface LlamaConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values. */
  readonly kvHeads: number
  readonly headSize: number
  readonly intermediateSize: number
  readonly epsilon: number
  readonly attentionDropout: number
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

/** LLaMA as described by a config.json with `model_type: 'llama'`. */
export function llama(json: ConfigJson): Architecture {
  return llamaFamily('Llama', readLlamaConfig(json, 'llama'))
}

/** An architecture of this kind; `className` is what transformers calls it. */
export function llamaFamily(className: string, config: LlamaConfig): Architecture {
  return {
    vocabSize: config.vocabSize,
    maxLength: config.rotary.maxLength,
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'model',
    encode: (pass, input) => encode(pass, config, input),
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': lastTokenClassifier,
      'token-classification': (options) => tokenClassifier(config.classifierDropout, options, 'score'),
      'causal-lm': () => causalLm(config.vocabSize),
    },
    classNames: {
      'feature-extraction': `${className}Model`,
      'sentence-embedding': `${className}Model`,
      'sequence-classification': `${className}ForSequenceClassification`,
      'token-classification': `${className}ForTokenClassification`,
      'causal-lm': `${className}ForCausalLM`,
    },
    keys: {
      rename: [],
      spare: [],
      dropped: [/\.rotary_emb\.inv_freq$/, /^lm_head\./, /^score\./],
    },
    ties: config.tied ? { 'lm_head.weight': 'model.embed_tokens.weight' } : {},
  }
}

/** Reads a config.json in LLaMA's words. */
export function readLlamaConfig(json: ConfigJson, modelType: string, defaults: { readonly headSize?: number } = {}): LlamaConfig {
  const read = configReader(json, modelType)
  const [hiddenSize, heads] = [read.number('hidden_size'), read.number('num_attention_heads')]
  const headSize = read.number('head_dim', defaults.headSize ?? hiddenSize / heads)
  const biased = read.flag('attention_bias', false)
  const positions = read.number('max_position_embeddings')
  const activation = read.text('hidden_act', 'silu')
  const config: Omit<LlamaConfig, 'rotary'> = {
    vocabSize: read.number('vocab_size'),
    hiddenSize,
    layers: read.number('num_hidden_layers'),
    heads,
    kvHeads: read.number('num_key_value_heads', heads),
    headSize,
    intermediateSize: read.number('intermediate_size'),
    epsilon: read.number('rms_norm_eps', 1e-6),
    attentionDropout: read.number('attention_dropout', 0),
    classifierDropout: read.number('classifier_dropout', read.number('hidden_dropout', 0.1)),
    initializerRange: read.number('initializer_range', 0.02),
    tied: read.flag('tie_word_embeddings', false),
    biases: { qkv: biased, output: biased, mlp: read.flag('mlp_bias', false) },
    headNorms: false,
    window: () => undefined,
  }
  read.done()
  if (activation !== 'silu') throw new CheckpointError(`config.json: hidden_act: expected 'silu', got '${activation}'.`)
  return { ...config, rotary: readRotary(json, { headSize, positions, theta: 10_000 }) }
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
  return attn.linear('o_proj', merged, hiddenSize, { role: 'attention-output', bias: biases.output })
}

function feedForward(pass: Pass, { hiddenSize: D, intermediateSize: F, biases: { mlp: bias } }: LlamaConfig, x: Tensor2D): Tensor2D {
  const gate = pass.linear('gate_proj', x, F, { role: 'gate', bias })
  const up = pass.linear('up_proj', x, F, { role: 'up', bias })
  return pass.linear('down_proj', gatedSilu(gate, up), D, { role: 'down', bias })
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
  const { hiddenSize: D, vocabSize, rotary: { maxLength, frequencies } } = config
  const words = pass.embedding('embed_tokens', input.ids, vocabSize, D)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'embed_tokens' })
  const { rows, ...sequence } = begun
  const total = sequence.offset + sequence.mask.shape[1]
  const turn = rotation(textPositions(sequence), sequence.batch, frequencies(total))
  const context: Context = { sequence, keyBias: paddingBias(sequence), turn }
  const last = pass.layers('layers', config.layers, rows, context, (p, x, index) => layer(p, config, x, index, context))
  return { rows: pass.rmsNorm('norm', last, config.epsilon), sequence }
}
