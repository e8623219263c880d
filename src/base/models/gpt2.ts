// GPT-2. Radford et al. 2019, Language Models are Unsupervised Multitask Learners
//
// Word and position embeddings, then layers that norm first (pre-norm), with one product for queries, keys and values,
// and a norm at the end. Checkpoints hold the layers' weights as (in, out).
//
// Differs from transformers: positions never count padding; there, only in generate.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { add, reshape } from '../ops/algebra.ts'
import { headsOf } from '../ops/columns.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { features, lastTokenClassifier, paddingBias, sentenceEmbedding, textPositions, tokenClassifier } from '../tasks/heads.ts'
import { causalLm } from '../tasks/vocabulary-head.ts'
import { checkHeads, DROPOUT, EPSILON, named, readActivation, readInitializerRange, readPaddingId } from './settings.ts'

export interface Gpt2Config {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly activation: string
  readonly maxLength: number
  readonly epsilon: number
  readonly embeddingDropout: number
  readonly residualDropout: number
  readonly attentionDropout: number
  readonly classifierDropout: number
  readonly initializerRange: number
  /** Scores are divided by √(head size), and by the number of the layer. */
  readonly scaled: boolean
  readonly scaledByLayer: boolean
  readonly tied: boolean
}

/** `model_type: 'gpt2'`. Its summaries are a head's that is not here. */
export const gpt2: Family = {
  read: architecture,
  off: { add_cross_attention: [false] },
  idle: [
    'summary_type', 'summary_use_proj', 'summary_activation', 'summary_proj_to_labels', 'summary_first_dropout', 'reorder_and_upcast_attn',
  ],
}

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const config = readConfig(read, bounds)
  return {
    // transformers adds rows of the table of words by `token_type_ids`, of which nothing is here.
    ...takesTokens({ vocabSize: config.vocabSize, maxLength: config.maxLength, types: 1 }, (pass, input) => encode(pass, config, input)),
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'transformer',
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': lastTokenClassifier,
      'token-classification': (options) => tokenClassifier(config.classifierDropout, options),
      'causal-lm': () => causalLm(config.vocabSize),
    },
    className: 'GPT2',
    classNames: { 'causal-lm': 'GPT2LMHeadModel' },
    keys: {
      rename: [],
      unused: [],
      ignored: [/\.attn\.(masked_)?bias$/, /^lm_head\./, /^score\./, /^classifier\./],
    },
    ties: config.tied ? { 'lm_head.weight': 'transformer.wte.weight' } : {},
    decoder: config,
  }
}

function readConfig(read: SectionReader, { size, layers }: Bounds): Gpt2Config {
  const [width, count] = [named(read, 'n_embd', 'hidden_size'), named(read, 'n_head', 'num_attention_heads')]
  const [hiddenSize, heads] = [read.integer(width, size), read.integer(count, size)]
  checkHeads(read, { [width]: hiddenSize, [count]: heads })
  const vocabSize = read.integer('vocab_size', size)
  readPaddingId(read, vocabSize)
  const dropout = (key: string, fallback = 0.1): number => read.number(key, { ...DROPOUT, fallback })
  return {
    vocabSize,
    hiddenSize,
    layers: read.integer(named(read, 'n_layer', 'num_hidden_layers'), layers),
    heads,
    intermediateSize: read.integer('n_inner', { ...size, fallback: 4 * hiddenSize }),
    activation: readActivation(read, 'activation_function', 'gelu_new'),
    maxLength: read.integer(named(read, 'n_positions', 'max_position_embeddings'), size),
    epsilon: read.number('layer_norm_epsilon', { ...EPSILON, fallback: 1e-5 }),
    embeddingDropout: dropout('embd_pdrop'),
    residualDropout: dropout('resid_pdrop'),
    attentionDropout: dropout('attn_pdrop'),
    classifierDropout: dropout('classifier_dropout', dropout('hidden_dropout')),
    initializerRange: readInitializerRange(read),
    scaled: read.flag('scale_attn_weights', true),
    scaledByLayer: read.flag('scale_attn_by_inverse_layer_idx', false),
    tied: read.flag('tie_word_embeddings', true),
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
}

function selfAttention(pass: Pass, config: Gpt2Config, x: Tensor2D, index: number, { sequence, keyBias }: Context): Tensor2D {
  const { hiddenSize: D, heads: H, attentionDropout: rate } = config
  const { batch: B, length: T } = sequence
  const attn = pass.at('attn')
  const qkv = attn.linear('c_attn', x, 3 * D, { role: 'qkv', transposed: true })
  const [q, k, v] = headsOf(qkv, 3, [B, T, H, D / H]) as [Tensor4D, Tensor4D, Tensor4D]
  const context = pass.attention('attn', {
    q,
    k,
    v,
    scale: (config.scaled ? 1 / Math.sqrt(D / H) : 1) / (config.scaledByLayer ? index + 1 : 1),
    keyBias,
    causal: true,
    dropout: pass.training ? { rate, seed: attn.seedOf('attn_dropout') } : undefined,
  })
  const merged = reshape<Rank.R2>(context, [B * T, D])
  const projected = attn.linear('c_proj', merged, D, { role: 'attention-output', transposed: true })
  return attn.dropout('resid_dropout', projected, config.residualDropout)
}

function feedForward(pass: Pass, config: Gpt2Config, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F } = config
  const h = activation(config.activation, pass.linear('c_fc', x, F, { role: 'up', transposed: true }))
  return pass.dropout('dropout', pass.linear('c_proj', h, D, { role: 'down', transposed: true }), config.residualDropout)
}

function layer(pass: Pass, config: Gpt2Config, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { epsilon } = config
  const attended = pass.residual('attn', x, { part: 'attention', preNorm: 'ln_1', epsilon }, (h) =>
    selfAttention(pass, config, h, index, context),
  )
  return pass.residual('mlp', attended, { part: 'feed-forward', preNorm: 'ln_2', epsilon }, (h) =>
    feedForward(pass.at('mlp'), config, h),
  )
}

function encode(pass: Pass, config: Gpt2Config, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, maxLength } = config
  const words = pass.embedding('wte', input.ids, vocabSize, D)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'wte' })
  const { rows, ...sequence } = begun
  const context: Context = { sequence, keyBias: paddingBias(sequence) }
  const start = tf.tidy(() => {
    const placed = add(rows, pass.embedding('wpe', textPositions(sequence), maxLength, D))
    return pass.dropout('drop', placed, config.embeddingDropout)
  })
  const last = pass.layers('h', config.layers, start, context, (p, x, index) => layer(p, config, x, index, context))
  return { rows: pass.layerNorm('ln_f', last, config.epsilon), sequence }
}
