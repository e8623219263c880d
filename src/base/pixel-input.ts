// What the families of pictures have in common: their limits, what is wrong with a batch, and its patches.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { shown } from '../errors.ts'
import type { Architecture, Encoded } from './architecture.ts'
import { strangers, type Batch } from './batch.ts'
import type { Grid } from './ops/bicubic.ts'
import type { Pass } from './pass.ts'
import type { Kernel, Sequence } from './sites.ts'

/** Height and width. */
export type Size = readonly [height: number, width: number]

/** What pictures must keep to. */
export interface PictureLimits {
  readonly channels: number
  /** That the table of positions is for. */
  readonly size: Size
  /** Of a patch. */
  readonly patch: Size
  /** Other sizes are taken too: the table is interpolated. */
  readonly interpolates: boolean
}

/** The pictures of a batch, cut into patches from left to right and from top to bottom. */
export interface Patches {
  /** One a row, (B·N, channels · height · width); what is left over at the right and at the bottom is not among them. */
  readonly rows: Tensor2D
  readonly kernel: Kernel
  readonly grid: Grid
  readonly batch: number
}

/** The part of an architecture that says that it takes pictures, and what it makes of them. */
export function takesPictures(
  pictures: PictureLimits, encode: (pass: Pass, patches: Patches) => Encoded,
): Pick<Architecture, 'pictures' | 'example' | 'check' | 'encode'> {
  return {
    pictures,
    example: () => ({ pixels: new Float32Array(numbersOf(pictures, pictures.size)), batch: 1, length: 0 }),
    check: (batch) => [...pictureProblems(batch, pictures), ...strangers(batch, ['pixels'])],
    encode: (pass, batch) => encode(pass, patchesOf(batch, pictures)),
  }
}

/** How a table of positions is laid out. */
export function gridOf({ patch: [height, width] }: Pick<PictureLimits, 'patch'>, [H, W]: Size): Grid {
  return [Math.floor(H / height), Math.floor(W / width)]
}

/** Call inside a tidy. */
export function patchesOf(batch: Batch, limits: PictureLimits): Patches {
  const { pixels = new Float32Array(), batch: B } = batch
  const { channels: C, patch: [height, width] } = limits
  const [H, W] = sizeOf(batch, limits) ?? limits.size
  const [rows, columns] = gridOf(limits, [H, W])
  const whole = tf.slice(tf.tensor4d(pixels, [B, C, H, W]), [0, 0, 0, 0], [B, C, rows * height, columns * width])
  const cut = tf.transpose(tf.reshape(whole, [B, C, rows, height, columns, width]), [0, 2, 4, 1, 3, 5])
  return { rows: tf.reshape<Rank.R2>(cut, [B * rows * columns, C * height * width]), kernel: [C, height, width], grid: [rows, columns], batch: B }
}

/** Rows of a picture as a sequence. */
export function pictureSequence(rows: Tensor2D, batch: number): Sequence {
  const length = rows.shape[0] / batch
  return { rows, batch, length, mask: tf.ones([batch, length]), lengths: new Array<number>(batch).fill(length), virtual: 0, offset: 0 }
}

/** The rows 0, 1 … of a table for each picture, (B·count). */
export function eachPlace(batch: number, count: number): Tensor1D {
  return tf.tile(tf.range(0, count, 1, 'int32'), [batch])
}

/** Everything that is wrong with the pictures of a batch. */
export function pictureProblems(batch: Batch, limits: PictureLimits): string[] {
  const { pixels, batch: B } = batch
  const { size: [H, W], channels, interpolates, patch } = limits
  const given: unknown = pixels
  if (!Number.isSafeInteger(B) || B < 1) return [`expected at least one picture; got batch ${shown(B)}`]
  if (!(given instanceof Float32Array)) return [`pixels: expected a Float32Array, got ${shown(given)}`]
  const size = sizeOf(batch, limits)
  const fits = size !== undefined && given.length === B * numbersOf(limits, size)
  const isSize = size !== undefined && (size.join() === [H, W].join() || (interpolates && gridOf(limits, size).every((count) => count >= 1)))
  if (!fits || !isSize) {
    const said = size === undefined || size.join() === [H, W].join() ? '' : `, of pictures of ${size.join(' × ')}`
    const way = interpolates
      ? `; pictures of another size that is not a square go with their height and width, at least ${patch.join(' × ')} each`
      : given.length % (B * channels) === 0 ? `; resize the pictures to ${H} × ${W}, or load the model with { interpolatePositions: true }` : ''
    return [`pixels: expected ${B} × ${channels} × ${H} × ${W} = ${B * channels * H * W} numbers, got ${given.length}${said}${way}`]
  }
  const wrong = given.findIndex((value) => !Number.isFinite(value))
  return wrong === -1 ? [] : [`pixels: expected finite numbers, got ${shown(given[wrong])} at ${wrong}`]
}

/** Of the pictures of a batch: as it says, else as the model's, else a square; undefined where they are none of these. */
function sizeOf({ pixels, batch, height, width }: Batch, limits: PictureLimits): Size | undefined {
  if (height !== undefined && width !== undefined) return [height, width]
  const area = (pixels?.length ?? 0) / batch / limits.channels
  if (area === limits.size[0] * limits.size[1]) return limits.size
  const side = Math.sqrt(area)
  return Number.isInteger(side) ? [side, side] : undefined
}

function numbersOf({ channels }: PictureLimits, [height, width]: Size): number {
  return channels * height * width
}
