import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { jacobi, orthonormal, randomizedSvd, svd, type Svd } from '../../../src/base/ops/svd.ts'
import { normal, randomStream } from '../../../src/base/random.ts'
import { largestDifference, valuesOf } from '../../golden.ts'

beforeAll(loadEngine)

const matrix = (m: number, n: number): Tensor2D => tf.tensor2d(normal(randomStream(1, m, n), m * n, 0, 1), [m, n])
const identity = (n: number): Float32Array => Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0))
const gram = (q: Tensor2D): Float32Array => valuesOf(tf.matMul(q, q, true, false))
const product = ({ u, s, v }: Svd): Tensor2D => tf.matMul<Tensor2D>(tf.mul<Tensor2D>(u, s), v, false, true)

describe.each([['svd', svd], ['jacobi', jacobi]] as const)('%s', (_, decompose) => {
  it.each([[7, 7], [12, 5], [5, 12], [1, 4]])('splits a matrix of %i × %i into orthonormal vectors and falling values', (m, n) => {
    tf.tidy(() => {
      const w = matrix(m, n)
      const found = decompose(w)
      const k = Math.min(m, n)
      expect([found.u.shape, found.s.shape, found.v.shape]).toEqual([[m, k], [k], [n, k]])
      expect(largestDifference(valuesOf(product(found)), valuesOf(w))).toBeLessThan(3e-6)
      expect(largestDifference(gram(found.u), identity(k))).toBeLessThan(2e-6)
      expect(largestDifference(gram(found.v), identity(k))).toBeLessThan(2e-6)
      const values = [...valuesOf(found.s)]
      expect(values).toEqual([...values].sort((a, b) => b - a))
    })
  })

  it('gives the product back where the rank is less than full', () => {
    tf.tidy(() => {
      const w = tf.matMul<Tensor2D>(matrix(9, 2), matrix(2, 6))
      const found = decompose(w)
      expect(largestDifference(valuesOf(product(found)), valuesOf(w))).toBeLessThan(3e-6)
      expect(valuesOf(found.s)[2]).toBeLessThan(1e-5)
    })
  })
})

it('a randomised search comes to the largest directions as its iterations grow', () => {
  tf.tidy(() => {
    // singular values 1, 0.9, 0.81, …: close to each other, the hard case
    const { u, v } = svd(matrix(60, 40))
    const w = tf.matMul<Tensor2D>(tf.mul<Tensor2D>(u, tf.tensor1d(Array.from({ length: 40 }, (_, i) => 0.9 ** i))), v, false, true)
    const exact = svd(w)
    const best = product({ u: tf.slice(exact.u, [0, 0], [60, 4]), s: tf.slice(exact.s, 0, 4), v: tf.slice(exact.v, [0, 0], [40, 4]) })
    const errors = [0, 2, 6, 16].map((iterations) => {
      const found = randomizedSvd(w, 4, iterations, randomStream(2, 'search'))
      return largestDifference(valuesOf(product(found)), valuesOf(best))
    })
    expect(errors[0]).toBeGreaterThan(1e-2)
    for (const [i, error] of errors.slice(0, 3).entries()) if (i > 0) expect(error).toBeLessThan(errors[i - 1] ?? 0)
    expect(errors[3]).toBeLessThan(1e-5)
  })
})

it('orthonormal columns span the columns in turn, and a dependent one becomes zeros', () => {
  tf.tidy(() => {
    const w = matrix(8, 3)
    const q = orthonormal(w)
    expect(largestDifference(gram(q), identity(3))).toBeLessThan(1e-6)
    const r = valuesOf(tf.matMul(q, w, true, false))
    for (const below of [3, 6, 7]) expect(Math.abs(r[below] ?? NaN)).toBeLessThan(1e-6)
    const doubled = orthonormal(tf.concat([w, tf.mul<Tensor2D>(w, 2)], 1))
    expect([...valuesOf(tf.slice(doubled, [0, 3], [8, 3]))].every((value) => value === 0)).toBe(true)
  })
})
