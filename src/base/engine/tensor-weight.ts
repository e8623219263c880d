// Weights that are one tensor of the engine each, and products with them: nearly all of the work of a training step, and of
// decoding.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import type { FrozenWeight, WeightKind } from './frozen-weight.ts'
import { groupedProduct } from './grouped.ts'
import { areFused, biasAdd, fusedOne } from './kernels.ts'

/** What is special to tensors of one type. */
export interface TensorForm {
  /** Of an element. */
  readonly bytes: number
  /** Ends the names of its kernels. */
  readonly suffix: string
  /** Up to so many rows the kernel for few is the faster one; bench/kernels.ts prints the times of both. */
  readonly fewRows: () => number
  /** Whether the kernel for many rows is faster than the runtime. */
  readonly hasManyRows: () => boolean
  /** x Wᵀ, or x W. */
  readonly byRuntime: (x: Tensor2D, weight: Tensor2D, transposed: boolean) => Tensor2D
  readonly rows: (table: Tensor2D, ids: Tensor1D) => Tensor2D
  /** Rows that follow each other, in the same memory where the runtime can. */
  readonly part: (table: Tensor2D, first: number, count: number) => Tensor2D
  readonly float32: (tensor: Tensor) => Tensor
}

/** A weight that is this tensor. */
export function tensorWeight(kind: WeightKind, form: TensorForm, tensor: Tensor): FrozenWeight {
  const matrix = tensor as Tensor2D
  const { shape, size } = tensor
  return {
    kind,
    shape,
    size,
    bytes: form.bytes * size,
    get isDisposed() {
      return tensor.isDisposed
    },
    timesTransposed: (x, bias) =>
      fits(x, matrix) && x.shape[0] <= form.fewRows() ? fewRows(form, x, matrix, bias) : manyRows(form, x, matrix, true, bias),
    times: (dy) => manyRows(form, dy, matrix, false),
    grouped: (x, experts, transposed) => groupedProduct(form, x, tensor as Tensor3D, experts, transposed),
    rows: (ids) => form.rows(matrix, ids),
    part: (first, count) => tensorWeight(kind, form, form.part(matrix, first, count)),
    float32: () => form.float32(tensor),
    clone: () => tensorWeight(kind, form, tf.keep(tensor.clone())),
    dispose: () => {
      tensor.dispose()
    },
  }
}

/** x Wᵀ + b by the kernel that reads the weight once, as it is stored. */
export function fewRows({ suffix }: TensorForm, x: Tensor2D, weight: Tensor2D, bias?: Tensor1D): Tensor2D {
  return fusedOne(`FewRows${suffix}`, [x, weight, bias]) as Tensor2D
}

/** x Wᵀ + b, or x W, by the kernel for it, or by the runtime. */
export function manyRows(form: TensorForm, x: Tensor2D, weight: Tensor2D, transposed: boolean, bias?: Tensor1D): Tensor2D {
  if (fits(x, weight) && form.hasManyRows()) return fusedOne(`ManyRows${form.suffix}`, [x, weight, bias], { transposed }) as Tensor2D
  const y = form.byRuntime(x, weight, transposed)
  if (bias === undefined) return y
  const sum = biasAdd(y, bias)
  y.dispose()
  return sum
}

function fits(x: Tensor2D, weight: Tensor2D): boolean {
  return areFused() && x.dtype === 'float32' && weight.dtype === 'float32'
}
