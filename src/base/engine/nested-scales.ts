// Double quantisation: the scales of blocks, less their mean, in 8 bits each with a scale for each 256 of them, as in bitsandbytes.
// Dettmers et al. 2023, arXiv:2305.14314

import { allocate } from '../checkpoint/dtype.ts'

/** Scales of blocks, each `map[code] · scales[i ÷ blockSize] + offset`. */
export interface NestedScales {
  readonly codes: Uint8Array
  readonly scales: Float32Array
  /** 256 numbers, ascending. */
  readonly map: Float32Array
  readonly blockSize: number
  readonly offset: number
}

const BLOCK = 256

/**
 * The mean is taken in float64; torch adds in float32, in an order that depends on the processor, so that the last bit of its offset
 * may be another.
 */
export function quantizeScales(values: Float32Array): NestedScales {
  const offset = values.length === 0 ? 0 : Math.fround(values.reduce((sum, value) => sum + value, 0) / values.length)
  const map = dynamicMap()
  const middles = Float32Array.from({ length: 255 }, (_, i) => Math.fround((map[i] as number) + (map[i + 1] as number)) / 2)
  const codes = allocate('U8', values.length) as Uint8Array
  const scales = new Float32Array(Math.ceil(values.length / BLOCK))
  for (let block = 0; block < scales.length; block++) {
    const shares = values.subarray(block * BLOCK, (block + 1) * BLOCK).map((value) => value - offset)
    const largest = shares.reduce((most, share) => (share === share ? Math.max(most, Math.abs(share)) : NaN), 0)
    scales[block] = largest
    const factor = Math.fround(1 / largest)
    shares.forEach((share, i) => { codes[block * BLOCK + i] = largest === 0 ? 0 : nearest(middles, Math.fround(share * factor)) })
  }
  return { codes, scales, map, blockSize: BLOCK, offset }
}

/** How many of the middles are below. */
function nearest(middles: Float32Array, share: number): number {
  let [low, high] = [0, middles.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (share > (middles[middle] as number)) low = middle + 1
    else high = middle
  }
  return low
}

/** Those from `begin` to `end`. */
export function scalesAgain({ codes, scales, map, blockSize, offset }: NestedScales, begin: number, end: number): Float32Array {
  const values = new Float32Array(end - begin)
  for (let i = begin; i < end; i++) {
    values[i - begin] = Math.fround((map[codes[i] as number] as number) * (scales[Math.floor(i / blockSize)] as number)) + offset
  }
  return values
}

let dynamic: Float32Array | undefined

/** The 8-bit numbers that are finer near 0: signed, with up to 7 bits for the exponent. Dettmers 2015, arXiv:1511.04561 */
function dynamicMap(): Float32Array {
  if (dynamic !== undefined) return dynamic
  const numbers = [0, 1]
  for (let exponent = 0; exponent < 7; exponent++) {
    const count = 2 ** exponent
    const step = Math.fround(Math.fround(1 - Math.fround(0.1)) / count)
    const edge = (i: number): number => Math.fround(i <= count / 2 ? Math.fround(0.1) + step * i : 1 - step * (count - i))
    for (let i = 0; i < count; i++) {
      const mean = Math.fround(edge(i) + edge(i + 1)) / 2
      const number = Math.fround(Math.fround(10 ** (exponent - 6)) * mean)
      numbers.push(number, -number)
    }
  }
  return (dynamic = Float32Array.from(numbers).sort())
}
