import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { fromFloat32, toFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { BFLOAT16 } from '../../../src/base/engine/bfloat16.ts'
import { FLOAT32 } from '../../../src/base/engine/float32.ts'
import type { WeightKind } from '../../../src/base/engine/frozen-weight.ts'
import { INT8 } from '../../../src/base/engine/int8.ts'
import { NF4, NF4_SINGLE } from '../../../src/base/engine/nf4.ts'
import { valuesOf } from '../../golden.ts'
import { withoutRounding } from '../../../src/base/engine/rounded-rows.ts'
import { tidied } from '../../../src/base/engine/tidied.ts'
import { eachForm, numbers, relativeDifference } from '../ops/forms.ts'

const KINDS: readonly (readonly [name: string, kind: WeightKind])[] = [['nf4', NF4], ['nf4 with plain scales', NF4_SINGLE], ['int8', INT8]]
const same = <T extends Tensor>(x: T): T => x
const BITS: Readonly<Record<string, number>> = { nf4: 4.13, 'nf4 with plain scales': 4.5, int8: 8 + 32 / 4096 }
/** Widths that are whole blocks, parts of them, and odd; more outputs than one stripe has. */
const SIZES: readonly (readonly [out: number, width: number])[] = [[1, 1], [5, 64], [33, 128], [7, 96], [50, 23], [130, 30], [64, 1600], [2100, 192]]

eachForm('products with packed weights', (form) => {
  it.each(KINDS.flatMap(([name, kind]) => SIZES.map((size) => [name, ...size, kind] as const)))(
    'of %s, %i by %i, are those with its numbers in float32', (_, out, width, kind) => {
      const before = tf.memory().numTensors
      const weight = tidied(() => kind.of(numbers([out, width], 1)))
      withoutRounding(() => tf.tidy(() => {
        const wide = weight.float32() as Tensor2D
        const bias = numbers([out], 2) as Tensor1D
        for (const rows of [1, 2, 5, 8, 9, 40]) {
          const [x, dy] = [numbers([rows, width], 3) as Tensor2D, numbers([rows, out], 4) as Tensor2D]
          const close = (got: Tensor2D, expected: Tensor2D): void => {
            expect(got.shape).toEqual(expected.shape)
            expect(relativeDifference(valuesOf(got), valuesOf(expected))).toBeLessThan(1e-5)
          }
          close(weight.timesTransposed(x), tf.matMul(x, wide, false, true))
          close(weight.timesTransposed(x, bias), tf.add(tf.matMul(x, wide, false, true), bias))
          close(weight.times(dy), tf.matMul(dy, wide))
        }
      }))
      weight.dispose()
      expect(tf.memory().numTensors).toBe(before)
    })

  it.each(KINDS.flatMap(([name, kind]) => [[5, 64], [7, 23]].map(([out = 0, width = 0]) => [name, out, width, kind] as const)))(
    'of %s, %i by %i, go by the experts of the rows', (_, out, width, kind) => {
      withoutRounding(() => tf.tidy(() => {
        const weight = kind.of(numbers([4, out, width], 1))
        const wide = weight.float32() as Tensor3D
        const experts = tf.tensor1d([0, 0, ...Array<number>(20).fill(1), 3, 3, 3], 'int32') // few rows, many and none
        for (const [x, transposed] of [[numbers([25, width], 2), true], [numbers([25, out], 3), false]] as const) {
          const got = weight.grouped(x as Tensor2D, experts, transposed)
          const expected = tf.squeeze(tf.matMul(tf.expandDims(x, 1), tf.gather(wide, experts), false, transposed), [1])
          expect(relativeDifference(valuesOf(got), valuesOf(expected))).toBeLessThan(1e-5)
        }
        weight.dispose()
      }))
    })

  it.each([NF4, NF4_SINGLE].flatMap((kind) => [[64, 64], [192, 128], [2112, 1600]].map(([out = 0, width = 0]) => [out, width, kind] as const)))(
    'of nf4, %i by %i, are those of bfloat16 numbers where the processor multiplies these in pairs, and the rows are not few', (out, width, kind) => {
      const weight = tidied(() => kind.of(numbers([out, width], 1)))
      tf.tidy(() => {
        const halves = <T extends Tensor>(x: T): T => tf.tensor(toFloat32({ dtype: 'BF16', shape: x.shape, data: fromFloat32(valuesOf(x), 'BF16') }), x.shape) as T
        const wide = weight.float32() as Tensor2D
        const bias = numbers([out], 2) as Tensor1D
        for (const rows of [2, 9, 40]) {
          const [x, dy] = [numbers([rows, width], 3) as Tensor2D, numbers([rows, out], 4) as Tensor2D]
          const [forth, back] = form === 'avx512bf16' ? [rows > 8 ? halves : same, halves] : [same, same]
          expect(relativeDifference(valuesOf(weight.timesTransposed(x, bias)), valuesOf(tf.add(tf.matMul(forth(x), forth(wide), false, true), bias)))).toBeLessThan(1e-5)
          expect(relativeDifference(valuesOf(weight.times(dy)), valuesOf(tf.matMul(back(dy), back(wide))))).toBeLessThan(1e-5)
        }
      })
      weight.dispose()
    })

  it.each([...KINDS, ['float32', FLOAT32], ['bfloat16', BFLOAT16]] as const)('of %s are those of its rows, in a part', (_, kind) => {
    const weight = tidied(() => kind.of(numbers([150, 64], 1)))
    const before = tf.memory().numTensors
    withoutRounding(() => tf.tidy(() => {
      const [x, dy] = [numbers([20, 64], 2) as Tensor2D, numbers([20, 70], 3) as Tensor2D]
      const part = weight.part(30, 100).part(10, 70)
      expect(part.shape).toEqual([70, 64])
      const wide = tf.slice(weight.float32() as Tensor2D, [40, 0], [70, -1])
      const most = kind === BFLOAT16 ? 1e-2 : 1e-5 // its products round
      expect(relativeDifference(valuesOf(part.timesTransposed(x)), valuesOf(tf.matMul(x, wide, false, true)))).toBeLessThan(most)
      expect(relativeDifference(valuesOf(part.times(dy)), valuesOf(tf.matMul(dy, wide)))).toBeLessThan(most)
      expect(valuesOf(part.float32())).toEqual(valuesOf(wide))
      expect(valuesOf(part.rows(tf.tensor1d([69, 0], 'int32')))).toEqual(valuesOf(tf.gather(wide, tf.tensor1d([69, 0], 'int32'))))
    }))
    expect(tf.memory().numTensors).toBe(before)
    weight.dispose()
  })

  it.each(KINDS)('of %s take the bits that docs/quantised.md names', (name, kind) => {
    const weight = tidied(() => kind.of(numbers([64, 4096], 1)))
    expect((8 * weight.bytes) / weight.size).toBeCloseTo(BITS[name] as number, 2)
    weight.dispose()
  })

  it.each(KINDS)('of %s live on in a clone', (_, kind) => {
    tf.tidy(() => {
      const weight = kind.of(numbers([5, 64], 1))
      const [x, clone] = [numbers([2, 64], 2) as Tensor2D, weight.clone()]
      const before = valuesOf(weight.timesTransposed(x))
      weight.dispose()
      expect([weight.isDisposed, clone.isDisposed, clone.kind]).toEqual([true, false, kind])
      expect(valuesOf(clone.timesTransposed(x))).toEqual(before)
      clone.dispose()
    })
  })
})
