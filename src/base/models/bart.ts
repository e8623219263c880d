// BART. Lewis et al. 2019, arXiv:1910.13461
//
// Two stacks of post-norm layers that share a table of words, each with learned positions, which count padding. A task on one text gives
// it to the decoder too, one token later.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Architecture, Bounds, Encoded, Family, Head, HeadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { reshape, times } from '../ops/algebra.ts'
import type { Pass } from '../pass.ts'
import type { ResidualOptions } from '../pass-options.ts'
import type { SectionReader } from '../settings.ts'
import { checkPooling, features, paddingBias, realTokens, spanHead, textPositions, tokenWhere } from '../tasks/heads.ts'
import { causalLm } from '../tasks/vocabulary-head.ts'
import { takesTwoTexts, type Input, type Seen } from '../token-input.ts'
import { checkHeads, DROPOUT, named, readActivation, readPaddingId } from './settings.ts'

type Tower = 'encoder' | 'decoder'

interface BartConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly maxLength: number
  readonly stacks: Readonly<Record<Tower, { readonly layers: number; readonly heads: number; readonly intermediateSize: number }>>
  readonly activation: string
  readonly dropout: number
  readonly attentionDropout: number
  readonly activationDropout: number
  readonly classifierDropout: number
  readonly initializerRange: number
  /** What the words' rows are multiplied by. */
  readonly scale: number
  readonly start: number
  /** Tokens that end a text. */
  readonly ends: readonly number[]
}

/** The first rows of the tables of positions are no token's. */
const OFFSET = 2
const EPSILON = 1e-5

/** `model_type: 'bart'` */
export const bart: Family = {
  read: (read, bounds) => architecture(readConfig(read, bounds)),
  off: { is_encoder_decoder: [true], is_decoder: [false], encoder_layerdrop: [0], decoder_layerdrop: [0] },
  // whether tables and head are one is the file's to say; `generate` reads the forced token
  idle: ['tie_word_embeddings', 'forced_eos_token_id'],
}

function readConfig(read: SectionReader, { size, layers }: Bounds): BartConfig {
  const vocabSize = read.integer('vocab_size', { ...size, fallback: 50_265 })
  const width = named(read, 'd_model', 'hidden_size')
  const hiddenSize = read.integer(width, { ...size, fallback: 1024 })
  const stack = (tower: Tower): BartConfig['stacks'][Tower] => {
    const [depth, count] = tower === 'encoder'
      ? [named(read, 'encoder_layers', 'num_hidden_layers'), named(read, 'encoder_attention_heads', 'num_attention_heads')]
      : ['decoder_layers', 'decoder_attention_heads']
    const heads = read.integer(count, { ...size, fallback: 16 })
    checkHeads(read, { [width]: hiddenSize, [count]: heads })
    return { layers: read.integer(depth, { ...layers, fallback: 12 }), heads, intermediateSize: read.integer(`${tower}_ffn_dim`, { ...size, fallback: 4096 }) }
  }
  const dropout = (key: string, fallback: number): number => read.number(key, { ...DROPOUT, fallback })
  readPaddingId(read, vocabSize)
  return {
    vocabSize,
    hiddenSize,
    maxLength: read.integer('max_position_embeddings', { ...size, fallback: 1024 }),
    stacks: { encoder: stack('encoder'), decoder: stack('decoder') },
    activation: readActivation(read, 'activation_function', 'gelu'),
    dropout: dropout('dropout', 0.1),
    attentionDropout: dropout('attention_dropout', 0),
    activationDropout: dropout('activation_dropout', 0),
    classifierDropout: dropout('classifier_dropout', 0),
    initializerRange: read.number('init_std', { min: 0, fallback: 0.02 }),
    scale: read.flag('scale_embedding', false) ? Math.sqrt(hiddenSize) : 1,
    start: read.integer('decoder_start_token_id', { min: 0, max: vocabSize - 1, note: 'the vocabulary', fallback: 2 }),
    ends: readEnds(read, vocabSize),
  }
}

function readEnds(read: SectionReader, vocabSize: number): readonly number[] {
  const ends = read.list('eos_token_id', 'integer', [2], { min: 0, max: vocabSize - 1, note: 'the vocabulary' })
  read.check(ends.length > 0, 'eos_token_id: expected at least one token, got []', ['eos_token_id'])
  return ends
}

function architecture(config: BartConfig): Architecture {
  const { vocabSize, hiddenSize, maxLength, initializerRange, start } = config
  const table = 'model.encoder.embed_tokens.weight'
  return {
    ...takesTwoTexts({ vocabSize, maxLength }, start, {
      encoder: (pass, input) => stack(pass, config, 'encoder', input),
      decoder: (pass, input, seen) => stack(pass, config, 'decoder', input, seen),
      readsAgain: true,
    }),
    example: () => ({ ids: new Int32Array(3).fill(config.ends[0] ?? 0), batch: 1, length: 3 }),
    hiddenSize,
    initializerRange,
    baseName: 'model',
    heads: {
      'feature-extraction': () => features,
      'seq2seq-lm': () => writer(config),
      'sequence-classification': (options) => ofOneText(classifier(config, options)),
      'question-answering': () => ofOneText(spanHead(0)),
    },
    className: 'Bart',
    keys: {
      rename: [],
      alsoCalled: { 'shared.weight': table, 'model.shared.weight': table },
      unused: [],
      ignored: [/^lm_head\./, /^final_logits_bias$/, /^classification_head\./, /^qa_outputs\./, /(en|de)coder\.version$/],
    },
    ties: { 'decoder.embed_tokens.weight': 'encoder.embed_tokens.weight', 'model.decoder.embed_tokens.weight': table, 'lm_head.weight': table },
  }
}

/** The next token, with a bias that is not trained. */
function writer({ vocabSize }: BartConfig): Head {
  return causalLm(vocabSize, { row: (pass) => pass.param('final_logits_bias', { shape: [1, vocabSize], init: 'zeros', part: 'bias', optional: true, words: true }) as Tensor2D })
}

/** A head of a task on one text, whose places are those of the decoder's rows. */
function ofOneText(head: Head): Head {
  return {
    ...head,
    run: (pass, encoded, batch) => {
      const { decoderIds, batch: rows, length } = batch
      if (decoderIds === undefined || decoderIds.length === rows * length) return head.run(pass, encoded, batch)
      throw new InputError(`decoderIds: expected none, or as many tokens as ids have (${length} in each row), got ${decoderIds.length / rows}; leave them out: the decoder reads the text again.`)
    },
  }
}

/** Two products of the decoder's row at the text's last end token. */
function classifier({ hiddenSize, classifierDropout: rate, ends }: BartConfig, { labels, pooling }: HeadOptions): Head {
  checkPooling('sequence-classification of this model', pooling, ['pooler'])
  return {
    modules: ['classification_head'],
    run: (pass, encoded, { ids = new Int32Array(0), batch, length }) => {
      for (let row = 0; row < batch; row++) {
        if (ids.subarray(row * length, (row + 1) * length).some((id) => ends.includes(id))) continue
        throw new InputError(`ids: row ${row}: expected the end token ${ends.join(' or ')}, which the class is read at, got none; encode texts with the model's own tokenizer.`)
      }
      const words = tf.tensor2d(ids, [batch, length], 'int32')
      const isEnd = ends.map((id) => tf.equal<Tensor2D>(words, tf.scalar(id, 'int32'))).reduce((a, b) => tf.logicalOr(a, b))
      const head = pass.at('classification_head')
      const vector = head.dropout('dropout', tokenWhere(realTokens(encoded), tf.cast<Tensor2D>(isEnd, 'float32'), 'last'), rate)
      const pooled = activation('tanh', head.linear('dense', vector, hiddenSize, { role: 'head' }))
      return head.linear('out_proj', head.dropout('pooled.dropout', pooled, rate), labels, { role: 'head' })
    },
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  readonly seen: Seen | undefined
}

function attention(pass: Pass, config: BartConfig, tower: Tower, x: Tensor2D, { sequence: { batch: B, length: T }, keyBias }: Context, seen?: Seen): Tensor2D {
  const { hiddenSize: D, attentionDropout: rate, stacks: { [tower]: { heads: H } } } = config
  const split = (y: Tensor2D, length: number): Tensor4D => reshape<Rank.R4>(y, [B, length, H, D / H])
  const { rows: keys, length: K } = seen ?? { rows: x, length: T }
  const project = (own: Pass): readonly [Tensor4D, Tensor4D] => [
    split(own.linear('k_proj', keys, D, { role: 'key' }), K),
    split(own.linear('v_proj', keys, D, { role: 'value' }), K),
  ]
  const q = split(pass.linear('q_proj', x, D, { role: 'query' }), T)
  const [k, v] = seen === undefined ? project(pass) : pass.once('keys', project)
  const mixed = pass.attention('attention', {
    q, k, v, scale: (D / H) ** -0.5, keyBias: (seen ?? { keyBias }).keyBias, causal: tower === 'decoder' && seen === undefined,
    dropout: pass.training && rate > 0 ? { rate, seed: pass.seedOf('dropout') } : undefined,
  }, { cross: seen !== undefined })
  return pass.linear('out_proj', reshape<Rank.R2>(mixed, [B * T, D]), D, { role: 'attention-output' })
}

function feedForward(pass: Pass, config: BartConfig, tower: Tower, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, stacks: { [tower]: { intermediateSize: F } } } = config
  const wide = activation(config.activation, pass.linear('fc1', x, F, { role: 'up' }))
  return pass.linear('fc2', pass.dropout('activation_dropout', wide, config.activationDropout), D, { role: 'down' })
}

function layer(pass: Pass, config: BartConfig, tower: Tower, x: Tensor2D, context: Context): Tensor2D {
  const { seen } = context
  const sublayer = (name: string, norm: string, part: ResidualOptions['part'], before: Tensor2D, branch: (input: Tensor2D) => Tensor2D): Tensor2D =>
    pass.residual(name, before, { part, postNorm: norm, epsilon: EPSILON }, (input) =>
      pass.dropout(`${name}.dropout`, branch(input), config.dropout))
  const mixed = sublayer('self_attn', 'self_attn_layer_norm', 'attention', x, (input) => attention(pass.at('self_attn'), config, tower, input, context))
  const told = seen === undefined ? mixed : sublayer('encoder_attn', 'encoder_attn_layer_norm', 'cross-attention', mixed, (input) =>
    attention(pass.at('encoder_attn'), config, tower, input, context, seen))
  return sublayer('fc2', 'final_layer_norm', 'feed-forward', told, (input) => feedForward(pass, config, tower, input))
}

function stack(base: Pass, config: BartConfig, tower: Tower, input: Input, seen?: Seen): Encoded {
  const { vocabSize, hiddenSize: D, maxLength } = config
  const pass = base.at(tower, { tower })
  const words = times(pass.embedding('embed_tokens', input.ids, vocabSize, D), config.scale)
  const { rows, ...sequence } = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'embed_tokens' })
  const places = tf.add<Tensor1D>(textPositions({ ...sequence, countsAll: true }), tf.scalar(OFFSET, 'int32'))
  const placed = pass.layerNorm('layernorm_embedding', rows, EPSILON, pass.embedding('embed_positions', places, maxLength + OFFSET, D))
  const context = { sequence, keyBias: paddingBias(sequence), seen }
  const last = pass.layers('layers', config.stacks[tower].layers, pass.dropout('dropout', placed, config.dropout), context, (own, x) =>
    layer(own, config, tower, x, context))
  return { rows: last, sequence }
}
