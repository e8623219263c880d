// BERT. Devlin et al. 2018, arXiv:1810.04805
//
// Embeddings of word, position and segment, then layers of self-attention and feed-forward, each with its norm after
// the sum (post-norm), and a pooler on the first token.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, ConfigJson, Encoded, Head, HeadOptions } from '../architecture.ts'
import type { Input } from '../batch.ts'
import { configReader } from '../config.ts'
import { activation } from '../ops/activation.ts'
import { add, meanTokens, reshape, tokenAt } from '../ops/algebra.ts'
import { MASKED } from '../ops/attention.ts'
import type { Pass } from '../pass.ts'
import { realMask, realTokens } from './heads.ts'

interface BertConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly activation: string
  readonly maxLength: number
  readonly typeCount: number
  readonly epsilon: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  readonly classifierDropout: number
  readonly initializerRange: number
}

/** BERT as described by a config.json with `model_type: 'bert'`. */
export function bert(json: ConfigJson): Architecture {
  const config = readConfig(json)
  return {
    vocabSize: config.vocabSize,
    maxLength: config.maxLength,
    hiddenSize: config.hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'bert',
    encode: (pass, input) => encode(pass, config, input),
    heads: {
      'feature-extraction': () => ({ modules: [], run: (_, encoded) => realTokens(encoded) }),
      'sequence-classification': (options) => sequenceClassifier(config, options),
      'token-classification': (options) => tokenClassifier(config, options),
      'masked-lm': () => maskedLm(config),
    },
    classNames: {
      'feature-extraction': 'BertModel',
      'sequence-classification': 'BertForSequenceClassification',
      'token-classification': 'BertForTokenClassification',
      'masked-lm': 'BertForMaskedLM',
    },
    keys: {
      rename: [
        [/LayerNorm\.gamma$/, 'LayerNorm.weight'],
        [/LayerNorm\.beta$/, 'LayerNorm.bias'],
      ],
      spare: ['pooler'],
      dropped: [/embeddings\.position_ids$/, /^cls\./, /^classifier\./, /^qa_outputs\./],
    },
  }
}

function readConfig(json: ConfigJson): BertConfig {
  const read = configReader(json, 'bert')
  const hiddenDropout = read.number('hidden_dropout_prob', 0.1)
  const config: BertConfig = {
    vocabSize: read.number('vocab_size'),
    hiddenSize: read.number('hidden_size'),
    layers: read.number('num_hidden_layers'),
    heads: read.number('num_attention_heads'),
    intermediateSize: read.number('intermediate_size'),
    activation: read.text('hidden_act', 'gelu'),
    maxLength: read.number('max_position_embeddings'),
    typeCount: read.number('type_vocab_size', 2),
    epsilon: read.number('layer_norm_eps', 1e-12),
    hiddenDropout,
    attentionDropout: read.number('attention_probs_dropout_prob', 0.1),
    classifierDropout: read.number('classifier_dropout', hiddenDropout),
    initializerRange: read.number('initializer_range', 0.02),
  }
  read.done()
  return config
}

function selfAttention(pass: Pass, config: BertConfig, x: Tensor2D, { sequence, keyBias }: Context): Tensor2D {
  const { hiddenSize: D, heads: H } = config
  const { batch: B, length: T } = sequence
  const self = pass.at('self')
  const split = (y: Tensor2D): Tensor4D => reshape<Rank.R4>(y, [B, T, H, D / H])
  const context = pass.attention('self', {
    q: split(self.linear('query', x, D, { role: 'query' })),
    k: split(self.linear('key', x, D, { role: 'key' })),
    v: split(self.linear('value', x, D, { role: 'value' })),
    scale: 1 / Math.sqrt(D / H),
    keyBias,
    dropout: self.training ? { rate: config.attentionDropout, seed: self.seedOf('dropout') } : undefined,
  })
  const merged = reshape<Rank.R2>(context, [B * T, D])
  return pass.dropout('dropout', pass.linear('output.dense', merged, D, { role: 'attention-output' }), config.hiddenDropout)
}

function feedForward(pass: Pass, config: BertConfig, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F } = config
  const h = activation(config.activation, pass.linear('intermediate.dense', x, F, { role: 'up' }))
  return pass.dropout('output.dropout', pass.linear('output.dense', h, D, { role: 'down' }), config.hiddenDropout)
}

function layer(pass: Pass, config: BertConfig, x: Tensor2D, context: Context): Tensor2D {
  const { epsilon } = config
  const attended = pass.residual(
    'attention.output',
    x,
    { part: 'attention', postNorm: 'attention.output.LayerNorm', epsilon },
    (h) => selfAttention(pass.at('attention'), config, h, context),
  )
  return pass.residual('output', attended, { part: 'feed-forward', postNorm: 'output.LayerNorm', epsilon }, (h) =>
    feedForward(pass, config, h),
  )
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
}

function encode(pass: Pass, config: BertConfig, input: Input): Encoded {
  const { rows, ...sequence } = embed(pass.at('embeddings'), config, input)
  const keyBias = sequence.padded ? tf.mul(tf.sub(1, sequence.mask), MASKED) : undefined // (B, T)
  const context: Context = { sequence, keyBias: keyBias as Tensor2D | undefined }
  return { rows: pass.layers('encoder.layer', config.layers, rows, (p, x) => layer(p, config, x, context)), sequence }
}

function embed(pass: Pass, config: BertConfig, input: Input): Encoded['sequence'] & { readonly rows: Tensor2D } {
  const { hiddenSize: D, vocabSize, maxLength, typeCount } = config
  const words = pass.embedding('word_embeddings', input.ids, vocabSize, D)
  const sequence = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'word_embeddings' })
  const { batch: B, length: T, virtual, offset } = sequence
  const positions = tf.reshape(tf.tile(tf.range(offset, offset + T, 1, 'int32'), [B]), [B * T])
  const types =
    virtual === 0
      ? input.typeIds
      : tf.reshape(tf.pad(tf.reshape(input.typeIds, [B, T - virtual]), [[0, 0], [virtual, 0]]), [B * T])
  const placed = add(
    pass.embedding('position_embeddings', positions as Tensor1D, maxLength, D),
    pass.embedding('token_type_embeddings', types as Tensor1D, typeCount, D),
  )
  const rows = pass.layerNorm('LayerNorm', sequence.rows, config.epsilon, placed)
  return { ...sequence, rows: pass.dropout('dropout', rows, config.hiddenDropout) }
}

function sequenceClassifier(config: BertConfig, { labels, pooling }: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const pooled =
        pooling === 'mean'
          ? meanTokens(realTokens(encoded), realMask(encoded))
          : pool(pass.at('bert.pooler'), config, tokenAt(realTokens(encoded), 0))
      return pass.linear('classifier', pass.dropout('dropout', pooled, config.classifierDropout), labels, { role: 'head' })
    },
  }
}

function pool(pass: Pass, config: BertConfig, first: Tensor2D): Tensor2D {
  return activation('tanh', pass.linear('dense', first, config.hiddenSize))
}

function tokenClassifier(config: BertConfig, { labels }: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const tokens = realTokens(encoded)
      const [B, T, D] = tokens.shape
      const rows = pass.dropout('dropout', reshape<Rank.R2>(tokens, [B * T, D]), config.classifierDropout)
      return reshape<Rank.R3>(pass.linear('classifier', rows, labels, { role: 'head' }), [B, T, labels])
    },
  }
}

/** The decoder is the word embedding, used as a product, with a bias of its own. */
function maskedLm(config: BertConfig): Head {
  const { vocabSize: V, hiddenSize, epsilon } = config
  return {
    modules: [],
    run: (pass, encoded) => {
      const tokens = realTokens(encoded)
      const [B, T, D] = tokens.shape
      const predictions = pass.at('cls.predictions')
      const transform = predictions.at('transform')
      const h = transform.linear('dense', reshape<Rank.R2>(tokens, [B * T, D]), hiddenSize)
      const normed = transform.layerNorm('LayerNorm', activation(config.activation, h), epsilon)
      const logits = predictions.linear('decoder', normed, V, {
        role: 'head',
        tiedWeight: 'bert.embeddings.word_embeddings.weight',
        biasName: 'cls.predictions.bias',
      })
      return reshape<Rank.R3>(logits, [B, T, V])
    },
  }
}
