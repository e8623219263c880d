// Pictures of another size, as Pillow makes them. Checkpoints were trained on its pixels, to the rounding.

/** A picture in memory: rows from the top, in each the channels of a pixel side by side. */
export interface Raster {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  readonly channels: number
}

export type Kernel = 'nearest' | 'box' | 'bilinear' | 'hamming' | 'bicubic' | 'lanczos'

/** A weight by the distance from the centre, in pixels of the coarser of the two pictures, and how far it reaches. */
interface Weighting {
  readonly reach: number
  readonly weight: (x: number) => number
}

const WEIGHTINGS: Readonly<Record<Exclude<Kernel, 'nearest'>, Weighting>> = {
  box: { reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { reach: 1, weight: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0) },
  bicubic: { reach: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

function cubic(x: number): number {
  const a = -0.5
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

export interface Size {
  readonly height: number
  readonly width: number
}

/** The picture in another size; made smaller, the kernel is made as much wider, so that every pixel counts. */
export function resample(picture: Raster, { height, width }: Size, kernel: Kernel): Raster {
  if (kernel === 'nearest') return nearest(picture, { height, width })
  const across = (from: Raster): Raster => (width === from.width ? from : acrossRows(from, width, WEIGHTINGS[kernel]))
  const down = (from: Raster): Raster => (height === from.height ? from : downColumns(from, height, WEIGHTINGS[kernel]))
  // Each pass rounds, so their order shows: Pillow 13 begins with the columns where far more rows than columns go.
  const [rowsLess, columnsLess] = [picture.height - height, picture.width - width]
  return rowsLess > 0 && rowsLess > 2 * columnsLess ? across(down(picture)) : down(across(picture))
}

function nearest({ data, width, height, channels }: Raster, size: Size): Raster {
  const [rows, columns] = [placesOf(height, size.height), placesOf(width, size.width)]
  const made = new Uint8Array(size.height * size.width * channels)
  let at = 0
  for (const row of rows) {
    for (const column of columns) {
      for (let c = 0; c < channels; c++) made[at++] = data[(row * width + column) * channels + c] as number
    }
  }
  return { data: made, ...size, channels }
}

/** Added up step by step: the rounding decides which pixel is the nearest. */
function placesOf(from: number, to: number): Int32Array {
  const step = from / to
  let place = step * 0.5
  return Int32Array.from({ length: to }, () => {
    const at = Math.trunc(place)
    place += step
    return at
  })
}

/** For each new pixel: the first of the old ones that count, and their weights. */
interface Taps {
  readonly first: Int32Array
  readonly weights: readonly Int32Array[]
}

/** Weights are whole numbers of this many binary places, so that sums of 8-bit values are exact in 32 bits. */
const PLACES = 22
const HALF = 1 << (PLACES - 1)

function tapsOf(from: number, to: number, { reach, weight }: Weighting): Taps {
  const scale = from / to
  const stretch = Math.max(scale, 1)
  const first = new Int32Array(to)
  const weights = Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale
    const begin = Math.max(0, Math.trunc(center - reach * stretch + 0.5))
    const end = Math.min(from, Math.trunc(center + reach * stretch + 0.5))
    first[i] = begin
    const each = Array.from({ length: end - begin }, (__, k) => weight((k + begin - center + 0.5) * (1 / stretch)))
    const sum = each.reduce((total, value) => total + value, 0)
    return Int32Array.from(each, (value) => {
      const fixed = (sum === 0 ? value : value / sum) * 2 ** PLACES
      return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5))
    })
  })
  return { first, weights }
}

function acrossRows({ data, width, height, channels }: Raster, to: number, weighting: Weighting): Raster {
  const { first, weights } = tapsOf(width, to, weighting)
  const made = new Uint8ClampedArray(height * to * channels)
  for (let i = 0; i < to; i++) {
    const own = weights[i] as Int32Array // one for each new pixel
    const begin = (first[i] as number) * channels
    for (let row = 0; row < height; row++) {
      for (let c = 0; c < channels; c++) {
        let sum = HALF
        let at = row * width * channels + begin + c
        for (const value of own) {
          sum += (data[at] as number) * value
          at += channels
        }
        made[(row * to + i) * channels + c] = sum >> PLACES
      }
    }
  }
  return { data: made, width: to, height, channels }
}

function downColumns({ data, width, height, channels }: Raster, to: number, weighting: Weighting): Raster {
  const { first, weights } = tapsOf(height, to, weighting)
  const line = width * channels
  const made = new Uint8ClampedArray(to * line)
  const sums = new Int32Array(line)
  for (let i = 0; i < to; i++) {
    sums.fill(HALF)
    let at = (first[i] as number) * line
    for (const value of weights[i] as Int32Array) {
      for (let x = 0; x < line; x++) sums[x] = (sums[x] as number) + (data[at + x] as number) * value
      at += line
    }
    for (let x = 0; x < line; x++) made[i * line + x] = (sums[x] as number) >> PLACES
  }
  return { data: made, width, height: to, channels }
}
