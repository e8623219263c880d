// NF4: 16 numbers that halve a normal distribution into equally likely parts, times the largest size in each block.
// Dettmers et al. 2023, arXiv:2305.14314. Codes and scales are those of bitsandbytes, bit for bit.

import { allocate } from '../checkpoint/dtype.ts'
import { nativeQuantizer } from './native.ts'
import { quantizeScales, scalesAgain, type NestedScales } from './nested-scales.ts'

/** What a code stands for, before its block's scale. */
export const NF4_CODES: Float32Array = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
)

/** Between two codes: a number that is above it has the higher one. */
const MIDDLES = Float32Array.from({ length: 15 }, (_, i) => Math.fround((NF4_CODES[i] as number) + (NF4_CODES[i + 1] as number)) / 2)

const BLOCK = 64
/** Of what a zero is divided by. */
const LEAST = Math.fround(1e-38)

/** A weight in NF4, row by row. */
export interface Nf4Numbers {
  readonly format: 'nf4'
  readonly shape: readonly number[]
  /** Two codes a byte, the first in the upper half. */
  readonly codes: Uint8Array
  /** Numbers that share a scale. */
  readonly blockSize: number
  readonly scales: Float32Array | NestedScales
}

/** @param nested whether the scales are quantised too */
export function quantizeNf4(values: Float32Array, shape: readonly number[], nested: boolean): Nf4Numbers {
  const codes = allocate('U8', Math.ceil(values.length / 2)) as Uint8Array
  const scales = allocate('F32', Math.ceil(values.length / BLOCK)) as Float32Array
  const write = nativeQuantizer() ?? writeCodes
  write(values, MIDDLES, codes, scales)
  return { format: 'nf4', shape, codes, blockSize: BLOCK, scales: nested ? quantizeScales(scales) : scales }
}

/** What native/nf4.cc does faster. */
function writeCodes(values: Float32Array, middles: Float32Array, codes: Uint8Array, scales: Float32Array): void {
  for (let block = 0; block < scales.length; block++) {
    const begin = block * BLOCK
    const end = Math.min(begin + BLOCK, values.length)
    const whole = end - begin === BLOCK
    const largest = largestSize(values, begin, end)
    const divisor = largest < LEAST ? LEAST : largest
    const factor = Math.fround(1 / divisor)
    scales[block] = whole ? largest : divisor // bitsandbytes keeps what it has divided a part of a block by
    for (let i = begin; i < end; i++) {
      const share = Math.fround(whole ? (values[i] as number) * factor : (values[i] as number) / divisor)
      codes[i >> 1] = (codes[i >> 1] as number) | (codeOf(share, middles) << (i % 2 === 0 ? 4 : 0))
    }
  }
  if (values.length % 2 === 1) codes[codes.length - 1] = (codes.at(-1) as number) | codeOf(0, middles)
}

/** NaN where one of them is. */
function largestSize(values: Float32Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) {
    const size = Math.abs(values[i] as number)
    if (!(size <= largest)) largest = size
    if (Number.isNaN(size)) return NaN
  }
  return largest
}

/** The nearest, of two as near the lower; NaN is the highest. */
function codeOf(share: number, middles: Float32Array): number {
  let code = share <= (middles[7] as number) ? 0 : 8
  if (!(share <= (middles[code + 3] as number))) code += 4
  if (!(share <= (middles[code + 1] as number))) code += 2
  if (!(share <= (middles[code] as number))) code += 1
  return code
}

/** The numbers from `begin` on, as many as there is room for. */
export function unpackNf4({ codes, blockSize, scales }: Nf4Numbers, begin: number, to: Float32Array): void {
  const first = Math.floor(begin / blockSize)
  const of = scales instanceof Float32Array ? scales.subarray(first) : scalesAgain(scales, first, Math.ceil((begin + to.length) / blockSize))
  const table = new Float32Array(16)
  let block = -1
  for (let i = 0; i < to.length; i++) {
    const place = begin + i
    const current = Math.floor(place / blockSize) - first
    if (current !== block) {
      block = current
      for (let code = 0; code < 16; code++) table[code] = (NF4_CODES[code] as number) * (of[block] as number)
    }
    const pair = codes[place >> 1] as number
    to[i] = table[place % 2 === 0 ? pair >> 4 : pair & 15] as number
  }
}

