// Weights held in fewer bits than their numbers have. The numbers are never there as a whole: products unpack a stripe at a time, here in the
// composed form, or in kernels that read the same memory.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { allocate } from '../checkpoint/dtype.ts'
import { unpackAffine, type AffineNumbers } from './affine-codes.ts'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { eachExpert } from './grouped.ts'
import { unpackInt8, type Int8Numbers } from './int8-codes.ts'
import { areFused, biasAdd, fusedOne } from './kernels.ts'
import { hasAddon } from './native.ts'
import { unpackNf4, type Nf4Numbers } from './nf4-codes.ts'
import { roundedRows, rounds, THRESHOLD } from './rounded-rows.ts'
import { tensorflow } from './tensorflow.ts'
import { tidied } from './tidied.ts'

/** Codes and scales of a weight. */
export type PackedNumbers = Nf4Numbers | Int8Numbers | AffineNumbers

/** The numbers from `begin` on, as many as there is room for. */
export function unpack(numbers: PackedNumbers, begin: number, to: Float32Array): void {
  if (numbers.format === 'nf4') unpackNf4(numbers, begin, to)
  else if (numbers.format === 'affine') unpackAffine(numbers, begin, to)
  else unpackInt8(numbers, begin, to)
}

/** What is special to one way of packing. */
export interface PackedForm<T extends PackedNumbers> {
  readonly bytes: (numbers: T) => number
  /** Name of the kernel, what it takes between x and the experts of its rows, and its settings. */
  readonly kernel: string
  readonly operands: (numbers: T) => readonly Tensor[]
  readonly settings: (numbers: T) => Readonly<Record<string, number | boolean>>
  /** Factors of the outputs, where products round what they multiply, row by row. */
  readonly factors?: (numbers: T) => Float32Array
}

interface Rows {
  readonly first: number
  readonly count: number
}

/** Numbers that are unpacked at a time: 1 MB of them. */
const STRIPE = 2 ** 18

/**
 * A weight of these numbers, which stay as they are.
 *
 * @param operands of the kernel, where there is one: they are the weight's
 * @param part of a matrix, the rows that the weight is
 */
export function packedWeight<T extends PackedNumbers>(kind: WeightKind, form: PackedForm<T>, numbers: T, operands: readonly Tensor[] = operandsOf(form, numbers), part?: Rows): FrozenWeight {
  const [width = 1, all = 1] = [...numbers.shape].reverse()
  const { first: begin, count: height } = part ?? { first: 0, count: all }
  const shape = part === undefined ? numbers.shape : [height, width]
  const size = sizeOf(shape)
  const unpacked = (first: number, of: readonly number[]): Tensor => {
    const values = allocate('F32', sizeOf(of)) as Float32Array
    unpack(numbers, begin * width + first, values)
    return tf.tensor(values, [...of], 'float32')
  }
  const stripes = (): readonly (readonly [first: number, rows: number])[] => {
    const rows = Math.max(1, Math.floor(STRIPE / width))
    return Array.from({ length: Math.ceil(height / rows) }, (_, i) => [i * rows, Math.min(rows, height - i * rows)])
  }
  const stripe = (first: number, rows: number): Tensor2D => unpacked(first * width, [rows, width]) as Tensor2D
  const read = (x: Tensor2D): Tensor2D => form.factors !== undefined && rounds() ? roundedRows(x, THRESHOLD) : x
  /** Rounded with the factors in it: then what it is multiplied with is whole numbers. */
  const readBack = (dy: Tensor2D, experts?: Tensor1D): Tensor2D => form.factors === undefined || !rounds() ? dy : tf.tidy(() => {
    const held = tf.tensor2d(form.factors?.(numbers).subarray(begin, begin + size / width) ?? [], [size / (width * height), height])
    const factors = experts === undefined ? held : tf.gather(held, experts)
    return tf.divNoNan<Tensor2D>(roundedRows(tf.mul(dy, factors)), factors)
  })
  const fits = (x: Tensor2D): boolean => operands.length > 0 && areFused() && x.dtype === 'float32'
  const fusedProduct = (x: Tensor2D, transposed: boolean, { bias, experts }: { readonly bias?: Tensor1D | undefined; readonly experts?: Tensor1D } = {}): Tensor2D => tf.tidy(() =>
    fusedOne(form.kernel, [x, ...operands, experts ?? tf.tensor1d([], 'int32'), bias], { transposed, count: shape.at(-3) ?? 1, height: all, first: begin, rows: height, columns: width, ...form.settings(numbers) }) as Tensor2D)
  let isDisposed = false
  return {
    kind,
    shape,
    size,
    bytes: form.bytes(numbers),
    ...(part === undefined ? { packed: numbers } : {}),
    get isDisposed() {
      return isDisposed
    },
    timesTransposed: (x, bias) => fits(x) ? fusedProduct(x, true, { bias }) : tf.tidy(() => {
      const rounded = read(x)
      const y = tf.concat<Tensor2D>(stripes().map(([first, rows]) => tf.tidy(() => tf.matMul<Tensor2D>(rounded, stripe(first, rows), false, true))), 1)
      return bias === undefined ? y : biasAdd(y, bias)
    }),
    times: (dy) => fits(dy) ? fusedProduct(dy, false) : tf.tidy(() => {
      const rounded = readBack(dy)
      return stripes().reduce<Tensor2D | undefined>((sum, [first, rows]) => {
        const next = tf.tidy(() => {
          const part = tf.matMul<Tensor2D>(tf.slice(rounded, [0, first], [-1, rows]), stripe(first, rows))
          return sum === undefined ? part : tf.add<Tensor2D>(sum, part)
        })
        sum?.dispose()
        return next
      }, undefined) as Tensor2D
    }),
    grouped: (x, experts, transposed) => fits(x) ? fusedProduct(x, transposed, { experts }) : tf.tidy(() =>
      eachExpert(transposed ? read(x) : readBack(x, experts), experts, shape[0] ?? 0, transposed, (e) => unpacked(e * height * width, [height, width]) as Tensor2D)),
    rows: (ids) => {
      if (tensorflow() === undefined) return tf.tidy(() => tf.gather(unpacked(0, shape) as Tensor2D, ids)) // such a backend may give no ids at once
      const values = allocate('F32', ids.size * width) as Float32Array
      ids.dataSync().forEach((id, i) => { unpack(numbers, (begin + id) * width, values.subarray(i * width, (i + 1) * width)) })
      return tf.tensor2d(values, [ids.size, width])
    },
    part: (first, count) => packedWeight(kind, form, numbers, operands, { first: begin + first, count }),
    float32: () => unpacked(0, shape),
    clone: () => packedWeight(kind, form, numbers, operands.map((operand) => tf.keep(operand.clone())), part),
    dispose: () => {
      isDisposed = true
      tf.dispose([...operands])
    },
  }
}

function operandsOf<T extends PackedNumbers>({ operands }: PackedForm<T>, numbers: T): readonly Tensor[] {
  return tensorflow() === undefined || !hasAddon() ? [] : tidied(() => operands(numbers).map((operand) => tf.keep(operand)))
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}
