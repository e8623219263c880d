// ViT. Dosovitskiy et al. 2021, arXiv:2010.11929
//
// A picture is cut into patches, each a row; a class token comes before them, positions are added, and layers with their norms
// first follow. A class is read off the class token.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Family, HeadOptions, Head, ReadOptions } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { add, prepend, reshape } from '../ops/algebra.ts'
import { interpolated } from '../ops/bicubic.ts'
import { lookup } from '../ops/lookup.ts'
import type { Pass } from '../pass.ts'
import { eachPlace, gridOf, pictureSequence, takesPictures, type Patches, type PictureLimits } from '../pixel-input.ts'
import type { SectionReader } from '../settings.ts'
import type { Sequence } from '../sites.ts'
import { features, imageEmbedding, rowVector } from '../tasks/heads.ts'
import { preNormLayers, type PreNormConfig } from './pre-norm.ts'
import { renamedModules } from './renamed.ts'
import { checkHeads, DROPOUT, EPSILON, readActivation, readInitializerRange, readPictures } from './settings.ts'

/** `model_type: 'vit'`. The masks of its pretraining are not here. */
export const vit: Family = { read: architecture, off: { head_dim: [] }, idle: ['encoder_stride'] }

/** The modules of an attention here and in files. */
export const ATTENTION_KEYS = [
  ['attention.q_proj', 'attention.attention.query'], ['attention.k_proj', 'attention.attention.key'], ['attention.v_proj', 'attention.attention.value'],
  ['attention.o_proj', 'attention.output.dense'],
] as const

const NAMES = { attention: 'attention', attentionOutput: 'o_proj', norms: ['layernorm_before', 'layernorm_after'] } as const

function architecture(read: SectionReader, { size, layers: count }: Bounds, asked: ReadOptions): Architecture {
  const pictures = readPictures(read, size, { size: 224, patch: 16 }, asked)
  const config = { ...readVitConfig(read, { size, layers: count }, 1e-12), intermediateSize: read.integer('intermediate_size', size) }
  const { hiddenSize } = config
  const pooler = { size: read.integer('pooler_output_size', { ...size, fallback: hiddenSize }), activation: readActivation(read, 'pooler_act', 'tanh') }
  return {
    ...takesPictures(pictures, (pass, patches) => {
      const { rows, sequence } = preNormLayers(pass, 'layers', { config, names: NAMES }, embedPatches(pass.at('embeddings'), pictures, config, patches))
      return { rows: pass.layerNorm('layernorm', rows, config.epsilon), sequence }
    }),
    hiddenSize,
    initializerRange: readInitializerRange(read),
    baseName: 'vit',
    heads: {
      'feature-extraction': () => features,
      'image-embedding': (options) => ({
        ...imageEmbedding(options, (pass, first) => activation(pooler.activation, pass.linear('pooler.dense', first, pooler.size))),
        ...(options.pooling === 'pooler' ? { width: pooler.size } : {}),
      }),
      'image-classification': firstRowClassifier,
    },
    className: 'ViT',
    keys: {
      ...renamedModules([['layers', 'encoder.layer'], ...ATTENTION_KEYS, ['mlp.fc1', 'intermediate.dense'], ['mlp.fc2', 'output.dense']]),
      unused: ['pooler'],
      unusedProducts: { 'pooler.dense': pooler.size },
      ignored: [/^classifier\./, /^decoder\./, /embeddings\.mask_token$/],
    },
    ties: {},
  }
}

/** Settings of ViT's kind of encoder; the width of the feed-forward part is told by each family in its own way. */
export function readVitConfig(read: SectionReader, { size, layers }: Bounds, epsilon: number): Omit<PreNormConfig, 'intermediateSize'> {
  const [hiddenSize, heads] = [read.integer('hidden_size', size), read.integer('num_attention_heads', size)]
  checkHeads(read, { hidden_size: hiddenSize, num_attention_heads: heads })
  return {
    hiddenSize,
    heads,
    layers: read.integer('num_hidden_layers', layers),
    activation: readActivation(read, 'hidden_act', 'gelu'),
    epsilon: read.number('layer_norm_eps', { ...EPSILON, fallback: epsilon }),
    hiddenDropout: read.number('hidden_dropout_prob', { ...DROPOUT, fallback: 0 }),
    attentionDropout: read.number('attention_probs_dropout_prob', { ...DROPOUT, fallback: 0 }),
    biased: read.flag('qkv_bias', true),
  }
}

/** A class token and patches with their positions; rows that a method puts before them have none. Jia et al. 2022, arXiv:2203.12119 */
export function embedPatches(
  pass: Pass, limits: PictureLimits, { hiddenSize: D, hiddenDropout }: Pick<PreNormConfig, 'hiddenSize' | 'hiddenDropout'>, { rows, kernel, grid, batch: B }: Patches,
): Sequence {
  const from = gridOf(limits, limits.size)
  const patches = pass.linear('patch_embeddings.projection', rows, D, { kernel })
  const placed = tf.tidy(() => {
    const first = reshape<Rank.R2>(pass.param('cls_token', { shape: [1, 1, D], init: 'normal', part: 'embedding' }), [1, D])
    const all = prepend(first, reshape<Rank.R3>(patches, [B, grid[0] * grid[1], D]))
    const count = 1 + from[0] * from[1]
    const table = reshape<Rank.R2>(pass.param('position_embeddings', { shape: [1, count, D], init: 'normal', part: 'embedding' }), [count, D])
    const positions = lookup(interpolated(table, { lead: 1, from, to: grid }), eachPlace(B, all.shape[1]))
    return pass.dropout('dropout', add(reshape<Rank.R2>(all, positions.shape), positions), hiddenDropout)
  })
  return pass.sequence('tokens', pictureSequence(placed, B), { maxLength: Infinity })
}

function firstRowClassifier(options: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass: Pass, encoded) => pass.linear('classifier', rowVector(encoded, options), options.labels, { role: 'head' }),
  }
}
