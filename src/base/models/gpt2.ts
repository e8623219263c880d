// GPT-2. Radford et al. 2019, Language Models are Unsupervised Multitask Learners
//
// Word and position embeddings, then layers that norm first (pre-norm), with one product for queries, keys and values,
// and a norm at the end. Checkpoints hold the layers' weights as (in, out).
//
// Differs from transformers: positions never count padding; there, only in generate.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, ConfigJson, Encoded } from '../architecture.ts'
import type { Input } from '../batch.ts'
import { configReader } from '../config.ts'
import { activation } from '../ops/activation.ts'
import { add, reshape } from '../ops/algebra.ts'
import { headsOf } from '../ops/columns.ts'
import type { Pass } from '../pass.ts'
import { causalLm, features, lastTokenClassifier, paddingBias, sentenceEmbedding, textPositions, tokenClassifier } from './heads.ts'

interface Gpt2Config {
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

/** GPT-2 as described by a config.json with `model_type: 'gpt2'`. */
export function gpt2(json: ConfigJson): Architecture {
  const config = readConfig(json)
  return {
    vocabSize: config.vocabSize,
    maxLength: config.maxLength,
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'transformer',
    encode: (pass, input) => encode(pass, config, input),
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': lastTokenClassifier,
      'token-classification': (options) => tokenClassifier(config.classifierDropout, options),
      'causal-lm': () => causalLm(config.vocabSize),
    },
    classNames: {
      'feature-extraction': 'GPT2Model',
      'sentence-embedding': 'GPT2Model',
      'sequence-classification': 'GPT2ForSequenceClassification',
      'token-classification': 'GPT2ForTokenClassification',
      'causal-lm': 'GPT2LMHeadModel',
    },
    keys: {
      rename: [],
      spare: [],
      dropped: [/\.attn\.(masked_)?bias$/, /^lm_head\./, /^score\./, /^classifier\./],
    },
    ties: config.tied ? { 'lm_head.weight': 'transformer.wte.weight' } : {},
  }
}

function readConfig(json: ConfigJson): Gpt2Config {
  const read = configReader(json, 'gpt2')
  const hiddenSize = read.number('n_embd')
  const config: Gpt2Config = {
    vocabSize: read.number('vocab_size'),
    hiddenSize,
    layers: read.number('n_layer'),
    heads: read.number('n_head'),
    intermediateSize: read.number('n_inner', 4 * hiddenSize),
    activation: read.text('activation_function', 'gelu_new'),
    maxLength: read.number('n_positions'),
    epsilon: read.number('layer_norm_epsilon', 1e-5),
    embeddingDropout: read.number('embd_pdrop', 0.1),
    residualDropout: read.number('resid_pdrop', 0.1),
    attentionDropout: read.number('attn_pdrop', 0.1),
    classifierDropout: read.number('classifier_dropout', read.number('hidden_dropout', 0.1)),
    initializerRange: read.number('initializer_range', 0.02),
    scaled: read.flag('scale_attn_weights', true),
    scaledByLayer: read.flag('scale_attn_by_inverse_layer_idx', false),
    tied: read.flag('tie_word_embeddings', true),
  }
  read.done()
  return config
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
