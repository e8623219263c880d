// BERT. Devlin et al. 2018, arXiv:1810.04805
//
// Embeddings of word, position and segment, then layers of self-attention and feed-forward, each with its norm after
// the sum (post-norm), and a pooler on the first token.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family, Head, HeadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { add, reshape } from '../ops/algebra.ts'
import type { AttentionCall } from '../ops/attention-call.ts'
import { numberEach } from '../packed-rows.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import type { Sequence } from '../sites.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { encoderHeads, paddingBias, rowVector } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { checkHeads, DROPOUT, EPSILON, readActivation, readInitializerRange, readPaddingId } from './settings.ts'

export interface BertConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  /** Width of the tables; a product widens it to that of the layers where it is another. */
  readonly embeddingSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly activation: string
  /** Rows of the table of positions. */
  readonly positions: number
  /** Segments; 0 where the model has none. */
  readonly typeCount: number
  readonly epsilon: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  /** Of what the feed-forward part gives. @default hiddenDropout */
  readonly feedForwardDropout?: number
  readonly classifierDropout: number
  readonly initializerRange: number
  /** The masked-LM head uses the word embedding. */
  readonly tied: boolean
}

/** The parts of a layer by their paths in the checkpoint. */
export interface LayerNames {
  readonly layers: string
  readonly attention: string
  readonly query: string
  readonly key: string
  readonly value: string
  readonly attentionOutput: string
  /** Where the branches rejoin the stream, and the norms that follow. */
  readonly attentionJoin: string
  readonly attentionNorm: string
  readonly up: string
  readonly down: string
  readonly outputJoin: string
  readonly outputNorm: string
}

/** What tells the encoders of BERT's kind apart. */
export interface BertEncoder {
  readonly config: BertConfig
  readonly names: LayerNames
  /** Most tokens of a row. */
  readonly maxLength: number
  /** The product between the embeddings and the layers. @default none */
  readonly projection?: string
  /** Where the layers are, where some run several times. @default one behind the other */
  readonly order?: readonly LayerTurn[]
  /** The row of the position table for each token, (B·T). */
  readonly positions: (input: Input, sequence: Sequence) => Tensor1D
  /** What positions add to the scores. @default nothing */
  readonly relative?: RelativePositions & {
    /** What all layers take of them. */
    readonly shared: (pass: Pass, sequence: Encoded['sequence']) => Shared
  }
}

/** A layer that may have run before in the same pass. */
export interface LayerTurn {
  readonly path: string
  /** How often it ran before. */
  readonly turn: number
}

/** What a layer has to know. */
export interface LayerKind extends Pick<BertEncoder, 'config' | 'names'> {
  readonly relative?: RelativePositions
}

/** What all layers take of relative positions, made once. */
export type Shared = Readonly<Record<string, Tensor>>

/** Positions by the distances of tokens. */
export interface RelativePositions {
  /** The call with what a layer makes of them. */
  readonly scores: (pass: Pass, call: AttentionCall, shared: Shared) => AttentionCall
}

export const BERT_NAMES: LayerNames = {
  layers: 'encoder.layer',
  attention: 'attention.self',
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  attentionOutput: 'attention.output.dense',
  attentionJoin: 'attention.output',
  attentionNorm: 'attention.output.LayerNorm',
  up: 'intermediate.dense',
  down: 'output.dense',
  outputJoin: 'output',
  outputNorm: 'output.LayerNorm',
}

/** What BERT's relatives refuse: BERT as a decoder, and positions of other kinds. */
export const BERT_OFF = { is_decoder: [false], add_cross_attention: [false], position_embedding_type: ['absolute'] } as const

/** `model_type: 'bert'`, and relatives that differ in names alone. @param className what transformers calls it */
function bertFamily(className: string, baseName: string, off: Family['off'] = {}, idle: Family['idle'] = []): Family {
  return { read: (read, bounds) => architecture(read, bounds, className, baseName), off: { ...BERT_OFF, ...off }, idle }
}

export const bert: Family = bertFamily('Bert', 'bert')

/** ERNIE 2 and 3 without ids of tasks. Sun et al. 2019, arXiv:1907.12412 */
export const ernie: Family = bertFamily('Ernie', 'ernie', { use_task_id: [false] }, ['task_type_vocab_size'])

function architecture(read: SectionReader, bounds: Bounds, className: string, baseName: string): Architecture {
  const config = readBertConfig(read, bounds)
  readPaddingId(read, config.vocabSize)
  return {
    ...bertEncoder({ config, names: BERT_NAMES, maxLength: config.positions, positions: consecutive }),
    baseName,
    heads: encoderHeads({
      sequenceClassifier: (options) => pooledClassifier(config, `${baseName}.pooler.dense`, options),
      tokenDropout: config.classifierDropout,
      spanDropout: 0,
      maskedLm: maskedLm(
        {
          dense: 'cls.predictions.transform.dense',
          norm: 'cls.predictions.transform.LayerNorm',
          decoder: 'cls.predictions.decoder',
        },
        config,
      ),
    }),
    className,
    keys: {
      rename: [
        [/LayerNorm\.gamma$/, 'LayerNorm.weight'],
        [/LayerNorm\.beta$/, 'LayerNorm.bias'],
      ],
      alsoCalled: { 'cls.predictions.bias': 'cls.predictions.decoder.bias' },
      unused: ['pooler'],
      unusedProducts: { 'pooler.dense': config.hiddenSize },
      ignored: [/embeddings\.position_ids$/, /^cls\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'cls.predictions.decoder.weight': `${baseName}.embeddings.word_embeddings.weight` } : {},
  }
}

/** Reads a config.json in BERT's words. @param usual what the family has where the file says nothing */
export function readBertConfig(read: SectionReader, { size, layers }: Bounds, usual: Partial<BertConfig> = {}): BertConfig {
  const [hiddenSize, heads] = [read.integer('hidden_size', size), read.integer('num_attention_heads', size)]
  checkHeads(read, { hidden_size: hiddenSize, num_attention_heads: heads })
  const vocabSize = read.integer('vocab_size', size)
  const hiddenDropout = read.number('hidden_dropout_prob', { ...DROPOUT, fallback: usual.hiddenDropout ?? 0.1 })
  return {
    vocabSize,
    hiddenSize,
    embeddingSize: hiddenSize,
    layers: read.integer('num_hidden_layers', layers),
    heads,
    intermediateSize: read.integer('intermediate_size', size),
    activation: readActivation(read, 'hidden_act', usual.activation ?? 'gelu'),
    positions: read.integer('max_position_embeddings', size),
    typeCount: read.integer('type_vocab_size', { ...size, min: 0, fallback: usual.typeCount ?? 2 }),
    epsilon: read.number('layer_norm_eps', { ...EPSILON, fallback: usual.epsilon ?? 1e-12 }),
    hiddenDropout,
    attentionDropout: read.number('attention_probs_dropout_prob', { ...DROPOUT, fallback: usual.attentionDropout ?? 0.1 }),
    classifierDropout: read.number('classifier_dropout', { ...DROPOUT, fallback: hiddenDropout }),
    initializerRange: readInitializerRange(read),
    tied: read.flag('tie_word_embeddings', true),
  }
}

type EncoderParts = Pick<Architecture, 'text' | 'example' | 'check' | 'encode' | 'hiddenSize' | 'initializerRange'>

/** The part of an architecture that comes before its heads. */
export function bertEncoder(encoder: BertEncoder): EncoderParts {
  const { config: { vocabSize, hiddenSize, initializerRange, typeCount }, maxLength } = encoder
  const types = typeCount > 0 ? { types: typeCount } : {}
  return { ...takesTokens({ vocabSize, maxLength, ...types }, (pass, input) => encode(pass, encoder, input)), hiddenSize, initializerRange }
}

/** Positions 0, 1, 2 …, padding counted too. */
export function consecutive(_: Input, { batch: B, length: T, offset, packed, virtual }: Sequence): Tensor1D {
  if (packed !== undefined) return numberEach(packed, virtual, (n) => offset + n, (n) => offset + virtual + n)
  return tf.reshape(tf.tile(tf.range(offset, offset + T, 1, 'int32'), [B]), [B * T])
}

function selfAttention(pass: Pass, { config, names, relative }: LayerKind, x: Tensor2D, { sequence, keyBias, shared }: Context): Tensor2D {
  const { hiddenSize: D, heads: H, attentionDropout: rate } = config
  const { batch: B, length: T } = sequence
  const split = (y: Tensor2D): Tensor4D => reshape<Rank.R4>(y, [B, T, H, D / H])
  const call: AttentionCall = {
    q: split(pass.linear(names.query, x, D, { role: 'query' })),
    k: split(pass.linear(names.key, x, D, { role: 'key' })),
    v: split(pass.linear(names.value, x, D, { role: 'value' })),
    scale: 1 / Math.sqrt(D / H),
    keyBias,
    dropout: pass.training ? { rate, seed: pass.seedOf(`${names.attention}.dropout`) } : undefined,
  }
  const context = pass.attention(names.attention, relative === undefined ? call : relative.scores(pass, call, shared))
  const merged = reshape<Rank.R2>(context, [B * T, D])
  const projected = pass.linear(names.attentionOutput, merged, D, { role: 'attention-output' })
  return pass.dropout(`${names.attentionOutput}.dropout`, projected, config.hiddenDropout)
}

function feedForward(pass: Pass, { config, names }: LayerKind, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F } = config
  const h = activation(config.activation, pass.linear(names.up, x, F, { role: 'up' }))
  return pass.dropout(`${names.down}.dropout`, pass.linear(names.down, h, D, { role: 'down' }), config.feedForwardDropout ?? config.hiddenDropout)
}

export function layer(pass: Pass, encoder: LayerKind, x: Tensor2D, context: Context): Tensor2D {
  const { config: { epsilon }, names } = encoder
  const attended = pass.residual(
    names.attentionJoin,
    x,
    { part: 'attention', postNorm: names.attentionNorm, epsilon },
    (h) => selfAttention(pass, encoder, h, context),
  )
  return pass.residual(names.outputJoin, attended, { part: 'feed-forward', postNorm: names.outputNorm, epsilon }, (h) =>
    feedForward(pass, encoder, h),
  )
}

/** What the layers use besides their input. */
export interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  readonly shared: Shared
}

function encode(pass: Pass, encoder: BertEncoder, input: Input): Encoded {
  const { config, names, projection, order } = encoder
  const { rows: embedded, ...sequence } = embed(pass.at('embeddings'), encoder, input)
  const rows = projection === undefined ? embedded : pass.linear(projection, embedded, config.hiddenSize)
  const context: Context = { sequence, keyBias: paddingBias(sequence), shared: encoder.relative?.shared(pass, sequence) ?? {} }
  const at = (own: Pass, index: number): Pass => {
    const place = order?.[index]
    return place === undefined ? own : pass.at(place.path).again(place.turn)
  }
  return { rows: pass.layers(names.layers, order?.length ?? config.layers, rows, context, (own, x, i) => layer(at(own, i), encoder, x, context)), sequence }
}

function embed(pass: Pass, { config, maxLength, positions }: BertEncoder, input: Input): Sequence {
  const { embeddingSize: D, vocabSize, typeCount } = config
  const words = pass.embedding('word_embeddings', input.ids, vocabSize, D)
  const sequence = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'word_embeddings' })
  const rows = tf.tidy(() => {
    let placed = pass.embedding('position_embeddings', positions(input, sequence), config.positions, D)
    if (typeCount > 0) placed = add(placed, pass.embedding('token_type_embeddings', types(input, sequence), typeCount, D))
    const normed = pass.layerNorm('LayerNorm', sequence.rows, config.epsilon, placed)
    return pass.dropout('dropout', normed, config.hiddenDropout)
  })
  return { ...sequence, rows }
}

/** Virtual rows are of segment 0. */
export function types({ typeIds }: Input, { batch: B, length: T, virtual, packed }: Sequence): Tensor1D {
  if (virtual === 0) return typeIds
  if (packed !== undefined) return numberEach(packed, virtual, () => 0, (_, place) => packed.batch.typeIds?.[place] ?? 0)
  return tf.reshape(tf.pad(tf.reshape(typeIds, [B, T - virtual]), [[0, 0], [virtual, 0]]), [B * T])
}

/** A product of the first token that the encoder has for it, and the classes. @param pooler its full name */
export function pooledClassifier({ hiddenSize, classifierDropout }: BertConfig, pooler: string, options: HeadOptions): Head {
  const { labels, pooling } = options
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const vector = rowVector(encoded, options)
      const pooled = pooling === 'mean' ? vector : activation('tanh', pass.linear(pooler, vector, hiddenSize))
      return pass.linear('classifier', pass.dropout('dropout', pooled, classifierDropout), labels, { role: 'head' })
    },
  }
}
