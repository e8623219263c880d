// CLIP. Radford et al. 2021, arXiv:2103.00020
//
// Two towers, of pictures and of texts. Each gives a vector; the products of the two, times a trained factor, say how well a picture and a
// text fit. A text is read off its end token, a picture off its class token.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D } from '@tensorflow/tfjs-core'
import type { Architecture, Bounds, Encoded, Family, Head, ReadOptions } from '../architecture.ts'
import type { Batch } from '../batch.ts'
import { add, prepend, reshape, tokenAt } from '../ops/algebra.ts'
import { interpolated } from '../ops/bicubic.ts'
import { lookup } from '../ops/lookup.ts'
import { unitRows } from '../ops/unit-rows.ts'
import type { Pass } from '../pass.ts'
import { eachPlace, gridOf, pictureSequence, type Patches, type PictureLimits } from '../pixel-input.ts'
import type { SectionReader } from '../settings.ts'
import type { Input } from '../token-input.ts'
import { realTokens, tokenWhere } from '../tasks/heads.ts'
import { joins, timesExp } from '../tasks/image-text.ts'
import { consecutive } from './bert.ts'
import { preNormLayers, type PreNormConfig } from './pre-norm.ts'
import { checkHeads, DROPOUT, EPSILON, readActivation, readPictures } from './settings.ts'
import { takesPicturesAndTexts } from '../two-towers.ts'

/** `model_type: 'clip'`. */
export const clip: Family = { read: architecture, off: {}, idle: ['initializer_factor'] }

export const CLIP_NAMES = { attention: 'self_attn', attentionOutput: 'out_proj', norms: ['layer_norm1', 'layer_norm2'] } as const

export interface TextTower extends PreNormConfig {
  readonly vocabSize: number
  readonly positions: number
  readonly end: number
}

export interface VisionTower extends PreNormConfig {
  readonly pictures: PictureLimits
}

function architecture(read: SectionReader, bounds: Bounds, asked: ReadOptions): Architecture {
  const [textSettings, visionSettings] = [sectionOf(read, 'text_config'), sectionOf(read, 'vision_config')]
  const text = readTextTower(textSettings, bounds, USUAL_TEXT)
  const vision = { ...readTower(visionSettings, bounds, USUAL_VISION), pictures: readPictures(visionSettings, bounds.size, { size: 224, patch: 32 }, asked) }
  const width = read.integer('projection_dim', { ...bounds.size, fallback: 512 })
  const scale = read.number('logit_scale_init_value', { fallback: 2.6592 })
  return {
    ...takesPicturesAndTexts({ vocabSize: text.vocabSize, maxLength: text.positions }, vision.pictures, {
      text: (pass, input) => encodeText(pass.at('text_model', { tower: 'text' }), text, input, true),
      vision: (pass, patches) => encodePicture(pass.at('vision_model', { tower: 'vision' }), vision, patches),
    }),
    hiddenSize: vision.hiddenSize,
    initializerRange: 0.02,
    baseName: 'clip',
    heads: { 'image-text': () => head({ text, vision, width, scale }) },
    className: 'CLIP',
    keys: { rename: [], unused: [], ignored: [/position_ids$/] },
    ties: {},
  }
}

const USUAL_TEXT = { hiddenSize: 512, heads: 8, intermediateSize: 2048, activation: 'quick_gelu', epsilon: 1e-5, words: 49408, positions: 77 } as const
const USUAL_VISION = { hiddenSize: 768, heads: 12, intermediateSize: 3072, activation: 'quick_gelu', epsilon: 1e-5 } as const

/** Older files have the settings once more under another name, which then count. */
function sectionOf(read: SectionReader, key: string): SectionReader {
  return read.section(read.has(`${key}_dict`) ? `${key}_dict` : key)
}

type Usual = Pick<PreNormConfig, 'hiddenSize' | 'heads' | 'intermediateSize' | 'activation' | 'epsilon'>

export function readTower(read: SectionReader, { size, layers }: Bounds, usual: Usual): PreNormConfig {
  const hiddenSize = read.integer('hidden_size', { ...size, fallback: usual.hiddenSize })
  const heads = read.integer('num_attention_heads', { ...size, fallback: usual.heads })
  checkHeads(read, { hidden_size: hiddenSize, num_attention_heads: heads })
  return {
    hiddenSize,
    heads,
    layers: read.integer('num_hidden_layers', { ...layers, fallback: 12 }),
    intermediateSize: read.integer('intermediate_size', { ...size, fallback: usual.intermediateSize }),
    activation: readActivation(read, 'hidden_act', usual.activation),
    epsilon: read.number('layer_norm_eps', { ...EPSILON, fallback: usual.epsilon }),
    hiddenDropout: 0,
    attentionDropout: read.number('attention_dropout', { ...DROPOUT, fallback: 0 }),
    biased: true,
  }
}

export function readTextTower(read: SectionReader, bounds: Bounds, usual: Usual & { readonly words: number; readonly positions: number }): TextTower {
  return {
    ...readTower(read, bounds, usual),
    vocabSize: read.integer('vocab_size', { ...bounds.size, fallback: usual.words }),
    positions: read.integer('max_position_embeddings', { ...bounds.size, fallback: usual.positions }),
    end: read.integer('eos_token_id', { fallback: 49407 }),
  }
}

export function encodeText(pass: Pass, config: TextTower, input: Input, causal: boolean): Encoded {
  const { hiddenSize: D, vocabSize, positions } = config
  const own = pass.at('embeddings')
  const words = own.embedding('token_embedding', input.ids, vocabSize, D)
  const begun = own.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: positions, table: 'token_embedding' })
  const rows = add(begun.rows, own.embedding('position_embedding', consecutive(input, begun), positions, D))
  const { rows: encoded, sequence } = preNormLayers(pass, 'encoder.layers', { config, names: CLIP_NAMES, causal }, { ...begun, rows })
  return { rows: pass.layerNorm('final_layer_norm', encoded, config.epsilon), sequence }
}

function encodePicture(pass: Pass, config: VisionTower, { rows, kernel, grid, batch: B }: Patches): Encoded {
  const { hiddenSize: D, epsilon } = config
  const own = pass.at('embeddings')
  const patches = own.linear('patch_embedding', rows, D, { kernel, bias: false })
  const first = reshape<Rank.R2>(own.param('class_embedding', { shape: [D], init: 'normal', part: 'embedding' }), [1, D])
  const all = prepend(first, reshape<Rank.R3>(patches, [B, grid[0] * grid[1], D]))
  const placed = add(reshape<Rank.R2>(all, [B * all.shape[1], D]), picturePositions(own, config, { lead: 1, grid, batch: B }))
  const begun = own.sequence('tokens', pictureSequence(placed, B), { maxLength: Infinity })
  return preNormLayers(pass, 'encoder.layers', { config, names: CLIP_NAMES }, { ...begun, rows: pass.layerNorm('pre_layrnorm', begun.rows, epsilon) })
}

/** The rows of the table of positions for each picture. */
export function picturePositions(
  pass: Pass, { hiddenSize: D, pictures }: VisionTower, { lead, grid, batch }: { readonly lead: number; readonly batch: number } & Pick<Patches, 'grid'>,
): Tensor2D {
  const from = gridOf(pictures, pictures.size)
  const count = lead + from[0] * from[1]
  if (from.join() === grid.join()) return pass.embedding('position_embedding', eachPlace(batch, count), count, D)
  const table = pass.param('position_embedding.weight', { shape: [count, D], init: 'normal', part: 'embedding' }) as Tensor2D
  return lookup(interpolated(table, { lead, from, to: grid }), eachPlace(batch, lead + grid[0] * grid[1]))
}

interface Pairing {
  readonly text: TextTower
  readonly vision: VisionTower
  readonly width: number
  readonly scale: number
}

/** Of pictures with texts their vectors, the pictures' times the factor; of either alone what it becomes. */
function head({ text, vision, width, scale }: Pairing): Head {
  const image = (pass: Pass, encoded: Encoded): Tensor2D => {
    const first = pass.at('vision_model', { tower: 'vision' }).layerNorm('post_layernorm', tokenAt(realTokens(encoded), 0), vision.epsilon)
    return pass.linear('visual_projection', first, width, { bias: false, role: 'head' })
  }
  const caption = (pass: Pass, encoded: Encoded, batch: Batch): Tensor2D =>
    pass.linear('text_projection', endToken(encoded, batch, text.end), width, { bias: false, role: 'head' })
  return {
    modules: [],
    width,
    ...joins({
      image, caption,
      fit: (pass, images, texts) => [timesExp(unitRows(images), pass.param('logit_scale', { shape: [], init: scale, part: 'weight' })), unitRows(texts)],
    }),
  }
}

/** The row of the end token of each text; of the highest id where settings of the first checkpoints say 2, as in transformers. */
function endToken(encoded: Encoded, { ids = new Int32Array(), batch: B, length: T }: Batch, end: number): Tensor2D {
  const words = tf.tensor2d(ids, [B, T], 'int32')
  const ends = tf.equal<Tensor2D>(words, end === 2 ? tf.max(words, 1, true) : tf.scalar(end, 'int32'))
  return tokenWhere(realTokens(encoded), tf.cast(ends, 'float32'), 'first')
}
