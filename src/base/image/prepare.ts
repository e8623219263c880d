// From a picture's pixels to the numbers that a model takes, in the steps of transformers' image processors.

import { InputError } from '../../errors.ts'
import { resample, type Kernel, type Raster, type Size } from './resample.ts'

/** What is done with a picture, in this order; what is not there is not done. */
export interface ImageSettings {
  /** 1 for grey, 3 for RGB. */
  readonly channels: 1 | 3
  readonly resize?: { readonly size: Size | Edges; readonly kernel: Kernel }
  /** The middle of the picture, which stands in black where it is smaller. */
  readonly crop?: Size
  /** Factor on pixels of 0 to 255. */
  readonly rescale?: number
  readonly normalize?: { readonly mean: readonly number[]; readonly std: readonly number[] }
}

/** The picture keeps its shape: the shorter side becomes so long, unless the longer one would be too long then. */
export interface Edges {
  readonly shortest: number
  readonly longest?: number
}

/** A picture as a model takes it: channels × height × width. */
export interface PreparedPicture extends Size {
  readonly pixels: Float32Array
}

/** @throws InputError where it would become larger than `maxPixels` */
export function pixelsOf(picture: Raster, settings: ImageSettings, maxPixels: number): PreparedPicture {
  const { channels, resize, crop } = settings
  const colours = channels === 1 ? greyOf(picture) : picture
  const size = resize === undefined ? colours : sizeOf(colours, resize.size)
  for (const { width, height } of [size, crop ?? size]) {
    if (width * height > maxPixels) throw new InputError(`would have ${width} × ${height} pixels for the model, and maxPixels is ${maxPixels}`)
  }
  const resized = resize === undefined ? colours : resample(colours, { height: size.height, width: size.width }, resize.kernel)
  return numbersOf(resized, crop ?? resized, valuesOf(settings))
}

/** The size that a picture is brought to. */
export function sizeOf(picture: Size, size: Size | Edges): Size {
  if ('height' in size) return size
  const [short, long] = picture.width <= picture.height ? [picture.width, picture.height] : [picture.height, picture.width]
  const longer = (shortest: number): number => Math.max(1, Math.trunc((shortest * long) / short))
  const [shorter, other] = size.longest !== undefined && (long / short) * size.shortest > size.longest ? withinLongest(size.longest, short, long) : [size.shortest, longer(size.shortest)]
  return picture.width <= picture.height ? { width: shorter, height: other } : { width: other, height: shorter }
}

/** Both sides, where the longer one decides. */
function withinLongest(longest: number, short: number, long: number): readonly [number, number] {
  const exact = (longest * short) / long
  const shorter = roundHalfEven(exact)
  return shorter === short ? [short, long] : [Math.max(1, shorter), Math.max(1, Math.trunc((exact * long) / short))]
}

/** As Python rounds. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value)
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

/** Pillow's luma, ITU-R 601 in 16 binary places. */
function greyOf({ data, width, height, channels }: Raster): Raster {
  const grey = new Uint8Array(width * height)
  for (let pixel = 0; pixel < grey.length; pixel++) {
    const at = pixel * channels
    grey[pixel] = ((data[at] as number) * 19595 + (data[at + 1] as number) * 38470 + (data[at + 2] as number) * 7471 + 0x8000) >> 16
  }
  return { data: grey, width, height, channels: 1 }
}

/** What each of 256 values becomes, by channel: rounded at the same places as in transformers. */
function valuesOf({ channels, rescale, normalize }: ImageSettings): readonly Float32Array[] {
  return Array.from({ length: channels }, (_, c) => Float32Array.from({ length: 256 }, (__, value) => {
    const scaled = Math.fround(rescale === undefined ? value : value * rescale)
    if (normalize === undefined) return scaled
    return Math.fround(scaled - Math.fround(normalize.mean[c] as number)) / Math.fround(normalize.std[c] as number)
  }))
}

/** The middle of the picture, channel by channel. */
function numbersOf({ data, width, height, channels }: Raster, crop: Size, values: readonly Float32Array[]): PreparedPicture {
  const top = cropBegin(height, crop.height)
  const left = cropBegin(width, crop.width)
  const pixels = new Float32Array(channels * crop.height * crop.width)
  let at = 0
  for (const [c, table] of values.entries()) {
    for (let y = top; y < top + crop.height; y++) {
      for (let x = left; x < left + crop.width; x++) {
        const isInside = y >= 0 && y < height && x >= 0 && x < width
        pixels[at++] = table[isInside ? (data[(y * width + x) * channels + c] as number) : 0] as number
      }
    }
  }
  return { pixels, height: crop.height, width: crop.width }
}

/** Where the middle begins; before the picture where it is smaller. */
function cropBegin(length: number, crop: number): number {
  return Math.floor((length - crop) / 2)
}
