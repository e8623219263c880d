import { InputError, shown } from '../../errors.ts'

/** A picture whose pixels are in memory: rows from the top, in each the channels of a pixel side by side, 8 bits each. */
export interface RawPicture {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. What alpha hides is seen, as in transformers. */
  readonly channels: number
}

/** The path of a JPEG, PNG or WebP file, the bytes of one, both as Parquet data sets of the Hub have them, or pixels. */
export type Picture = string | Uint8Array | { readonly bytes: Uint8Array | null; readonly path?: string | null } | RawPicture

/** Where the bytes or the pixels of a picture are. */
export type PictureSource = { readonly path: string } | { readonly bytes: Uint8Array } | RawPicture

/** Whether it has the form of one. */
export function isPicture(value: unknown): value is Picture {
  if (typeof value === 'string' || value instanceof Uint8Array) return true
  return isObject(value) && ('data' in value || value['bytes'] instanceof Uint8Array || typeof value['path'] === 'string')
}

/** @throws InputError with what keeps it from being a picture */
export function sourceOf(picture: Picture): PictureSource {
  const given: unknown = picture
  if (typeof given === 'string' && given !== '') return { path: given }
  if (given instanceof Uint8Array) return { bytes: given }
  if (!isObject(given)) throw new InputError(`expected the path of a file, its bytes, or { data, width, height, channels }, got ${shown(given)}`)
  if ('data' in given) return checkRaw(given)
  if (given['bytes'] instanceof Uint8Array) return { bytes: given['bytes'] }
  if (typeof given['path'] === 'string' && (given['bytes'] ?? null) === null) return { path: given['path'] }
  throw new InputError(`expected the path of a file, its bytes, or { data, width, height, channels }, got an object with ${Object.keys(given).join(', ') || 'nothing'}`)
}

function checkRaw({ data, width, height, channels }: Readonly<Record<string, unknown>>): RawPicture {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) throw new InputError('data: expected a Uint8Array of pixels, 0 to 255')
  if (!isCount(width) || !isCount(height)) throw new InputError(`width, height: expected integers of at least 1, got ${shown(width)} and ${shown(height)}`)
  if (!isCount(channels) || channels > 4) throw new InputError(`channels: expected 1 to 4, got ${shown(channels)}`)
  if (data.length !== width * height * channels) throw new InputError(`data: expected ${width} × ${height} × ${channels} = ${width * height * channels} numbers, got ${data.length}`)
  return { data, width, height, channels }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
