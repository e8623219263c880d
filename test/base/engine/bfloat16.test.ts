import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BFLOAT16, bfloat16Tensor, roundedProduct } from '../../../src/base/engine/bfloat16.ts'
import { fromFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import { valuesOf } from '../../golden.ts'
import { numbers, relativeDifference } from '../ops/forms.ts'

await loadEngine()

/** Bits of a float32, and of the nearest bfloat16. */
const ROUNDINGS: readonly (readonly [what: string, float: number, half: number])[] = [
  ['a number that has no more bits', 0x3f800000, 0x3f80],
  ['one below a tie', 0x3f807fff, 0x3f80],
  ['a tie, to the even one below', 0x3f808000, 0x3f80],
  ['a tie, to the even one above', 0x3f818000, 0x3f82],
  ['one above a tie', 0x3f808001, 0x3f81],
  ['the largest float, out of range', 0x7f7fffff, 0x7f80],
  ['−∞', 0xff800000, 0xff80],
  ['−0', 0x80000000, 0x8000],
  ['the smallest subnormal', 0x00000001, 0x0000],
  ['a subnormal', 0x00018001, 0x0002],
  ['a negative subnormal', 0x80400000, 0x8040],
]

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length)

/** What `read` gives of a weight that lives until then. */
function readOnce<T>(weight: FrozenWeight, read: (weight: FrozenWeight) => T): T {
  const result = read(weight)
  weight.dispose()
  return result
}

const wide = (weight: FrozenWeight): Float32Array => readOnce(weight, (each) => tf.tidy(() => valuesOf(each)))
const rounded = (x: Tensor): Tensor2D => readOnce(BFLOAT16.of(x), (weight) => weight.float32() as Tensor2D)
const opaque = (x: Tensor): Tensor2D =>
  bfloat16Tensor({ dtype: 'BF16', shape: x.shape, data: fromFloat32(valuesOf(x), 'BF16') }) as Tensor2D

describe('a weight held in bfloat16', () => {
  it.each(ROUNDINGS)('rounds %s to nearest, ties to even', (_, float, half) => {
    const got = wide(BFLOAT16.fromFile({ dtype: 'F32', shape: [1, 1], data: new Float32Array(Uint32Array.of(float).buffer) }))
    expect((bitsOf(Float32Array.from(got))[0] ?? 0).toString(16)).toBe(((half << 16) >>> 0).toString(16))
  })

  it('keeps NaN', () => {
    expect(wide(BFLOAT16.of(tf.tensor([[NaN]])))).toEqual(Float32Array.of(NaN))
  })

  it.each([[1, 1], [3, 5], [7, 11], [0, 4], [64, 33]])('takes the bits of a file as they are, %i by %i', (rows, columns) => {
    const data = Uint16Array.from({ length: rows * columns }, (_, i) => (i * 2654435761) >>> 17)
    const values = wide(BFLOAT16.fromFile({ dtype: 'BF16', shape: [rows, columns], data: data.slice() }))
    expect(values.length).toBe(data.length)
    values.forEach((value, i) => {
      if (!Number.isNaN(value)) expect((bitsOf(Float32Array.of(value))[0] ?? 0) >>> 16).toBe(data[i])
    })
  })

  it('leaves nothing behind when it is disposed, and its clone lives on', () => {
    const before = tf.memory().numTensors
    const weight = BFLOAT16.of(tf.tidy(() => tf.keep(tf.ones([3, 3]))))
    const copy = weight.clone()
    weight.dispose()
    expect([weight.isDisposed, copy.isDisposed, copy.kind, copy.bytes]).toEqual([true, false, BFLOAT16, 18])
    expect(wide(copy)).toEqual(new Float32Array(9).fill(1))
    expect(tf.memory().numTensors - before).toBe(1) // the ones, kept here
  })

  it('gives its rows by index', () => {
    tf.tidy(() => {
      const ids = tf.tensor1d([5, 0, 5], 'int32')
      readOnce(BFLOAT16.of(numbers([6, 5], 1)), (table) => {
        expect(valuesOf(table.rows(ids))).toEqual(valuesOf(tf.gather(table.float32(), ids)))
      })
    })
  })
})

describe('a weight held in bfloat16 on an engine without such numbers', () => {
  beforeAll(() => tf.setBackend('cpu'))
  afterAll(() => tf.setBackend('tensorflow'))

  it('has the rounded numbers in float32, and stays one of its kind in its clones', () => {
    const weight = BFLOAT16.of(tf.tensor2d([[1.00390625, -3.14159, 0.1]]))
    const copy = weight.clone()
    weight.dispose()
    expect([copy.kind, copy.kind.fileDtype, copy.bytes]).toEqual([BFLOAT16, 'BF16', 12])
    expect(valuesOf(copy.timesTransposed(tf.eye(3)))).toEqual(Float32Array.of(1, -3.140625, 0.10009765625))
    expect(wide(copy)).toEqual(Float32Array.of(1, -3.140625, 0.10009765625))
  })
})

describe('a bfloat16 tensor', () => {
  it('is an error to read, and to any operation that does not know of it', () => {
    tf.tidy(() => {
      const half = opaque(tf.ones([2, 2]))
      expect([half.shape, half.size]).toEqual([[2, 2], 4])
      expect(() => half.dataSync()).toThrow()
      expect(() => tf.add(half, 1)).toThrow('bfloat16')
      expect(() => tf.matMul(tf.ones<tf.Rank.R2>([2, 2]), half)).toThrow('bfloat16')
    })
  })

  it.each([[1, 1, 1], [3, 17, 33], [40, 65, 130]])('multiplied by the runtime, %i rows, %i in, %i out, is off by the rounding of x and the cut of y', (N, size, out) => {
    tf.tidy(() => {
      const weight = numbers([out, size], 2)
      const [half, single] = [opaque(weight), rounded(weight)]
      const [x, dy] = [numbers([N, size], 1) as Tensor2D, numbers([N, out], 3) as Tensor2D]
      const exact: readonly (readonly [Tensor, Tensor])[] = [
        [roundedProduct(x, half, true), tf.matMul(rounded(x), single, false, true)],
        [roundedProduct(dy, half, false), tf.matMul(rounded(dy), single)],
      ]
      for (const [got, expected] of exact) expect(relativeDifference(valuesOf(got), valuesOf(expected))).toBeLessThan(2 ** -7)
    })
  })
})
