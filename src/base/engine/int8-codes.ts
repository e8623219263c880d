// LLM.int8's weights: the numbers of each output as whole ones from −127 to 127, times a scale. Dettmers et al. 2022, arXiv:2208.07339

import { allocate, fromFloat32, toFloat32 } from '../checkpoint/dtype.ts'

/** A weight in int8, row by row: `code · scale / 127`. */
export interface Int8Numbers {
  readonly format: 'int8'
  readonly shape: readonly number[]
  readonly codes: Int8Array
  /** The largest size in each row. */
  readonly scales: Float32Array
}

/** Codes and scales are those of bitsandbytes, bit for bit: it makes them of float16 numbers. */
export function quantizeInt8(values: Float32Array, shape: readonly number[]): Int8Numbers {
  const width = shape.at(-1) ?? 1
  const codes = allocate('I8', values.length) as Int8Array
  const scales = new Float32Array(width === 0 ? 0 : values.length / width)
  for (let row = 0; row < scales.length; row++) {
    const data = fromFloat32(values.slice(row * width, (row + 1) * width), 'F16')
    const halves = toFloat32({ dtype: 'F16', shape: [width], data })
    const largest = halves.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const factor = Math.fround(Math.fround(1 / largest) * 127) // as torch divides a number by a tensor
    scales[row] = largest
    if (largest > 0) halves.forEach((value, i) => { codes[row * width + i] = roundedToEven(Math.fround(value * factor)) })
  }
  return { format: 'int8', shape, codes, scales }
}

/** Ties go to the even one. */
export function roundedToEven(x: number): number {
  const whole = Math.round(x)
  return whole - x === 0.5 && whole % 2 !== 0 ? whole - 1 : whole
}

/** 1/127 as bitsandbytes has it, in float32. */
const SHARE = Math.fround(1 / 127)

/** The factor of a row's codes. */
export function int8Factor(scale: number): number {
  return Math.fround(scale * SHARE)
}

/** The numbers from `begin` on, as many as there is room for. */
export function unpackInt8({ codes, scales, shape }: Int8Numbers, begin: number, to: Float32Array): void {
  const width = shape.at(-1) ?? 1
  let row = -1
  let factor = 0
  for (let i = 0; i < to.length; i++) {
    const current = Math.floor((begin + i) / width)
    if (current !== row) {
      row = current
      factor = int8Factor(scales[row] as number)
    }
    to[i] = (codes[begin + i] as number) * factor
  }
}
