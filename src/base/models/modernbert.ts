// ModernBERT. Warner et al. 2024, arXiv:2412.13663
//
// An encoder of layers that norm first, without biases: rotary positions, one product for queries, keys and values, a gated
// feed-forward part. Most layers attend to the nearest tokens on both sides; each third attends to all, and turns by frequencies
// of its own.
//
// Differs from transformers: positions and windows never count padding; there they do, which tells where padding stands amid a text alone.

import type { Rank, Tensor2D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family, Head } from '../architecture.ts'
import { activation, gatedHalves } from '../ops/activation.ts'
import { reshape } from '../ops/algebra.ts'
import { headsOf } from '../ops/columns.ts'
import { rope, rotation, type Rotation } from '../ops/rope.ts'
import type { Pass } from '../pass.ts'
import type { LinearOptions } from '../pass-options.ts'
import type { SectionReader } from '../settings.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { eachToken, features, paddingBias, positionCount, rowVector, sentenceEmbedding, textPositions } from '../tasks/heads.ts'
import { vocabularyHead } from '../tasks/vocabulary-head.ts'
import { readRotaryByType, type Rotary } from './rotary.ts'
import { checkHeads, DROPOUT, EPSILON, readActivation, readInitializerRange, readPaddingId } from './settings.ts'
import { readLayerWindows } from './windows.ts'

interface ModernBertConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  /** Of the gate, and of the heads. */
  readonly activation: string
  readonly headActivation: string
  readonly epsilon: number
  readonly biases: { readonly norm: boolean; readonly attention: boolean; readonly mlp: boolean; readonly head: boolean; readonly decoder: boolean }
  readonly dropout: { readonly embedding: number; readonly attention: number; readonly mlp: number; readonly head: number }
  /** A row is classified by the mean of its tokens, not by the first. */
  readonly mean: boolean
  /** Of layers that attend to all tokens, and of the others. */
  readonly rotary: readonly [whole: Rotary, near: Rotary]
  /** How far a layer's queries see; to the ends where undefined. */
  readonly window: (layer: number) => number | undefined
}

/** `model_type: 'modernbert'`. */
export const modernbert: Family = {
  read: architecture,
  off: { partial_rotary_factor: [1] },
  idle: ['initializer_cutoff_factor', 'cls_token_id', 'sep_token_id', 'deterministic_flash_attn', 'sparse_prediction', 'sparse_pred_ignore_index', 'rope_theta'],
}

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const config = readConfig(read, bounds)
  const { vocabSize, hiddenSize, rotary, biases } = config
  const maxLength = Math.min(...rotary.map((kind) => kind.maxLength))
  const classifier = (run: Head['run']): Head => ({ modules: ['head', 'classifier'], run })
  return {
    ...takesTokens({ vocabSize, maxLength }, (pass, input) => encode(pass, config, maxLength, input)),
    hiddenSize,
    initializerRange: readInitializerRange(read),
    baseName: 'model',
    heads: {
      'feature-extraction': () => features,
      'sentence-embedding': sentenceEmbedding,
      'sequence-classification': (options) => classifier((pass, encoded) =>
        classified(pass, config, rowVector(encoded, config.mean && options.pooling === 'pooler' ? { ...options, pooling: 'mean' } : options), options.labels)),
      'token-classification': ({ labels }) => classifier((pass, encoded) => eachToken(encoded, (rows) => classified(pass, config, rows, labels))),
      'question-answering': () => classifier((pass, encoded) => eachToken(encoded, (rows) => classified(pass, config, rows, 2))),
      'masked-lm': () => vocabularyHead({ name: 'decoder', size: vocabSize, bias: biases.decoder, transform: (pass, rows) => transformed(pass, config, rows) }),
    },
    className: 'ModernBert',
    keys: { rename: [], unused: [], ignored: [/^head\./, /^decoder\./, /^classifier\./] },
    ties: read.flag('tie_word_embeddings', true) ? { 'decoder.weight': 'model.embeddings.tok_embeddings.weight' } : {},
  }
}

function readConfig(read: SectionReader, { size, layers: depth }: Bounds): ModernBertConfig {
  const [hiddenSize, heads, layers] = [read.integer('hidden_size', size), read.integer('num_attention_heads', size), read.integer('num_hidden_layers', depth)]
  checkHeads(read, { hidden_size: hiddenSize, num_attention_heads: heads })
  const headSize = Math.floor(hiddenSize / heads)
  read.check(headSize % 2 === 0, `num_attention_heads: expected heads of an even size, for rotary positions, got ${headSize}`, ['hidden_size', 'num_attention_heads'])
  const vocabSize = read.integer('vocab_size', size)
  readPaddingId(read, vocabSize)
  const dropout = (key: string): number => read.number(key, { ...DROPOUT, fallback: 0 })
  const whole = read.integer('global_attn_every_n_layers', { min: 1, fallback: 3 })
  const reach = Math.floor(read.integer('local_attention', { min: 0, fallback: 128 }) / 2)
  const rotary = readRotaryByType(read, {
    headSize, positions: read.integer('max_position_embeddings', { min: 1 }),
    theta: 160_000, key: 'global_rope_theta', local: { key: 'local_rope_theta', theta: 10_000 }, scalesBoth: true,
  })
  return {
    vocabSize,
    hiddenSize,
    layers,
    heads,
    intermediateSize: read.integer('intermediate_size', size),
    activation: readActivation(read, 'hidden_activation', 'gelu'),
    headActivation: readActivation(read, 'classifier_activation', 'gelu'),
    epsilon: read.number('norm_eps', { ...EPSILON, fallback: 1e-5 }),
    biases: {
      norm: read.flag('norm_bias', false), attention: read.flag('attention_bias', false), mlp: read.flag('mlp_bias', false),
      head: read.flag('classifier_bias', false), decoder: read.flag('decoder_bias', true),
    },
    dropout: {
      embedding: dropout('embedding_dropout'), attention: dropout('attention_dropout'), mlp: dropout('mlp_dropout'), head: dropout('classifier_dropout'),
    },
    mean: read.oneOf('classifier_pooling', ['cls', 'mean'], 'cls') === 'mean',
    rotary: [rotary.full_attention, rotary.sliding_attention],
    window: readLayerWindows(read, layers, reach + 1, (layer) => layer % whole !== 0),
  }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  readonly turns: { readonly whole: Rotation; readonly near: Rotation }
}

function selfAttention(pass: Pass, { hiddenSize: D, heads: H, biases, dropout, window }: ModernBertConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const { sequence: { batch: B, length: T }, keyBias, turns } = context
  const attn = pass.at('attn')
  const reach = window(index)
  const turn = reach === undefined ? turns.whole : turns.near
  const { attention: bias } = biases
  const [q, k, v] = headsOf(attn.linear('Wqkv', x, 3 * D, { role: 'qkv', bias }), 3, [B, T, H, D / H]) as [q: Heads, k: Heads, v: Heads]
  const mixed = pass.attention(
    'attn',
    {
      q: rope(q, turn), k: rope(k, turn), v, scale: 1 / Math.sqrt(D / H), keyBias,
      dropout: pass.training && dropout.attention > 0 ? { rate: dropout.attention, seed: attn.seedOf('dropout') } : undefined,
    },
    { window: reach },
  )
  const projected = attn.linear('Wo', reshape<Rank.R2>(mixed, [B * T, D]), D, { role: 'attention-output', bias })
  return attn.dropout('out_drop', projected, dropout.attention)
}

type Heads = ReturnType<typeof headsOf>[number]

function feedForward(pass: Pass, config: ModernBertConfig, x: Tensor2D): Tensor2D {
  const { hiddenSize: D, intermediateSize: F, biases: { mlp: bias }, dropout } = config
  const middle = gatedHalves(config.activation, pass.linear('Wi', x, 2 * F, { role: 'gate-up', bias }))
  return pass.linear('Wo', pass.dropout('drop', middle, dropout.mlp), D, { role: 'down', bias })
}

function layer(pass: Pass, config: ModernBertConfig, x: Tensor2D, index: number, context: Context): Tensor2D {
  const options = { epsilon: config.epsilon, bias: config.biases.norm }
  const first = index === 0 ? {} : { preNorm: 'attn_norm' } // the embeddings are normed already
  const attended = pass.residual('attn', x, { ...options, part: 'attention', ...first }, (h) => selfAttention(pass, config, h, index, context))
  return pass.residual('mlp', attended, { ...options, part: 'feed-forward', preNorm: 'mlp_norm' }, (h) => feedForward(pass.at('mlp'), config, h))
}

function encode(pass: Pass, config: ModernBertConfig, maxLength: number, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, rotary, epsilon, biases, dropout } = config
  const embeddings = pass.at('embeddings')
  const words = embeddings.embedding('tok_embeddings', input.ids, vocabSize, D)
  const { rows, ...sequence } = embeddings.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'tok_embeddings' })
  const normed = embeddings.dropout('drop', embeddings.layerNorm('norm', rows, epsilon, undefined, { bias: biases.norm }), dropout.embedding)
  const [positions, count] = [textPositions(sequence), positionCount(sequence)]
  const [whole, near] = rotary.map(({ frequencies, scale }) => rotation(positions, sequence.batch, frequencies(count), scale)) as [Rotation, Rotation]
  const context: Context = { sequence, keyBias: paddingBias(sequence), turns: { whole, near } }
  const last = pass.layers('layers', config.layers, normed, context, (p, x, index) => layer(p, config, x, index, context))
  return { rows: pass.layerNorm('final_norm', last, epsilon, undefined, { bias: biases.norm }), sequence }
}

/** What all heads but features begin with. */
function transformed(pass: Pass, { hiddenSize, headActivation, epsilon, biases }: ModernBertConfig, rows: Tensor2D, options: Pick<LinearOptions, 'role'> = {}): Tensor2D {
  const head = pass.at('head')
  const dense = activation(headActivation, head.linear('dense', rows, hiddenSize, { ...options, bias: biases.head }))
  return head.layerNorm('norm', dense, epsilon, undefined, { bias: biases.norm })
}

function classified(pass: Pass, config: ModernBertConfig, rows: Tensor2D, labels: number): Tensor2D {
  const hidden = pass.dropout('drop', transformed(pass, config, rows, { role: 'head' }), config.dropout.head)
  return pass.linear('classifier', hidden, labels, { role: 'head' })
}
