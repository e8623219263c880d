// DeBERTa, versions 2 and 3. He et al. 2020, arXiv:2006.03654; He et al. 2021, arXiv:2111.09543
//
// BERT with scores that know distances: to the product of query and key come those of the query, and of the key, with a row for how far the
// two are apart. Rows are learned for the whole encoder, each layer projects them, and far distances share one. In the largest ones a
// convolution over the embeddings joins the first layer.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family } from '../architecture.ts'
import { sharedByBatch } from '../autodiff/tape.ts'
import { isNoted } from '../engine/kernels.ts'
import { activation } from '../ops/activation.ts'
import { blindAtPadding } from '../ops/blind-at-padding.ts'
import { add, timesMask } from '../ops/algebra.ts'
import type { AttentionCall } from '../ops/attention-call.ts'
import { convolve } from '../ops/convolution.ts'
import { distanceScores } from '../ops/distance-scores.ts'
import { lookup } from '../ops/lookup.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import type { Sequence } from '../sites.ts'
import { takesTokens, type Input } from '../token-input.ts'
import { paddingBias } from '../tasks/heads.ts'
import { BERT_NAMES, consecutive, layer, types, type Context, type LayerKind, type Shared } from './bert.ts'
import { bucketOf } from './deberta-buckets.ts'
import { debertaHeads } from './deberta-heads.ts'
import { readDebertaConfig, type Convolution, type DebertaConfig } from './deberta-config.ts'

const NAMES = {
  ...BERT_NAMES,
  query: 'attention.self.query_proj',
  key: 'attention.self.key_proj',
  value: 'attention.self.value_proj',
}

/** `model_type: 'deberta-v2'`. */
export const debertaV2: Family = { read: architecture, off: { conv_groups: [1], z_steps: [0, 1] }, idle: [] }

function architecture(read: SectionReader, bounds: Bounds): Architecture {
  const config = readDebertaConfig(read, bounds)
  const { vocabSize, positions, typeCount, hiddenSize, initializerRange } = config
  const limits = { vocabSize, maxLength: positions, ...(typeCount > 0 ? { types: typeCount } : {}) }
  return {
    ...takesTokens(limits, (pass, input) => encode(pass, config, input), { seesPadding: true }), // its scores are made of padded rows
    hiddenSize,
    initializerRange,
    baseName: 'deberta',
    heads: debertaHeads(config),
    className: 'DebertaV2',
    keys: {
      rename: [],
      alsoCalled: { 'cls.predictions.bias': 'cls.predictions.decoder.bias' },
      unused: [],
      ignored: [/embeddings\.position_(ids|embeddings\.weight)$/, /^(cls|lm_predictions|mask_predictions|pooler|classifier|qa_outputs)\./],
    },
    ties: {
      ...(config.tied ? { 'cls.predictions.decoder.weight': 'deberta.embeddings.word_embeddings.weight' } : {}),
      'lm_predictions.lm_head.weight': 'deberta.embeddings.word_embeddings.weight',
    },
  }
}

function encode(pass: Pass, config: DebertaConfig, input: Input): Encoded {
  const { rows, ...sequence } = embed(pass.at('embeddings'), config, input)
  const { distances, convolution } = config
  const keyBias = paddingBias(sequence)
  const shared: Shared = distances === undefined ? {} : { rows: distanceRows(pass.at('encoder'), config, distances, sequence.length) }
  const context: Context = { sequence, keyBias, shared }
  const scores = (p: Pass, call: AttentionCall): AttentionCall => {
    const scored = withDistances(p, config, call, shared)
    return keyBias === undefined ? scored : blindAtPadding(scored, sequence.mask)
  }
  const kind: LayerKind = { config, names: NAMES, relative: { scores } }
  const run = (p: Pass, x: Tensor2D, index: number): Tensor2D => {
    const y = layer(p, kind, x, context)
    return index === 0 && convolution !== undefined ? joinConvolution(pass.at('encoder.conv'), config, convolution, x, y, sequence) : y
  }
  return { rows: pass.layers(NAMES.layers, config.layers, rows, context, run), sequence }
}

function embed(pass: Pass, config: DebertaConfig, input: Input): Sequence {
  const { embeddingSize: D, hiddenSize, vocabSize, typeCount, positions, positionTable, epsilon } = config
  const words = pass.embedding('word_embeddings', input.ids, vocabSize, D)
  const sequence = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: positions, table: 'word_embeddings' })
  const rows = tf.tidy(() => {
    let placed = sequence.rows
    if (positionTable) placed = add(placed, pass.embedding('position_embeddings', consecutive(input, sequence), positions, D))
    if (typeCount > 0) placed = add(placed, pass.embedding('token_type_embeddings', types(input, sequence), typeCount, D))
    const wide = D === hiddenSize ? placed : pass.linear('embed_proj', placed, hiddenSize, { bias: false })
    const normed = pass.layerNorm('LayerNorm', wide, epsilon)
    return pass.dropout('dropout', paddingBias(sequence) === undefined ? normed : timesMask(normed, sequence.mask), config.hiddenDropout)
  })
  return { ...sequence, rows }
}

/** The rows of the distances that a text of this length has, (R, D). They are of no sample of the batch. */
function distanceRows(pass: Pass, { hiddenSize, epsilon, positions }: DebertaConfig, { span, normed, ...buckets }: Distances, length: number): Tensor2D {
  const [first, last] = [1 - length, length - 1].map((distance) => bucketOf(distance, span, buckets)) as [number, number]
  const table = pass.param('rel_embeddings.weight', { shape: [2 * span, hiddenSize], init: 'normal', part: 'embedding' }) as Tensor2D
  return sharedByBatch(() => {
    const rows = lookup(table, isNoted() ? eachDistance(positions, length, (distance) => bucketOf(distance, span, buckets)) : tf.range(first, last + 1, 1, 'int32'))
    return normed ? pass.layerNorm('LayerNorm', rows, epsilon) : rows
  })
}

/** The rows of the distances from T − 1 to −T, one for each, without those that a shorter text has not left out. @param furthest of any text */
function eachDistance(furthest: number, T: number, bucket: (distance: number) => number): Tensor1D {
  const all = tf.tensor1d(Int32Array.from({ length: 2 * furthest + 1 }, (_, i) => bucket(i - furthest)), 'int32')
  return tf.gather(all, tf.range(furthest + T - 1, furthest - T - 1, -1, 'int32'))
}

type Distances = NonNullable<DebertaConfig['distances']>

/** Content to position, q_i · k(distance), and position to content, k_j · q(distance). */
function withDistances(layerPass: Pass, config: DebertaConfig, call: AttentionCall, { rows }: Shared): AttentionCall {
  const { distances, kinds, hiddenSize: D, heads, hiddenDropout } = config
  const scale = 1 / Math.sqrt((D / heads) * (1 + Number(kinds.c2p) + Number(kinds.p2c)))
  const T = call.q.shape[1]
  if (distances === undefined || rows === undefined) return { ...call, scale }
  const pass = layerPass.at('attention.self')
  const dropped = sharedByBatch(() => pass.dropout('pos_dropout', rows as Tensor2D, hiddenDropout))
  const first = bucketOf(1 - T, distances.span, distances)
  /** @param sign 1 where x is the query of a score, −1 where it is the key */
  const projected = (name: 'key' | 'query', sign: 1 | -1): Tensor2D => {
    const rowOf = (distance: number): number => bucketOf(sign * distance, distances.span, distances) - first
    const ids = Int32Array.from({ length: 2 * T }, (_, row) => rowOf(Math.max(T - 1 - row, 1 - T)))
    return sharedByBatch(() => {
      const all = distances.shareKeys ? pass.again(1).linear(`${name}_proj`, dropped, D) : pass.linear(`pos_${name}_proj`, dropped, D)
      if (isNoted()) return sign === 1 ? all : lookup(all, tf.concat([tf.range(2 * T - 2, -1, -1, 'int32'), tf.zeros([1], 'int32')]))
      return lookup(all, tf.tensor1d(ids, 'int32'))
    })
  }
  const biases = [
    ...(kinds.c2p ? [distanceScores(call.q, projected('key', 1), { scale })] : []),
    ...(kinds.p2c ? [distanceScores(call.k, projected('query', -1), { scale, keys: true })] : []),
  ]
  return biases.length === 0 ? { ...call, scale } : { ...call, scale, bias: biases.reduce((sum, each) => add<Tensor4D>(sum, each)) }
}

/** A convolution over the embeddings, beside the first layer. */
function joinConvolution(
  pass: Pass, { hiddenSize: D, hiddenDropout, epsilon }: DebertaConfig, { width, activation: name }: Convolution, x: Tensor2D, y: Tensor2D, { mask, length }: Omit<Sequence, 'rows'>,
): Tensor2D {
  const weight = pass.param('conv.weight', { shape: [D, D, width], init: 'normal', part: 'weight' }) as Tensor3D
  const bias = pass.param('conv.bias', { shape: [D], init: 'zeros', part: 'bias' }) as Tensor1D
  const convolved = convolve(x, length, weight, bias)
  const branch = activation(name, pass.dropout('dropout', timesMask(convolved, mask), hiddenDropout))
  return timesMask(pass.layerNorm('LayerNorm', y, epsilon, branch), mask)
}
