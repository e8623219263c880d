import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { BFLOAT16 } from '../../../src/base/engine/bfloat16.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { nativeInstructionSets, useNative } from '../../../src/base/engine/native.ts'
import { balanceLoss, collect, dispatch, expertWeights, groupedLinear, groupsOf, largest } from '../../../src/base/ops/experts.ts'
import { bridge } from '../../../src/base/autodiff/tape.ts'
import { normal, randomStream } from '../../../src/base/random.ts'
import { largestDifference, valuesOf } from '../../golden.ts'

await loadEngine()

afterEach(() => {
  useNative(nativeInstructionSets()[0])
})

const random = (name: string, shape: number[]): tf.Tensor => tf.tensor(normal(randomStream(3, name), shape.reduce((a, b) => a * b, 1), 0, 1), shape)

/** Experts of rows, ascending; some have none. */
const expertsOf = (counts: readonly number[]): Tensor1D => tf.tensor1d(counts.flatMap((count, e) => new Array<number>(count).fill(e)), 'int32')

/** Row by row, in JavaScript's numbers. */
function products(x: Tensor2D, weight: Tensor3D, experts: Tensor1D, transposed: boolean): Float64Array {
  const [[S, K], [, rows, columns], of] = [x.shape, weight.shape, experts.dataSync()]
  const [xs, ws, N] = [valuesOf(x), valuesOf(weight), transposed ? rows : columns]
  return Float64Array.from({ length: S * N }, (_, i) => {
    const [s, n] = [Math.floor(i / N), i % N]
    let sum = 0
    for (let k = 0; k < K; k++) sum += (xs[s * K + k] ?? 0) * (ws[(of[s] ?? 0) * rows * columns + (transposed ? n * columns + k : k * columns + n)] ?? 0)
    return sum
  })
}

const SIZES = [
  { counts: [3, 0, 1, 25], inSize: 5, outSize: 3 },
  { counts: [0, 0, 40], inSize: 33, outSize: 17 },
  { counts: [12, 9, 0], inSize: 64, outSize: 50 },
  { counts: [1], inSize: 1, outSize: 1 },
]

describe.each([...nativeInstructionSets(), 'composed'])('%s', (set) => {
  it.each(SIZES)('multiplies rows with the matrices of their experts, and sums outer products: %o', ({ counts, inSize, outSize }) => {
    useNative(set === 'composed' ? undefined : set)
    tf.tidy(() => {
      const [experts, E] = [expertsOf(counts), counts.length]
      const [x, dy, w] = [random('x', [experts.size, inSize]) as Tensor2D, random('dy', [experts.size, outSize]) as Tensor2D, random('w', [E, outSize, inSize]) as Tensor3D]
      const trained = tf.variable(w)
      const rows = tf.variable(x)
      const { value, grads } = valueAndGrads(() => {
        const y = groupedLinear({ rows, experts }, trained)
        expect(largestDifference(valuesOf(y), Float32Array.from(products(x, w, experts, true)))).toBeLessThan(1e-4)
        return bridge<Scalar>([y, dy], (a, b) => tf.sum(tf.mul(a, b)))
      }, { rows, trained })
      expect(largestDifference(valuesOf(grads['rows'] as tf.Tensor), Float32Array.from(products(dy, w, experts, false)))).toBeLessThan(1e-4)
      const outer = Array.from({ length: E }, (_, e) => {
        const own = tf.where(tf.expandDims(tf.equal(experts, e), 1), dy, tf.zerosLike(dy))
        return tf.matMul(own, x, true, false)
      })
      expect(largestDifference(valuesOf(grads['trained'] as tf.Tensor), valuesOf(tf.stack(outer)))).toBeLessThan(1e-4)
      tf.dispose([value, rows, trained])
    })
  })

  it('holds the stack in bfloat16', () => {
    useNative(set === 'composed' ? undefined : set)
    tf.tidy(() => {
      const experts = expertsOf([3, 1, 0, 30])
      const [x, w] = [random('x', [34, 20]) as Tensor2D, random('w', [4, 9, 20])]
      const held = BFLOAT16.of(w)
      const [wide, y] = [held.float32() as Tensor3D, valuesOf(held.grouped(x, experts, true))]
      expect(largestDifference(y, Float32Array.from(products(x, wide, experts, true)))).toBeLessThan(['amx', 'avx512bf16'].includes(set) ? 0.1 : 1e-4) // there x is rounded too
      held.dispose()
    })
  })
})

it.each([...nativeInstructionSets(), 'composed'])('brings each row to its experts and back with its weights (%s)', (set) => {
  useNative(set === 'composed' ? undefined : set)
  tf.tidy(() => {
    const chosen = tf.tensor2d([[2, 0], [0, 1], [2, 1]], [3, 2], 'int32')
    const groups = groupsOf(chosen)
    expect([...groups.experts.dataSync()]).toEqual([0, 0, 1, 1, 2, 2])
    expect([...groups.tokens.dataSync()]).toEqual([0, 1, 1, 2, 0, 2])
    const x = tf.tensor2d([[1, 2], [3, 4], [5, 6]])
    const weights = tf.tensor2d([[0.25, 0.75], [1, 2], [0.5, 0]])
    const rows = dispatch(x, groups)
    const scaled = tf.mul<Tensor2D>(rows, tf.expandDims(tf.add(groups.experts, 1), 1)) // expert e multiplies by e + 1
    expect([...valuesOf(collect(scaled, weights, groups))]).toEqual([1.5, 3, 15, 20, 7.5, 9])
  })
})

it.each([...nativeInstructionSets(), 'composed'])('gives the rows that tokens come from their gradients, and the weights theirs (%s)', (set) => {
  useNative(set === 'composed' ? undefined : set)
  tf.tidy(() => {
    for (const [N, K, D] of [[3, 2, 5], [9, 1, 33], [40, 4, 16]] as const) {
      const places = tf.tensor1d([...tf.util.createShuffledIndices(N * K)], 'int32')
      const groups = { tokens: places, experts: places, places } // of which only the places take part
      const [y, weights, dy] = [tf.variable(random('y', [N * K, D]) as Tensor2D), tf.variable(random('weights', [N, K]) as Tensor2D), random('dy', [N, D])]
      const byHand = (...[rows, shares]: tf.Tensor[]): tf.Tensor => tf.sum(tf.mul(tf.reshape(tf.gather(rows as tf.Tensor, places), [N, K, D]), tf.expandDims(shares as tf.Tensor, 2)), 1)
      const { value, grads } = valueAndGrads(() => bridge<Scalar>([collect(y, weights, groups), dy], (a, b) => tf.sum(tf.mul(a, b))), { y, weights })
      const expected = tf.grads((...given) => tf.sum(tf.mul(byHand(...given), dy)))([y, weights])
      expect(largestDifference(valuesOf(collect(y, weights, groups)), valuesOf(byHand(y, weights)))).toBeLessThan(1e-5)
      for (const [i, name] of ['y', 'weights'].entries()) expect(largestDifference(valuesOf(grads[name] as tf.Tensor), valuesOf(expected[i] as tf.Tensor))).toBeLessThan(1e-5)
      tf.dispose([value, y, weights])
    }
  })
})

it.runIf(nativeInstructionSets().length > 0)('places that are no rows are an error', () => {
  tf.tidy(() => {
    const groups = (places: number[]) => ({ tokens: tf.tensor1d([]), experts: tf.tensor1d([]), places: tf.tensor1d(places, 'int32') })
    expect(() => collect(tf.ones([2, 3]), tf.ones([1, 2]), groups([0, 2]))).toThrow('Collect: expected places from 0 to 1, got 2')
    expect(() => collect(tf.ones([2, 3]), tf.ones([1, 2]), groups([0]))).toThrow('Collect: expected a place for each of 2 rows, 2 of each token, got 1')
  })
})

it.each([...nativeInstructionSets(), 'composed'].flatMap((set) => [[set, 'chosen'], [set, 'all']] as const))('has the gradients of finite differences through weights, rows and outputs (%s, shares among %s)', (set, among) => {
  useNative(set === 'composed' ? undefined : set)
  tf.tidy(() => {
    const [x, logits] = [tf.variable(random('x', [5, 3])), tf.variable(random('logits', [5, 4]))]
    const [w, dy] = [random('w', [4, 3, 3]) as Tensor3D, random('dy', [5, 3])]
    const chosen = largest(logits as unknown as Tensor2D, 2)
    const loss = (): Scalar => tf.tidy(() => {
      const groups = groupsOf(chosen)
      const y = groupedLinear({ rows: dispatch(x as unknown as Tensor2D, groups), experts: groups.experts }, w)
      const mixed = collect(y, expertWeights(logits as unknown as Tensor2D, chosen, among), groups)
      const balance = balanceLoss([{ logits: logits as unknown as Tensor2D, chosen }], tf.tensor1d([1, 1, 0, 1, 1]))
      return bridge<Scalar>([mixed, dy, balance], (a, b, c) => tf.add(tf.sum(tf.mul(a, b)), c))
    })
    const { value, grads } = valueAndGrads(loss, { x, logits })
    for (const [name, variable] of Object.entries({ x, logits })) {
      const [before, step] = [variable.clone(), 1e-2]
      const slopes = Array.from(valuesOf(before), (_, i) => {
        const [up, down] = [step, -step].map((move) => {
          variable.assign(tf.add(before, tf.mul(tf.reshape(tf.oneHot(i, before.size), before.shape), move)))
          return valuesOf(loss())[0] ?? NaN
        })
        return ((up ?? NaN) - (down ?? NaN)) / (2 * step)
      })
      variable.assign(before)
      expect(largestDifference(valuesOf(grads[name] as tf.Tensor), Float32Array.from(slopes)), name).toBeLessThan(5e-3)
    }
    tf.dispose([value, x, logits])
  })
})

it('the balance is the number of experts of a token where all are used alike', () => {
  tf.tidy(() => {
    const logits = tf.zeros<tf.Rank.R2>([4, 4])
    const chosen = tf.tensor2d([[0, 1], [2, 3], [1, 0], [3, 2]], [4, 2], 'int32')
    expect(valuesOf(balanceLoss([{ logits, chosen }], tf.ones([4])))[0]).toBeCloseTo(2, 6)
  })
})

it('gives a single expert the whole weight of each token', () => {
  tf.tidy(() => {
    const logits = tf.tensor2d([[0.3], [-2]])
    const chosen = largest(logits, 1)
    for (const among of ['chosen', 'all'] as const) expect([...valuesOf(expertWeights(logits, chosen, among))]).toEqual([1, 1])
    expect(valuesOf(balanceLoss([{ logits, chosen }], tf.ones([2])))[0]).toBe(1)
  })
})
