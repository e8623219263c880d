// NomicBERT. Nussbaum et al. 2024, arXiv:2402.01613
//
// BERT with rotary positions in place of a table, a gated feed-forward part, and no biases within the layers.

import type { Rank, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { gated } from '../ops/activation.ts'
import { reshape } from '../ops/algebra.ts'
import { rope, rotation, type Rotation } from '../ops/rope.ts'
import { paddedLength } from '../packed-rows.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { encoderHeads, paddingBias } from '../tasks/heads.ts'
import { maskedLm } from '../tasks/vocabulary-head.ts'
import { BERT_OFF, consecutive, pooledClassifier, readBertConfig, types, type BertConfig } from './bert.ts'
import { readRotary, type Rotary } from './rotary.ts'
import { inEitherWords, readPaddingId } from './settings.ts'

interface NomicConfig extends BertConfig {
  readonly headSize: number
  readonly rotary: Rotary
}

/** What the Hub's first files call the settings. */
const FIRST_WORDS = {
  hidden_size: 'n_embd', num_hidden_layers: 'n_layer', num_attention_heads: 'n_head', intermediate_size: 'n_inner', max_position_embeddings: 'n_positions',
  layer_norm_eps: 'layer_norm_epsilon', hidden_dropout_prob: 'resid_pdrop', attention_probs_dropout_prob: 'attn_pdrop', rope_theta: 'rotary_emb_base',
}

/** `model_type: 'nomic_bert'`, with what its first files could ask for and its models never did. */
export const nomicBert: Family = {
  read: architecture,
  off: {
    ...BERT_OFF, activation_function: ['swiglu'], qkv_proj_bias: [false], mlp_fc1_bias: [false], mlp_fc2_bias: [false], prenorm: [false], parallel_block: [false],
    causal: [false], use_rms_norm: [false], rotary_emb_fraction: [1], rotary_emb_interleaved: [false], rotary_emb_scale_base: [], rotary_scaling_factor: [],
    scale_attn_weights: [true], scale_attn_by_inverse_layer_idx: [false], moe_every_n_layers: [0], num_experts: [0],
  },
  idle: ['partial_rotary_factor'],
}

/** Ends of module paths, in checkpoints and as transformers has them. */
const NAMES = [
  ['encoder.layers', 'layers'], ['emb_ln', 'embeddings.LayerNorm'], ['attn.out_proj', 'self_attn.o_proj'], ['mlp.fc11', 'mlp.up_proj'],
  ['mlp.fc12', 'mlp.gate_proj'], ['mlp.fc2', 'mlp.down_proj'], ['norm1', 'post_attention_layernorm'], ['norm2', 'post_mlp_layernorm'],
] as const

function renaming(from: string, to: string): readonly [pattern: RegExp, replacement: string] {
  return [new RegExp(`(^|\\.)${from.replaceAll('.', '\\.')}\\.`), `$1${to}.`]
}

function architecture(given: SectionReader, bounds: Bounds): Architecture {
  const config = readConfig(inEitherWords(given, FIRST_WORDS), bounds)
  const { vocabSize, hiddenSize, typeCount, rotary: { maxLength } } = config
  return {
    ...takesTokens({ vocabSize, maxLength, types: typeCount }, (pass, input) => encode(pass, config, input)),
    hiddenSize,
    initializerRange: config.initializerRange,
    baseName: 'nomic_bert',
    heads: encoderHeads({
      sequenceClassifier: (options) => pooledClassifier(config, 'nomic_bert.pooler.dense', options),
      tokenDropout: config.classifierDropout,
      spanDropout: 0,
      maskedLm: maskedLm(
        { dense: 'cls.predictions.transform.dense', norm: 'cls.predictions.transform.layer_norm', decoder: 'cls.predictions.decoder' },
        config,
      ),
    }),
    className: 'NomicBert',
    keys: {
      rename: [[/^bert\./, 'nomic_bert.'], ...NAMES.map(([file, own]) => renaming(file, own))],
      written: NAMES.map(([file, own]) => renaming(own, file)),
      joined: { 'attn.Wqkv': ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] },
      alsoCalled: { 'cls.predictions.bias': 'cls.predictions.decoder.bias' },
      unused: ['pooler'],
      ignored: [/^cls\./, /^classifier\./, /^qa_outputs\./],
    },
    ties: config.tied ? { 'cls.predictions.decoder.weight': 'nomic_bert.embeddings.word_embeddings.weight' } : {},
  }
}

function readConfig(read: SectionReader, bounds: Bounds): NomicConfig {
  const bert = readBertConfig(read, bounds, { hiddenDropout: 0, attentionDropout: 0, activation: 'silu' })
  readPaddingId(read, bert.vocabSize)
  read.check(bert.typeCount > 0, 'type_vocab_size: expected at least 1, got 0')
  const headSize = read.integer('head_dim', { ...bounds.size, fallback: Math.floor(bert.hiddenSize / bert.heads) })
  read.check(headSize % 2 === 0, `head_dim: expected an even number, for rotary positions, got ${headSize}`, ['head_dim'])
  return { ...bert, headSize, rotary: readRotary(read, { headSize, positions: bert.positions, theta: 1000 }) }
}

interface Context {
  readonly sequence: Encoded['sequence']
  readonly keyBias: Tensor2D | undefined
  readonly turn: Rotation
}

function selfAttention(pass: Pass, { hiddenSize, heads: H, headSize: D, attentionDropout: rate, hiddenDropout }: NomicConfig, x: Tensor2D, context: Context): Tensor2D {
  const { sequence: { batch: B, length: T }, keyBias, turn } = context
  const attn = pass.at('self_attn')
  const heads = (y: Tensor2D): Tensor4D => reshape<Rank.R4>(y, [B, T, H, D])
  const mixed = pass.attention('self_attn', {
    q: rope(heads(attn.linear('q_proj', x, H * D, { role: 'query', bias: false })), turn),
    k: rope(heads(attn.linear('k_proj', x, H * D, { role: 'key', bias: false })), turn),
    v: heads(attn.linear('v_proj', x, H * D, { role: 'value', bias: false })),
    scale: 1 / Math.sqrt(D),
    keyBias,
    dropout: pass.training && rate > 0 ? { rate, seed: attn.seedOf('dropout') } : undefined,
  })
  const projected = attn.linear('o_proj', reshape<Rank.R2>(mixed, [B * T, H * D]), hiddenSize, { role: 'attention-output', bias: false })
  return pass.dropout('post_attention_dropout', projected, hiddenDropout)
}

function feedForward(pass: Pass, { hiddenSize: D, intermediateSize: F, activation, hiddenDropout }: NomicConfig, x: Tensor2D): Tensor2D {
  const mlp = pass.at('mlp')
  const [gate, up] = [mlp.linear('gate_proj', x, F, { role: 'gate', bias: false }), mlp.linear('up_proj', x, F, { role: 'up', bias: false })]
  return pass.dropout('post_mlp_dropout', mlp.linear('down_proj', gated(activation, gate, up), D, { role: 'down', bias: false }), hiddenDropout)
}

function layer(pass: Pass, config: NomicConfig, x: Tensor2D, context: Context): Tensor2D {
  const { epsilon } = config
  const attended = pass.residual('self_attn', x, { part: 'attention', postNorm: 'post_attention_layernorm', epsilon }, (h) => selfAttention(pass, config, h, context))
  return pass.residual('mlp', attended, { part: 'feed-forward', postNorm: 'post_mlp_layernorm', epsilon }, (h) => feedForward(pass, config, h))
}

function encode(pass: Pass, config: NomicConfig, input: Input): Encoded {
  const { hiddenSize: D, vocabSize, typeCount, epsilon, rotary: { frequencies, scale, maxLength } } = config
  const embeddings = pass.at('embeddings')
  const words = embeddings.embedding('word_embeddings', input.ids, vocabSize, D)
  const begun = embeddings.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength, table: 'word_embeddings' })
  const { rows, ...sequence } = begun
  const segments = embeddings.embedding('token_type_embeddings', types(input, begun), typeCount, D)
  const first = embeddings.dropout('dropout', embeddings.layerNorm('LayerNorm', rows, epsilon, segments), config.hiddenDropout)
  const turn = rotation(consecutive(input, begun), sequence.batch, frequencies(sequence.offset + paddedLength(sequence)), scale)
  const context: Context = { sequence, keyBias: paddingBias(sequence), turn }
  return { rows: pass.layers('layers', config.layers, first, context, (own, x) => layer(own, config, x, context)), sequence }
}
