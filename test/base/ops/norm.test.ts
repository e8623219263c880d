import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { layerNorm, rmsNorm } from '../../../src/base/ops/norm.ts'
import { largestDifference, readGolden } from '../../golden.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers } from './forms.ts'

interface Inputs {
  readonly x: Tensor
  readonly residual: Tensor
  readonly gamma: Tensor
  readonly beta: Tensor
}

const EPSILON = 1e-5

const ours = ({ x, residual, gamma, beta }: Inputs): Tensor =>
  layerNorm(x as Tensor2D, gamma as Tensor1D, beta as Tensor1D, EPSILON, residual as Tensor2D)

const plain = ({ x, residual, gamma, beta }: Inputs): Tensor => {
  const sum = tf.add(x, residual)
  const { mean, variance } = tf.moments(sum, 1, true)
  return tf.add(tf.mul(tf.div(tf.sub(sum, mean), tf.sqrt(tf.add(variance, EPSILON))), gamma), beta)
}

function inputs(N: number, D: number): Inputs {
  return { x: numbers([N, D], 1), residual: numbers([N, D], 2), gamma: numbers([D], 3), beta: numbers([D], 4) }
}

/** `eps` of each golden case, as in make_ops.py. */
const GOLDEN = { width_7: 1e-12, width_33: 1e-12, width_768: 1e-5, 'eps_1e-5': 1e-5, offset: 1e-12 }

const golden = await readGolden('ops.safetensors')

eachForm('layer norm', (form) => {
  it.each(Object.entries(GOLDEN))('has the true values and gradients: %s', (name, epsilon) => {
    const get = (key: string): Float32Array => golden.numbers(`layer_norm/${name}/${key}`) as Float32Array
    const D = get('gamma').length
    const rows = (key: string): Tensor2D => tf.tensor2d(get(key), [get(key).length / D, D])
    const { y, grads } = differentiate(
      ({ x, gamma, beta }) => layerNorm(x, gamma, beta, epsilon),
      { x: rows('x'), gamma: tf.tensor1d(get('gamma')), beta: tf.tensor1d(get('beta')) },
      rows('dy'),
    )
    // x is exact only to 4e-6 where its mean is 100 and its deviation 1
    const tolerance = name === 'offset' ? 2e-5 : 2e-6
    expect(largestDifference(y, get('y'))).toBeLessThan(tolerance)
    for (const key of ['x', 'gamma', 'beta']) {
      const expected = get(`d${key}`)
      const size = Math.max(1, ...expected.map(Math.abs))
      expect(largestDifference(grads[key] ?? [], expected) / size, key).toBeLessThan(tolerance)
    }
  })

  it.each([1, 3, 17, 33, 65])('of rows of %i agrees with tfjs, gradients included', (D) => {
    for (const N of [1, 5]) {
      const [given, dy] = [inputs(N, D), numbers([N, D], 5)]
      expectClose(differentiate(ours, given, dy), differentiateByTfjs(plain, given, dy), 3e-5)
    }
  })

  it('gives gradients to the inputs that want one, alone', () => {
    const [given, dy] = [inputs(4, 9), numbers([4, 9], 5)]
    const all = differentiate(ours, given, dy)
    for (const wanted of ['x', 'residual', 'gamma', 'beta'] as const) {
      const { grads } = differentiate(ours, given, dy, [wanted])
      expect(Object.keys(grads)).toEqual([wanted])
      expect(largestDifference(grads[wanted] ?? [], all.grads[wanted] ?? [])).toBe(0)
    }
  })

  it('takes one tensor as input and residual', () => {
    const [{ x, gamma, beta }, dy] = [inputs(3, 6), numbers([3, 6], 5)]
    const twice = (plainly: boolean) => (one: { x: Tensor }) => (plainly ? plain : ours)({ x: one.x, residual: one.x, gamma, beta })
    expectClose(differentiate(twice(false), { x }, dy), differentiateByTfjs(twice(true), { x }, dy), 3e-5)
  })

  it('leaves rows without NaN and infinity untouched by those with', () => {
    const x = numbers([4, 35], 1).arraySync() as number[][]
    ;(x[1] as number[])[34] = NaN
    ;(x[3] as number[])[0] = Infinity
    const given = { ...inputs(4, 35), x: tf.tensor2d(x) }
    const dy = numbers([4, 35], 5)
    const rows = differentiate(ours, given, dy, ['x', 'residual'])
    for (const values of [rows.y, ...Object.values(rows.grads)]) {
      const nans = [0, 1, 2, 3].map((row) => values.subarray(row * 35, row * 35 + 35).filter(Number.isNaN).length)
      expect([nans[0], nans[2]]).toEqual([0, 0])
      expect([nans[1], nans[3]]).toEqual([35, 35])
    }
  })

  it('of no rows has no rows', () => {
    const { x, gamma, beta } = inputs(0, 5)
    expect(layerNorm(x as Tensor2D, gamma as Tensor1D, beta as Tensor1D, EPSILON).shape).toEqual([0, 5])
  })

  it('keeps one tensor of the size of x for the backward pass', () => {
    const { x, gamma, beta } = inputs(4, 8)
    let kept = 0
    const dy = tf.ones([4, 8])
    differentiate(
      (given) => {
        const before = tf.memory().numBytes
        const y = layerNorm(given.x as Tensor2D, gamma as Tensor1D, beta as Tensor1D, EPSILON)
        kept = tf.memory().numBytes - before - y.size * 4
        return y
      },
      { x },
      dy,
    )
    expect(kept).toBe((4 * 8 + 4) * 4) // x̂ and one number a row
  })

  it.runIf(form !== 'composed')('of a wrong shape is an error that says what was expected', () => {
    const { x, beta } = inputs(2, 5)
    expect(() => layerNorm(x as Tensor2D, tf.ones([4]), beta as Tensor1D, EPSILON)).toThrow('Norm: expected 5 elements in gamma, got 4')
    expect(() => layerNorm(x as Tensor2D, tf.ones([5]), beta as Tensor1D, EPSILON, tf.ones([1, 5]))).toThrow(
      'Norm: expected 10 elements in residual, got 5',
    )
  })
})

eachForm('RMS norm', () => {
  it('whose weight is gamma and 1 agrees with tfjs, gradients included', () => {
    const [{ x, gamma }, dy] = [inputs(5, 17), numbers([5, 17], 5)]
    const given = { x, gamma }
    const twin = (all: typeof given): Tensor =>
      tf.mul(tf.div(all.x, tf.sqrt(tf.add(tf.mean(tf.square(all.x), 1, true), EPSILON))), tf.add(all.gamma, 1))
    const own = (all: typeof given): Tensor => rmsNorm(all.x as Tensor2D, all.gamma as Tensor1D, EPSILON, { zeroCentred: true })
    expectClose(differentiate(own, given, dy), differentiateByTfjs(twin, given, dy), 1e-5)
  })

  it.each([1, 3, 17, 33, 65])('of rows of %i agrees with tfjs, gradients included', (D) => {
    const [{ x, residual, gamma }, dy] = [inputs(5, D), numbers([5, D], 5)]
    const given = { x, residual, gamma }
    const twin = (all: typeof given): Tensor => {
      const sum = tf.add(all.x, all.residual)
      return tf.mul(tf.div(sum, tf.sqrt(tf.add(tf.mean(tf.square(sum), 1, true), EPSILON))), all.gamma)
    }
    const own = (all: typeof given): Tensor => rmsNorm(all.x as Tensor2D, all.gamma as Tensor1D, EPSILON, { residual: all.residual as Tensor2D })
    expectClose(differentiate(own, given, dy), differentiateByTfjs(twin, given, dy), 1e-5)
  })
})
