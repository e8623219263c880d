// SigLIP. Zhai et al. 2023, arXiv:2303.15343
//
// CLIP's two towers, of which each pair of a picture and a text is judged by itself: the loss is a sigmoid's. Texts see both sides and are read
// off their last row; a picture has no class token, and a trained probe attends to its patches.

import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family, Head, ReadOptions } from '../architecture.ts'
import { add, reshape, tokenAt } from '../ops/algebra.ts'
import { columnsOf } from '../ops/columns.ts'
import { linear } from '../ops/linear.ts'
import { lookup } from '../ops/lookup.ts'
import { unitRows } from '../ops/unit-rows.ts'
import type { Pass } from '../pass.ts'
import { pictureSequence, type Patches } from '../pixel-input.ts'
import type { SectionReader } from '../settings.ts'
import { realTokens } from '../tasks/heads.ts'
import { joins, sigmoidPairs, timesExp, withColumn } from '../tasks/image-text.ts'
import { takesPicturesAndTexts } from '../two-towers.ts'
import { CLIP_NAMES, encodeText, picturePositions, readTextTower, readTower, type VisionTower } from './clip.ts'
import { feedForward, preNormLayers } from './pre-norm.ts'
import { readPictures } from './settings.ts'

/** `model_type: 'siglip'`. */
export const siglip: Family = { read: architecture, off: {}, idle: ['initializer_factor'] }

const USUAL = { hiddenSize: 768, heads: 12, intermediateSize: 3072, activation: 'gelu_pytorch_tanh', epsilon: 1e-6 } as const

function architecture(read: SectionReader, bounds: Bounds, asked: ReadOptions): Architecture {
  const [textSettings, visionSettings] = [read.section('text_config'), read.section('vision_config')]
  visionSettings.off('vision_use_head', [true])
  const text = readTextTower(textSettings, bounds, { ...USUAL, words: 32000, positions: 64 })
  const vision = { ...readTower(visionSettings, bounds, USUAL), pictures: readPictures(visionSettings, bounds.size, { size: 224, patch: 16 }, asked) }
  const width = textSettings.integer('projection_size', { ...bounds.size, fallback: text.hiddenSize })
  read.check(width === vision.hiddenSize, `text_config.projection_size: expected hidden_size of vision_config (${vision.hiddenSize}), got ${width}`)
  return {
    ...takesPicturesAndTexts({ vocabSize: text.vocabSize, maxLength: text.positions, filled: true }, vision.pictures, {
      text: (pass, input) => encodeText(pass.at('text_model', { tower: 'text' }), text, input, false),
      vision: (pass, patches) => encodePicture(pass.at('vision_model', { tower: 'vision' }), vision, patches),
    }),
    hiddenSize: vision.hiddenSize,
    initializerRange: 0.02,
    baseName: 'siglip',
    heads: { 'image-text': () => head(vision, width) },
    className: 'Siglip',
    keys: { rename: [], unused: [], ignored: [/position_ids$/] },
    ties: {},
  }
}

function encodePicture(pass: Pass, config: VisionTower, { rows, kernel, grid, batch }: Patches): Encoded {
  const own = pass.at('embeddings')
  const patches = own.linear('patch_embedding', rows, config.hiddenSize, { kernel })
  const begun = own.sequence('tokens', pictureSequence(add(patches, picturePositions(own, config, { lead: 0, grid, batch })), batch), { maxLength: Infinity })
  const { rows: encoded, sequence } = preNormLayers(pass, 'encoder.layers', { config, names: CLIP_NAMES }, begun)
  return { rows: pass.layerNorm('post_layernorm', encoded, config.epsilon), sequence }
}

/** One row for each picture: what a probe finds among its patches, and a feed-forward part. Lee et al. 2019, arXiv:1810.00825 */
function pooled(pass: Pass, config: VisionTower, encoded: Encoded): Tensor2D {
  const { hiddenSize: D, heads: H, epsilon } = config
  const tokens = realTokens(encoded)
  const [B, T] = tokens.shape
  const probe = lookup(reshape<Rank.R2>(pass.param('probe', { shape: [1, 1, D], init: 'normal', part: 'embedding' }), [1, D]), tf.zeros([B], 'int32'))
  const weight = pass.param('attention.in_proj_weight', { shape: [3 * D, D], init: 'normal', part: 'weight' }) as Tensor2D
  const bias = pass.param('attention.in_proj_bias', { shape: [3 * D], init: 'zeros', part: 'bias' }) as Tensor1D
  const split = (rows: Tensor2D, length: number): Tensor4D => reshape<Rank.R4>(rows, [B, length, H, D / H])
  const [query] = columnsOf(linear(probe, weight, bias), [D, 2 * D])
  const [, key, value] = columnsOf(linear(reshape<Rank.R2>(tokens, [B * T, D]), weight, bias), [D, D, D])
  const call = { q: split(query, 1), k: split(key, T), v: split(value, T), scale: 1 / Math.sqrt(D / H), keyBias: undefined, causal: false }
  const mixed = reshape<Rank.R2>(pass.attention('attention', call, { cross: true }), [B, D])
  const found = pass.linear('attention.out_proj', mixed, D, { role: 'head' }) // not among all-linear: torch passes over a LoRA of PEFT's there
  return pass.residual('mlp', found, { part: 'feed-forward', preNorm: 'layernorm', epsilon }, (h) => feedForward(pass.at('mlp'), config, h))
}

/** As CLIP's, with a number that is added to each product: a column of it beside a column of ones. */
function head(config: VisionTower, width: number): Head {
  const image = (pass: Pass, encoded: Encoded): Tensor2D => pooled(pass.at('vision_model', { tower: 'vision' }).at('head'), config, encoded)
  const caption = (pass: Pass, encoded: Encoded): Tensor2D => {
    const tokens = realTokens(encoded)
    return pass.at('text_model', { tower: 'text' }).linear('head', tokenAt(tokens, tokens.shape[1] - 1), width, { role: 'head' })
  }
  return {
    modules: [],
    loss: sigmoidPairs,
    width,
    ...joins({
      image, caption,
      fit: (pass, images, texts) => {
        const [factor, bias] = [pass.param('logit_scale', { shape: [1], init: Math.log(10), part: 'weight' }), pass.param('logit_bias', { shape: [1], init: -10, part: 'weight' })]
        return [withColumn(timesExp(unitRows(images), factor), bias), withColumn(unitRows(texts), tf.ones([1]))]
      },
    }),
  }
}
