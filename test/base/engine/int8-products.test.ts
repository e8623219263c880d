// Products of int8 weights, which round x and dy row by row, against the formula in float64 and, of test/golden/make_int8_products.py, against
// bitsandbytes.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import { int8Factor, roundedToEven, type Int8Numbers } from '../../../src/base/engine/int8-codes.ts'
import { INT8, int8Weight } from '../../../src/base/engine/int8.ts'
import { readGolden, valuesOf } from '../../golden.ts'
import { eachForm, numbers, relativeDifference } from '../ops/forms.ts'

const golden = await readGolden('int8_products.safetensors')

/** Widths that are whole vectors, parts of them and odd; more terms than are summed at a time; more outputs than a stripe has. */
const SIZES: readonly (readonly [out: number, width: number])[] = [[1, 1], [5, 64], [33, 128], [7, 97], [50, 23], [130, 30], [70, 3200], [3200, 70]]
/** Few and many, whole tiles and parts of them. */
function countsFor(size: number): readonly number[] {
  return size > 10_000 ? [2, 13] : [1, 2, 5, 8, 9, 13, 40]
}

/** A row as products see it. @param threshold of its outliers */
function rounded(row: readonly number[], threshold = Infinity): number[] {
  const large = row.map((x) => Math.abs(x) >= threshold)
  const count = large.filter(Boolean).length
  const out = large.map((is) => is && count <= Math.floor(row.length / 32))
  const largest = Math.max(...row.map((x, i) => (out[i] === true ? 0 : Math.abs(x))))
  const factor = Math.fround(127 / largest)
  return row.map((x, i) => (out[i] === true || largest < 1e-30 ? x : (roundedToEven(Math.fround(x * factor)) * largest) / 127))
}

function rowsOf(x: Tensor2D): number[][] {
  return x.arraySync()
}

function times(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] ?? NaN), 0)
}

/** Codes and factors of each output. */
function partsOf(weight: FrozenWeight): readonly (readonly [codes: readonly number[], factor: number])[] {
  const { codes, scales } = weight.packed as Int8Numbers
  const width = codes.length / scales.length
  return Array.from(scales, (scale, j) => [Array.from(codes.subarray(j * width, (j + 1) * width)), int8Factor(scale)])
}

/** x Wᵀ + b */
function forth(weight: FrozenWeight, x: Tensor2D, bias: ArrayLike<number>): number[] {
  const parts = partsOf(weight)
  return rowsOf(x).flatMap((row) => {
    const read = rounded(row, 6)
    return parts.map(([codes, factor], j) => times(read, codes) * factor + (bias[j] ?? NaN))
  })
}

/** dy W */
function back(weight: FrozenWeight, dy: Tensor2D): number[] {
  const parts = partsOf(weight)
  const columns = parts[0]?.[0].map((_, k) => parts.map(([codes]) => codes[k] ?? NaN)) ?? []
  return rowsOf(dy).flatMap((row) => {
    const read = rounded(row.map((value, j) => Math.fround(value * (parts[j]?.[1] ?? NaN))))
    return columns.map((codes) => times(read, codes))
  })
}

/** x with `count` outliers in each row, and a row of zeros and one of tiny numbers where there are so many. */
function inputs(rows: number, width: number, count: number, seed: number): Tensor2D {
  const values = (numbers([rows, width], seed) as Tensor2D).arraySync()
  values.forEach((row, i) => { for (let o = 0; o < count; o++) row[(7 * i + 11 * o) % width] = o % 2 === 0 ? 6 + o : -40 })
  values[3]?.fill(0)
  values[4]?.fill(1e-33)
  return tf.tensor2d(values, [rows, width])
}

eachForm('products with int8 weights', (form) => {
  const tolerance = form === 'composed' ? 2e-6 : 1e-6 // kernels add whole numbers up

  it.each(SIZES)('%i by %i round x and dy row by row', (out, width) => {
    const weight = INT8.of(numbers([out, width], 1))
    tf.tidy(() => {
      const bias = numbers([out], 2) as Tensor1D
      for (const rows of countsFor(out * width)) {
        const [x, dy] = [inputs(rows, width, 0, 3), inputs(rows, out, 0, 4)]
        expect(relativeDifference(valuesOf(weight.timesTransposed(x, bias)), forth(weight, x, bias.dataSync()))).toBeLessThan(tolerance)
        expect(relativeDifference(valuesOf(weight.times(dy)), back(weight, dy))).toBeLessThan(tolerance)
      }
    })
    weight.dispose()
  })

  it.each([[5, 64, 2], [70, 3200, 1], [70, 3200, 90], [33, 128, 5]])('%i by %i multiply %i outliers of a row in float32, where they are few', (out, width, count) => {
    const weight = INT8.of(numbers([out, width], 1))
    tf.tidy(() => {
      for (const rows of countsFor(out * width)) {
        const x = inputs(rows, width, count, 3)
        expect(relativeDifference(valuesOf(weight.timesTransposed(x)), forth(weight, x, new Float32Array(out)))).toBeLessThan(tolerance)
      }
    })
    weight.dispose()
  })

  it.each(['plain', 'outliers', 'one_row', 'wide'])('are those of bitsandbytes under evaluation: %s', (name) => {
    tf.tidy(() => {
      const [x, weight, bias] = ['x', 'weight', 'bias'].map((part) => tf.tensor(Float32Array.from(golden.numbers(`${name}.${part}`)), [...golden.shape(`${name}.${part}`)]))
      const int8 = INT8.of(weight as Tensor2D)
      const y = valuesOf(int8.timesTransposed(x as Tensor2D, bias as Tensor1D))
      expect(relativeDifference(y, golden.numbers(`${name}.exact`))).toBeLessThan(tolerance)
      expect(relativeDifference(y, golden.numbers(`${name}.y`))).toBeLessThan(2e-5) // it has 6.200124e-05 in place of 1/127²
      int8.dispose()
    })
  })

  it('give a row the same result whatever stands beside it', () => {
    const weight = INT8.of(numbers([50, 96], 1))
    tf.tidy(() => {
      const [x, dy] = [inputs(40, 96, 2, 3), inputs(40, 50, 0, 4)]
      const first = (of: Tensor2D, count: number): Tensor2D => tf.slice(of, [0, 0], [count, -1])
      // Of the composed form the outliers are a product of TensorFlow's, which on some processors sums in another order for fewer rows.
      const alike = (own: Tensor, among: Tensor): void => {
        if (form === 'composed') expect(relativeDifference(valuesOf(own), valuesOf(among))).toBeLessThan(1e-6)
        else expect(valuesOf(own)).toEqual(valuesOf(among))
      }
      for (const rows of [1, 3, 9]) {
        alike(weight.timesTransposed(first(x, rows)), first(weight.timesTransposed(x), rows))
        alike(weight.times(first(dy, rows)), first(weight.times(dy), rows))
      }
    })
    weight.dispose()
  })

  it('let NaN and infinities through to their rows alone', () => {
    const weight = INT8.of(numbers([5, 64], 1))
    tf.tidy(() => {
      for (const rows of [3, 12]) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const values = (numbers([rows, 64], 3) as Tensor2D).arraySync()
          if (values[1] !== undefined) values[1][40] = bad
          const y = rowsOf(weight.timesTransposed(tf.tensor2d(values)))
          expect(y.map((row) => row.every(Number.isNaN))).toEqual(y.map((_, i) => i === 1))
        }
      }
    })
    weight.dispose()
  })

  it('take a code of −128, which files may have', () => {
    const numbersOf: Int8Numbers = { format: 'int8', shape: [2, 64], codes: new Int8Array(128).fill(-128), scales: Float32Array.of(127, 12.7) }
    const weight = int8Weight(numbersOf)
    tf.tidy(() => {
      const y = valuesOf(weight.timesTransposed(tf.fill([9, 64], -2)))
      expect(relativeDifference(y, Array.from({ length: 18 }, (_, i) => 2 * 128 * 64 * (i % 2 === 0 ? 1 : 0.1)))).toBeLessThan(tolerance)
    })
    weight.dispose()
  })
})
