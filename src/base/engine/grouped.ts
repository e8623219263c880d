// Products of rows with the matrices of their experts. How many rows an expert has is known to the kernel alone: no number leaves the engine.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { areFused, fusedOne } from './kernels.ts'
import type { TensorForm } from './tensor-weight.ts'

/** x Wₑᵀ, or x Wₑ, of x (S, ·) with experts (S), ascending, and W (E, out, in). */
export function groupedProduct(form: TensorForm, x: Tensor2D, weight: Tensor3D, experts: Tensor1D, transposed: boolean): Tensor2D {
  if (areFused()) return fusedOne(`Grouped${form.suffix}`, [x, weight, experts], { transposed }) as Tensor2D
  return tf.tidy(() => {
    const wide = form.float32(weight) as Tensor3D
    const [E, rows, columns] = wide.shape
    return eachExpert(x, experts, E, transposed, (e) => tf.reshape<Rank.R2>(tf.slice(wide, [e, 0, 0], [1, rows, columns]), [rows, columns]))
  })
}

/** The same in the composed form. @param matrixOf the matrix of an expert */
export function eachExpert(x: Tensor2D, experts: Tensor1D, count: number, transposed: boolean, matrixOf: (expert: number) => Tensor2D): Tensor2D {
  return sumOver(count, (e) => tf.matMul(rowsOf(x, experts, e), matrixOf(e), false, transposed))
}

/** The gradient of the first by W, (E, out, in): for each expert the sum of the outer products of its rows. */
export function groupedOuter(dy: Tensor2D, x: Tensor2D, experts: Tensor1D, count: number): Tensor3D {
  if (areFused()) return fusedOne('GroupedOuter', [dy, x, experts], { count }) as Tensor3D
  return tf.tidy(() => tf.stack(Array.from({ length: count }, (_, e) => tf.matMul(rowsOf(dy, experts, e), x, true, false))) as Tensor3D)
}

/** The rows of one expert, with zeros in place of the others. */
function rowsOf(x: Tensor2D, experts: Tensor1D, expert: number): Tensor2D {
  return tf.where(tf.expandDims(tf.equal(experts, expert), 1), x, tf.zerosLike(x))
}

function sumOver(count: number, part: (i: number) => Tensor2D): Tensor2D {
  let sum: Tensor | undefined
  for (let i = 0; i < count; i++) {
    const before = sum
    sum = tf.tidy(() => (before === undefined ? part(i) : tf.add(before, part(i))))
    before?.dispose()
  }
  return sum as Tensor2D
}
