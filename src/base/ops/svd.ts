// Decompositions of weights, once when an adapter starts or is combined; not differentiable.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { attributesOf } from '../engine/constants.ts'
import { tensorflow } from '../engine/tensorflow.ts'
import { normal, type RandomStream } from '../random.ts'

/** W = U diag(s) Vᵀ with s falling. */
export interface Svd {
  readonly u: Tensor2D // (m, k)
  readonly s: Tensor1D // (k)
  readonly v: Tensor2D // (n, k)
}

/**
 * The singular value decomposition of a matrix (m, n), with k = min(m, n). Where a singular value is 0 its vectors may
 * be zeros. Call inside a tidy.
 *
 * @example const { u, s, v } = svd(weight)
 */
export function svd(matrix: Tensor2D): Svd {
  const native = tensorflow()
  if (native === undefined) return jacobi(matrix)
  const attributes = attributesOf({ T: 'float32', compute_uv: true, full_matrices: false })
  const [s, u, v] = native.executeMultipleOutputs('Svd', attributes, [matrix], 3) as [Tensor1D, Tensor2D, Tensor2D]
  return { u, s, v }
}

/** How many directions more than asked for a randomised search carries along: Halko et al. advise 5 to 10. */
const OVERSAMPLING = 8

/**
 * The `rank` largest singular values and their vectors, by a randomised search; cheap where `rank` is small. Each
 * iteration sharpens the result by the square of the ratio between neighbouring singular values. Call inside a tidy.
 *
 * Source: Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithms 4.4 and 5.1
 *
 * @example const { u, s, v } = randomizedSvd(weight, 16, 4, randomStream(seed, site))
 */
export function randomizedSvd(matrix: Tensor2D, rank: number, iterations: number, stream: RandomStream): Svd {
  const [m, n] = matrix.shape
  const width = Math.min(rank + OVERSAMPLING, m, n)
  let q = orthonormal(tf.matMul(matrix, tf.tensor2d(normal(stream, n * width, 0, 1), [n, width])))
  for (let i = 0; i < iterations; i++) {
    q = orthonormal(tf.matMul(matrix, orthonormal(tf.matMul(matrix, q, true, false))))
  }
  const { u, s, v } = svd(tf.matMul(q, matrix, true, false))
  return { u: firstColumns(tf.matMul(q, u), rank), s: tf.slice(s, 0, rank), v: firstColumns(v, rank) }
}

/**
 * Q (m, k) with orthonormal columns that span the columns of a matrix (m, k), each in turn those before it: the Q of a
 * QR decomposition. A column that depends on those before it becomes zeros.
 */
export function orthonormal(matrix: Tensor2D): Tensor2D {
  const [m, n] = matrix.shape
  let q = tf.zeros<Rank.R2>([m, 0])
  for (let j = 0; j < n; j++) {
    const before = q
    q = tf.tidy(() => {
      const column = tf.slice(matrix, [0, j], [m, 1])
      const off = (x: Tensor2D): Tensor2D => tf.sub(x, tf.matMul(before, tf.matMul(before, x, true, false)))
      const rest = j === 0 ? column : off(off(column)) // the second takes off what rounding left: Giraud et al. 2005
      const [size, left] = [tf.norm(column), tf.norm(rest)]
      const next = tf.where(tf.greater(left, tf.mul(size, 1e-6)), tf.div(rest, left), 0) // below, it is the rounding of the matrix itself
      return tf.concat([before, next as Tensor2D], 1)
    })
    before.dispose()
  }
  return q
}

/** The first columns of a matrix. */
export function firstColumns(matrix: Tensor2D, count: number): Tensor2D {
  return tf.slice(matrix, [0, 0], [matrix.shape[0], count])
}

/**
 * One-sided Jacobi: rotates pairs of columns until all are orthogonal; their lengths are the singular values. In
 * float64, for backends without a decomposition of their own.
 *
 * Source: Hestenes 1958; Golub and Van Loan, Matrix Computations, 8.6
 */
export function jacobi(matrix: Tensor2D): Svd {
  const [m, n] = matrix.shape
  if (m < n) {
    const { u, s, v } = jacobi(tf.transpose(matrix))
    return { u: v, s, v: u }
  }
  const columns = columnsOf(matrix)
  const right = columns.map((_, j) => Float64Array.from({ length: n }, (__, i) => (i === j ? 1 : 0)))
  for (let rotated = true, sweep = 0; rotated && sweep < 60; sweep++) {
    rotated = false
    for (const [q, b] of columns.entries()) {
      for (const [p, a] of columns.slice(0, q).entries()) {
        const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)]
        if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) continue
        rotated = true
        const zeta = (bb - aa) / (2 * ab)
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
        const c = 1 / Math.sqrt(1 + t * t)
        rotate(a, b, c, c * t)
        rotate(right[p] as Float64Array, right[q] as Float64Array, c, c * t) // one for each column
      }
    }
  }
  const order = columns
    .map((column, j) => ({ size: Math.sqrt(dot(column, column)), column, right: right[j] as Float64Array }))
    .sort((x, y) => y.size - x.size)
  return {
    u: fromColumns(order.map(({ size, column }) => column.map((value) => (size > 0 ? value / size : 0))), m),
    s: tf.tensor1d(order.map(({ size }) => size)),
    v: fromColumns(order.map((entry) => entry.right), n),
  }
}

function columnsOf(matrix: Tensor2D): Float64Array[] {
  const [m, n] = matrix.shape
  const values = matrix.dataSync()
  return Array.from({ length: n }, (_, j) => Float64Array.from({ length: m }, (__, i) => values[i * n + j] ?? 0))
}

function fromColumns(columns: readonly Float64Array[], m: number): Tensor2D {
  const n = columns.length
  const values = new Float32Array(m * n)
  columns.forEach((column, j) => column.forEach((value, i) => (values[i * n + j] = value)))
  return tf.tensor2d(values, [m, n])
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number) // of one length
  return sum
}

function rotate(a: Float64Array, b: Float64Array, c: number, s: number): void {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number]
    a[i] = c * x - s * y
    b[i] = s * x + c * y
  }
}
