// From a picture in a file to its RGB pixels, those that Pillow's `exif_transpose` and `convert('RGB')` give. It runs in a thread of its own
// (image-worker.ts).

import { open } from 'node:fs/promises'
import { isPointer, POINTER } from '../files/git-lfs.ts'
import { InputError } from '../../errors.ts'
import type { PictureSource, RawPicture } from './picture.ts'
import type { Raster } from './resample.ts'

/** The first bytes of the kinds of files that are read; others, which sharp also knows, may be programs (SVG). */
const KINDS: Readonly<Record<string, RegExp>> = { JPEG: /^\xff\xd8\xff/, PNG: /^\x89PNG/, WebP: /^RIFF....WEBP/s }

/**
 * The pixels of a picture, in three channels, upright.
 *
 * @param maxPixels width × height that it may have
 * @throws InputError, without the picture's name, where it is empty, broken, too large or of a kind that is not read
 */
export async function decode(source: PictureSource, maxPixels: number): Promise<Raster> {
  if ('data' in source) {
    checkSize(source, maxPixels)
    return rgbOf(source)
  }
  const bytes = 'path' in source ? await readPicture(source.path, maxPixels) : source.bytes
  if (bytes.length === 0) throw new InputError('is empty')
  const begin = Buffer.from(bytes.subarray(0, 12)).toString('latin1')
  const kind = Object.keys(KINDS).find((name) => KINDS[name]?.test(begin))
  if (kind === undefined && isPointer(bytes)) throw new InputError(`cannot be read: ${POINTER.slice(0, -1)}`)
  if (kind === undefined) throw new InputError(`is no ${Object.keys(KINDS).join(', ')} file; save it as one of them`)
  const { default: sharp } = await import('sharp')
  try {
    const { width, height, space } = await sharp(bytes, { limitInputPixels: false }).metadata()
    checkSize({ width, height }, maxPixels)
    // Profiles count for nothing in Pillow either. Damage that leaves pixels out is an error, other warnings are none.
    const picture = sharp(bytes, { ignoreIcc: true, autoOrient: true, limitInputPixels: maxPixels, failOn: 'truncated' })
    const isInk = space === 'cmyk'
    const pipeline = isInk ? picture.pipelineColourspace('cmyk').toColourspace('cmyk') : picture.removeAlpha().toColourspace('srgb')
    const { data, info } = await pipeline.raw().toBuffer({ resolveWithObject: true })
    const raster = { data, width: info.width, height: info.height, channels: info.channels }
    return isInk ? rgbOfInk(raster) : rgbOf(raster)
  } catch (cause) {
    if (cause instanceof InputError) throw cause
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n')
    throw new InputError(`is a broken ${kind} file (${reason})`, [], { cause })
  }
}

/** Most bytes that a pixel takes in a file, with room to spare, and that a file without pixels may have. */
const BYTES_OF_PIXEL = 16
const BYTES_BESIDE = 2 ** 24

async function readPicture(path: string, maxPixels: number): Promise<Uint8Array> {
  const handle = await open(path).catch((cause: unknown) => {
    throw new InputError(`cannot be read (${(cause as Error).message})`, [], { cause })
  })
  try {
    const status = await handle.stat()
    if (!status.isFile()) throw new InputError(status.isDirectory() ? 'is a folder' : 'is no file')
    if (status.size > maxPixels * BYTES_OF_PIXEL + BYTES_BESIDE) throw new InputError(`has ${status.size} bytes, more than a picture of ${maxPixels} pixels (maxPixels)`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

function checkSize({ width, height }: { readonly width: number; readonly height: number }, maxPixels: number): void {
  if (width * height > maxPixels) throw new InputError(`has ${width} × ${height} pixels, and maxPixels is ${maxPixels}`)
}

/** Grey three times, and alpha left out. */
function rgbOf({ data, width, height, channels }: RawPicture): Raster {
  if (channels === 3) return { data, width, height, channels }
  const made = new Uint8Array(width * height * 3)
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) made[pixel * 3 + c] = data[pixel * channels + (channels > 2 ? c : 0)] as number
  }
  return { data: made, width, height, channels: 3 }
}

/** As Pillow has it, without the inks' colours: what black leaves, less the ink's share of it. */
function rgbOfInk({ data, width, height }: Raster): Raster {
  const made = new Uint8ClampedArray(width * height * 3)
  for (let pixel = 0; pixel < width * height; pixel++) {
    const left = 255 - (data[pixel * 4 + 3] as number)
    for (let c = 0; c < 3; c++) {
      const product = (data[pixel * 4 + c] as number) * left + 128
      made[pixel * 3 + c] = left - (((product >> 8) + product) >> 8)
    }
  }
  return { data: made, width, height, channels: 3 }
}
