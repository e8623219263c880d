// T5 and what followed with its layers: v1.1, FLAN-T5, mT5. Raffel et al. 2020, arXiv:1910.10683; gated layers: Shazeer 2020,
// arXiv:2002.05202. Positions are what attention adds to its scores by distance, from one table for each tower; scores are not scaled.

import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { ACTIVATION_NAMES, activation, gated } from '../ops/activation.ts'
import { reshape } from '../ops/algebra.ts'
import { distanceBias } from '../ops/relative-positions.ts'
import type { Pass } from '../pass.ts'
import type { ResidualOptions } from '../pass-options.ts'
import type { SectionReader } from '../settings.ts'
import { features, paddingBias } from '../tasks/heads.ts'
import { causalLm } from '../tasks/vocabulary-head.ts'
import { takesTwoTexts, type Input, type Seen } from '../token-input.ts'
import { DROPOUT, EPSILON, readPaddingId } from './settings.ts'

interface T5Config {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly headSize: number
  readonly heads: number
  readonly intermediateSize: number
  readonly layers: Readonly<Record<'encoder' | 'decoder', number>>
  readonly positions: { readonly count: number; readonly furthest: number }
  readonly activation: string
  readonly isGated: boolean
  readonly epsilon: number
  readonly dropout: number
  /** The last rows are made smaller before they are held against the table of the words. */
  readonly scaled: boolean
  readonly start: number
}

/** What config.json means where it says nothing. */
const DEFAULTS = { vocabSize: 32_128, feedForward: 'relu', heads: 8, intermediateSize: 2048, layers: 6 }

/** `model_type: 't5'` */
export const t5: Family = t5Family('T5', (read) => read.flag('scale_decoder_outputs', read.flag('tie_word_embeddings', true)))

/** `model_type: 'mt5'`: T5 v1.1 in 101 languages. Xue et al. 2021, arXiv:2010.11934 */
export const mt5: Family = t5Family('MT5', () => false, { vocabSize: 250_112, feedForward: 'gated-gelu', heads: 6, intermediateSize: 1024, layers: 8 })

function t5Family(className: string, isScaled: (read: SectionReader) => boolean, defaults = DEFAULTS): Family {
  return {
    read: (read, bounds) => architecture(className, { ...readConfig(read, bounds, defaults), scaled: isScaled(read) }),
    off: { is_encoder_decoder: [true], is_decoder: [false] },
    // whether the head is the table is the file's to say, as in transformers, whatever tie_word_embeddings is
    idle: ['initializer_factor', 'classifier_dropout', 'tie_word_embeddings', 'dense_act_fn', 'is_gated_act'],
  }
}

function readConfig(read: SectionReader, { size, layers }: Bounds, defaults: typeof DEFAULTS): Omit<T5Config, 'scaled'> {
  const vocabSize = read.integer('vocab_size', { ...size, fallback: defaults.vocabSize })
  const encoder = read.integer('num_layers', { ...layers, fallback: defaults.layers })
  const feedForward = read.text('feed_forward_proj', defaults.feedForward)
  const [kind, name = kind] = feedForward.split('-') as [string, string | undefined]
  const activationName = feedForward === 'gated-gelu' ? 'gelu_new' : name
  read.check(ACTIVATION_NAMES.includes(activationName) && (kind === name || kind === 'gated'),
    `feed_forward_proj: expected one of ${ACTIVATION_NAMES.join(', ')}, or gated- and one of them, got ${feedForward}`)
  readPaddingId(read, vocabSize)
  return {
    vocabSize,
    hiddenSize: read.integer('d_model', { ...size, fallback: 512 }),
    headSize: read.integer('d_kv', { ...size, fallback: 64 }),
    heads: read.integer('num_heads', { ...size, fallback: defaults.heads }),
    intermediateSize: read.integer('d_ff', { ...size, fallback: defaults.intermediateSize }),
    layers: { encoder, decoder: read.integer('num_decoder_layers', { ...layers, fallback: encoder }) },
    positions: {
      count: read.integer('relative_attention_num_buckets', { ...size, min: 4, fallback: 32 }),
      furthest: read.integer('relative_attention_max_distance', { min: 2, max: 2 ** 20, fallback: 128 }),
    },
    activation: activationName,
    isGated: kind === 'gated',
    epsilon: read.number('layer_norm_epsilon', { ...EPSILON, fallback: 1e-6 }),
    dropout: read.number('dropout_rate', { ...DROPOUT, fallback: 0.1 }),
    start: read.integer('decoder_start_token_id', { min: 0, max: vocabSize - 1, note: 'the vocabulary', fallback: 0 }),
  }
}

function architecture(className: string, config: T5Config): Architecture {
  return {
    ...takesTwoTexts({ vocabSize: config.vocabSize, maxLength: Infinity }, config.start, {
      encoder: (pass, input) => stack(pass, config, 'encoder', input),
      decoder: (pass, input, seen) => stack(pass, config, 'decoder', input, seen),
    }),
    hiddenSize: config.hiddenSize,
    initializerRange: config.hiddenSize ** -0.5,
    baseName: '',
    heads: {
      'feature-extraction': () => features,
      'seq2seq-lm': () => causalLm(config.vocabSize, { factor: config.scaled ? config.hiddenSize ** -0.5 : 1 }),
    },
    className,
    keys: {
      rename: [],
      alsoCalled: { 'shared.weight': 'encoder.embed_tokens.weight' },
      unused: [],
      ignored: [/^lm_head\./, /^decoder\.block\.\d+\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/],
    },
    keptWide: /\.wo$/,
    ties: { 'decoder.embed_tokens.weight': 'encoder.embed_tokens.weight', 'lm_head.weight': 'encoder.embed_tokens.weight' },
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  /** By distance, (1, H, T, K). */
  readonly bias: Tensor4D
  readonly causal: boolean
  readonly seen: Seen | undefined
}

function attention(pass: Pass, config: T5Config, x: Tensor2D, { sequence: { batch: B, length: T }, keyBias, bias, causal }: Context, seen?: Seen): Tensor2D {
  const { heads: H, headSize: D, dropout: rate } = config
  const split = (y: Tensor2D, length: number): Tensor4D => reshape<Rank.R4>(y, [B, length, H, D])
  const { rows: keys, length: K } = seen ?? { rows: x, length: T }
  const q = split(pass.linear('q', x, H * D, { role: 'query', bias: false }), T)
  const project = (own: Pass): readonly [Tensor4D, Tensor4D] => [
    split(own.linear('k', keys, H * D, { role: 'key', bias: false }), K),
    split(own.linear('v', keys, H * D, { role: 'value', bias: false }), K),
  ]
  const [k, v] = seen === undefined ? project(pass) : pass.once('keys', project)
  const mixed = pass.attention('attention', {
    q, k, v, scale: 1,
    ...(seen === undefined ? { bias, causal, keyBias } : { keyBias: seen.keyBias }),
    dropout: pass.training && rate > 0 ? { rate, seed: pass.seedOf('dropout') } : undefined,
  }, { cross: seen !== undefined })
  return pass.linear('o', reshape<Rank.R2>(mixed, [B * T, H * D]), config.hiddenSize, { role: 'attention-output', bias: false })
}

function feedForward(pass: Pass, { hiddenSize, intermediateSize: F, activation: name, isGated, dropout }: T5Config, x: Tensor2D): Tensor2D {
  const wide = isGated
    ? gated(name, pass.linear('wi_0', x, F, { role: 'gate', bias: false }), pass.linear('wi_1', x, F, { role: 'up', bias: false }))
    : activation(name, pass.linear('wi', x, F, { role: 'up', bias: false }))
  return pass.linear('wo', pass.dropout('dropout', wide, dropout), hiddenSize, { role: 'down', bias: false })
}

function layer(pass: Pass, config: T5Config, x: Tensor2D, context: Context): Tensor2D {
  const { seen, causal } = context
  const sublayer = (index: number, part: ResidualOptions['part'], before: Tensor2D, branch: (own: Pass, input: Tensor2D) => Tensor2D): Tensor2D => {
    const own = pass.at(`layer.${index}`)
    const join = { part, preNorm: 'layer_norm', norm: 'rms', epsilon: config.epsilon } as const
    return own.residual('sum', before, join, (input) => own.dropout('dropout', branch(own, input), config.dropout))
  }
  const mixed = sublayer(0, 'attention', x, (own, input) => attention(own.at('SelfAttention'), config, input, context))
  const told = seen === undefined ? mixed : sublayer(1, 'cross-attention', mixed, (own, input) => attention(own.at('EncDecAttention'), config, input, context, seen))
  return sublayer(causal ? 2 : 1, 'feed-forward', told, (own, input) => feedForward(own.at('DenseReluDense'), config, input))
}

function stack(base: Pass, config: T5Config, tower: 'encoder' | 'decoder', input: Input, seen?: Seen): Encoded {
  const { vocabSize, hiddenSize, heads, positions, epsilon, dropout } = config
  const pass = base.at(tower, { tower })
  const words = pass.embedding('embed_tokens', input.ids, vocabSize, hiddenSize)
  const { rows, ...sequence } = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: Infinity, table: 'embed_tokens' })
  const [T, K] = [sequence.length, sequence.offset + sequence.mask.shape[1]] // what stands before the text has distances too
  const causal = tower === 'decoder'
  const bias = distanceBias(T, K, { ...positions, bothWays: !causal }, (ids) =>
    pass.at('block.0.layer.0.SelfAttention').embedding('relative_attention_bias', ids, positions.count, heads))
  const context = { sequence, keyBias: paddingBias(sequence), bias, causal, seen }
  const last = pass.layers('block', config.layers[tower], pass.dropout('dropout', rows, dropout), context, (own, x) => layer(own, config, x, context))
  return { rows: pass.dropout('dropout_last', pass.rmsNorm('final_layer_norm', last, epsilon), dropout), sequence }
}
