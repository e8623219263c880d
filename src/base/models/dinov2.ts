// DINOv2, without registers. Oquab et al. 2024, arXiv:2304.07193
//
// ViT with a trained factor for each column of what a branch gives, and with a gate in the feed-forward part of the largest. A class is
// read off the class token beside the mean of the patches. Positions are always interpolated to the size of the pictures.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family, Head, HeadOptions } from '../architecture.ts'
import { beside, meanTokens, tokensFrom } from '../ops/algebra.ts'
import type { Pass } from '../pass.ts'
import { takesPictures } from '../pixel-input.ts'
import type { SectionReader } from '../settings.ts'
import { features, imageEmbedding, realMask, realTokens, rowVector } from '../tasks/heads.ts'
import { preNormLayers, type PreNormConfig } from './pre-norm.ts'
import { renamedModules } from './renamed.ts'
import { readInitializerRange, readPictures } from './settings.ts'
import { ATTENTION_KEYS, embedPatches, readVitConfig } from './vit.ts'

const BACKBONE = ['_out_features', '_out_indices', 'apply_layernorm', 'reshape_hidden_states']

/** `model_type: 'dinov2'`. The masks of its pretraining are not here. */
export const dinov2: Family = { read: architecture, off: { head_dim: [], drop_path_rate: [0] }, idle: ['layerscale_value', ...BACKBONE] }

const NAMES = { attention: 'attention', attentionOutput: 'o_proj', norms: ['norm1', 'norm2'], scales: ['layer_scale1', 'layer_scale2'] } as const

function architecture(read: SectionReader, { size, layers }: Bounds): Architecture {
  const pictures = readPictures(read, size, { size: 224, patch: 14 }, { interpolatePositions: true })
  const config = readConfig(read, { size, layers })
  return {
    ...takesPictures(pictures, (pass, patches) => {
      const { rows, sequence } = preNormLayers(pass, 'encoder.layer', { config, names: NAMES }, embedPatches(pass.at('embeddings'), pictures, config, patches))
      return { rows: pass.layerNorm('layernorm', rows, config.epsilon), sequence }
    }),
    hiddenSize: config.hiddenSize,
    initializerRange: readInitializerRange(read),
    baseName: 'dinov2',
    heads: { 'feature-extraction': () => features, 'image-embedding': (options) => imageEmbedding(options), 'image-classification': classifier },
    className: 'Dinov2',
    keys: {
      ...renamedModules([...ATTENTION_KEYS, ['mlp.down_proj', 'mlp.weights_out']]),
      joined: { 'mlp.weights_in': ['mlp.gate_proj', 'mlp.up_proj'] },
      unused: read.flag('use_mask_token', true) ? ['embeddings.mask_token'] : [],
      ignored: [/^classifier\./],
    },
    ties: {},
  }
}

/** A gate takes two thirds of the width, in eights. */
function readConfig(read: SectionReader, { size, layers }: Bounds): PreNormConfig {
  const config = readVitConfig(read, { size, layers }, 1e-6)
  const gated = read.flag('use_swiglu_ffn', false)
  const ratio = read.integer('mlp_ratio', { min: 1, fallback: 4 })
  const width = config.hiddenSize * ratio
  read.check(width <= size.max, `mlp_ratio: expected at most ${size.max} columns, got ${config.hiddenSize} × ${ratio}`, ['mlp_ratio'])
  if (!gated) return { ...config, intermediateSize: width }
  return { ...config, gated, activation: 'silu', intermediateSize: Math.ceil(Math.floor((width * 2) / 3) / 8) * 8 }
}

function classifier(options: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass: Pass, encoded) => {
      const vector = options.pooling === 'mean' ? rowVector(encoded, options) : beside(rowVector(encoded, options), patchMean(encoded))
      return pass.linear('classifier', vector, options.labels, { role: 'head' })
    },
  }
}

function patchMean(encoded: Encoded): Tensor2D {
  const [tokens, mask] = [realTokens(encoded), realMask(encoded)]
  const [batch, length] = mask.shape
  return meanTokens(tokensFrom(tokens, 1), tf.slice(mask, [0, 1], [batch, length - 1]))
}
