// Tiny model families that take more than token ids, written as a family's file is: a classifier of pictures, one of a picture with a
// text, and an encoder-decoder.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Architecture, Encoded, Head, HeadOptions } from '../../src/base/architecture.ts'
import { strangers, type Batch } from '../../src/base/batch.ts'
import { modelOf } from '../../src/base/checkpoint/create.ts'
import type { Model } from '../../src/base/model.ts'
import { activation } from '../../src/base/ops/activation.ts'
import { add, meanTokens, reshape } from '../../src/base/ops/algebra.ts'
import type { Pass } from '../../src/base/pass.ts'
import type { Sequence } from '../../src/base/sites.ts'
import { eachToken, paddingBias, realMask, realTokens, textPositions } from '../../src/base/tasks/heads.ts'
import type { Task } from '../../src/base/tasks/task.ts'
import { takesTokens, takesTwoTexts, tokenProblems, toInput, type Input, type Limits, type Seen } from '../../src/base/token-input.ts'

const [D, HEADS, LAYERS, WORDS, POSITIONS] = [8, 2, 2, 20, 6]
/** Pictures of 3 × 4 × 4 numbers, in patches of 3 × 2 × 2. */
const [SIDE, PATCH] = [4, 2]
export const PIXELS: number = 3 * SIDE * SIDE
const TEXT: Limits = { vocabSize: WORDS, maxLength: POSITIONS }

function attention(pass: Pass, x: Tensor2D, { batch: B, length: T, ...sequence }: Encoded['sequence'], causal: boolean, seen?: Seen): Tensor2D {
  const split = (y: Tensor2D, length: number): Tensor4D => reshape<Rank.R4>(y, [B, length, HEADS, D / HEADS])
  const { rows: keys, length: K, keyBias } = seen ?? { rows: x, length: T, keyBias: paddingBias({ batch: B, length: T, ...sequence }) }
  const q = split(pass.linear('q', x, D, { role: 'query' }), T)
  const project = (p: Pass): readonly [Tensor4D, Tensor4D] =>
    [split(p.linear('k', keys, D, { role: 'key' }), K), split(p.linear('v', keys, D, { role: 'value' }), K)]
  const [k, v] = seen === undefined ? project(pass) : pass.once('keys', project)
  const own = seen === undefined ? { bias: distances(T, sequence.mask.shape[1]), sinks: pass.param('sinks', { shape: [HEADS], init: 'normal', part: 'weight' }) as Tensor1D } : {}
  const call = { q, k, v, scale: 1 / Math.sqrt(D / HEADS), keyBias, causal, ...own }
  const mixed = pass.attention('mix', call, { cross: seen !== undefined })
  return pass.linear('o', reshape<Rank.R2>(mixed, [B * T, D]), D, { role: 'attention-output' })
}

/** What ALiBi adds to scores, (1, heads, T, K): queries are the last of the keys. */
function distances(T: number, K: number): Tensor4D {
  const slopes = tf.reshape(tf.pow(2, tf.range(-1, -1 - HEADS, -1)), [1, HEADS, 1, 1])
  return tf.mul(slopes, tf.neg(tf.abs(tf.sub(tf.reshape(tf.range(K - T, K), [T, 1]), tf.range(0, K)))))
}

function stack(pass: Pass, { rows, ...sequence }: Sequence, causal = false, seen?: Seen): Encoded {
  const layer = (p: Pass, x: Tensor2D): Tensor2D => {
    const join = { preNorm: 'norm1', epsilon: 1e-5 } as const
    const own = p.residual('self', x, { ...join, part: 'attention' }, (h) => attention(p.at('self'), h, sequence, causal))
    const crossed = seen === undefined ? own
      : p.residual('cross', own, { ...join, part: 'cross-attention', preNorm: 'norm2' }, (h) => attention(p.at('cross'), h, sequence, false, seen))
    return p.residual('mlp', crossed, { ...join, part: 'feed-forward', preNorm: 'norm3' }, (h) =>
      p.linear('down', activation('gelu', p.linear('up', h, 2 * D, { role: 'up' })), D, { role: 'down' }))
  }
  return { rows: pass.layers('layers', LAYERS, rows, { sequence, seen }, layer), sequence }
}

function text(pass: Pass, input: Input, causal = false, seen?: Seen): Encoded {
  const words = pass.embedding('words', input.ids, WORDS, D)
  const begun = pass.sequence('tokens', { ...input, rows: words, virtual: 0, offset: 0 }, { maxLength: POSITIONS, table: 'words' })
  const rows = add(begun.rows, pass.embedding('positions', textPositions(begun), POSITIONS, D))
  return stack(pass, { ...begun, rows }, causal, seen)
}

function vision(pass: Pass, { pixels = new Float32Array(), batch: B }: Batch): Encoded {
  const side = SIDE / PATCH
  const cut = tf.transpose(tf.reshape(tf.tensor(pixels), [B, 3, side, PATCH, side, PATCH]), [0, 2, 4, 1, 3, 5])
  const patches = tf.reshape<Rank.R2>(cut, [B * side * side, 3 * PATCH * PATCH])
  const length = side * side
  const rows = pass.linear('patches', patches, D)
  return stack(pass, pass.sequence('rows', { rows, batch: B, length, mask: tf.ones([B, length]), lengths: new Array<number>(B).fill(length), virtual: 0, offset: 0 }, { maxLength: 2 * length }))
}

function pixelProblems({ pixels, batch }: Batch): string[] {
  if (pixels?.length === batch * PIXELS) return []
  return [`pixels: expected ${batch} × 3 × ${SIDE} × ${SIDE} = ${batch * PIXELS} numbers, got ${pixels?.length ?? 'none'}`]
}

const vector = (encoded: Encoded): Tensor2D => meanTokens(realTokens(encoded), realMask(encoded))

/** Of the mean over all towers. */
function classifier({ labels }: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass, encoded) => {
      const all = [encoded, ...Object.values(encoded.towers ?? {})].map(vector)
      return pass.linear('classifier', all.reduce((a, b) => add(a, b)), labels, { role: 'head' })
    },
  }
}

function tagger({ labels }: HeadOptions): Head {
  return { modules: ['tagger'], run: (pass, encoded) => eachToken(encoded, (rows) => pass.linear('tagger', rows, labels, { role: 'head' })) }
}

const COMMON = {
  hiddenSize: D, initializerRange: 0.4, baseName: 'base', className: 'Tiny', keys: { rename: [], unused: [], ignored: [] }, ties: {},
  heads: { 'sequence-classification': classifier },
} as const

const pictures: Architecture = {
  ...COMMON,
  example: () => ({ pixels: new Float32Array(PIXELS), batch: 1, length: 0 }),
  check: (batch) => [...pixelProblems(batch), ...strangers(batch, ['pixels'])],
  encode: (pass, batch) => vision(pass.at('vision', { tower: 'vision' }), batch),
}

const pairs: Architecture = {
  ...COMMON,
  text: TEXT,
  example: () => ({ ids: new Int32Array(2), pixels: new Float32Array(PIXELS), batch: 1, length: 2 }),
  check: (batch, limits = TEXT) => [...tokenProblems(batch, limits), ...pixelProblems(batch), ...strangers(batch, ['ids', 'mask', 'pixels'])],
  encode: (pass, batch) => ({
    ...text(pass.at('text', { tower: 'text' }), toInput(batch)),
    towers: { vision: vision(pass.at('vision', { tower: 'vision' }), batch) },
  }),
}

const translator: Architecture = {
  ...COMMON,
  ...takesTwoTexts(TEXT, 0, {
    encoder: (pass, input) => text(pass.at('encoder', { tower: 'encoder' }), input),
    decoder: (pass, input, seen) => text(pass.at('decoder', { tower: 'decoder' }), input, true, seen),
  }),
  heads: { 'token-classification': tagger },
}

const FAMILIES: Readonly<Record<string, readonly [Architecture, Task]>> = {
  pictures: [pictures, 'sequence-classification'], pairs: [pairs, 'sequence-classification'], translator: [translator, 'token-classification'],
}

/** A model of one of these families. @param family its name */
export function tinyTowers(family: string): Model {
  const [architecture, task] = FAMILIES[family] as readonly [Architecture, Task]
  return modelOf(architecture, { model_type: family }, { task, labels: ['a', 'b', 'c'], seed: 1 })
}

/** Of an architecture of text alone, to be compared with. */
export const TEXT_ALONE: Pick<Architecture, 'check'> = takesTokens(TEXT, text)
