// What Pillow and transformers make of pictures: golden/make_images.py.

import { readFileSync } from 'node:fs'
import { inflateSync } from 'node:zlib'
import type { Raster } from '../../../src/base/image/resample.ts'
import { goldenPath } from '../../golden.ts'

interface Packed {
  readonly shape: readonly number[]
  readonly data: string
}

interface Golden {
  readonly decoded: Readonly<Record<string, Packed>>
  readonly sources: Readonly<Record<string, Packed>>
  readonly resampled: readonly { readonly source: string; readonly kernel: number; readonly size: readonly [height: number, width: number]; readonly made: Packed }[]
  readonly prepared: readonly { readonly settings: Readonly<Record<string, unknown>>; readonly picture: string; readonly made: Packed }[]
  readonly defaults: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export const golden = JSON.parse(readFileSync(goldenPath('images/golden.json'), 'utf8')) as Golden

export function bytesOf({ data }: Packed): Uint8Array {
  return new Uint8Array(inflateSync(Buffer.from(data, 'base64')))
}

export function numbersOf(packed: Packed): Float32Array {
  return new Float32Array(bytesOf(packed).buffer)
}

export function rasterOf(packed: Packed): Raster {
  const [height = 0, width = 0, channels = 0] = packed.shape
  return { data: bytesOf(packed), height, width, channels }
}

export function source(name: string): Raster {
  return rasterOf(golden.sources[name] as Packed) // as the script writes it
}
