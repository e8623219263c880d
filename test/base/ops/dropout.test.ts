import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { useNative } from '../../../src/base/engine/native.ts'
import { dropout, dropoutMask } from '../../../src/base/ops/dropout.ts'
import { uniform } from '../../../src/base/engine/kernels.ts'
import { differentiate, eachForm, fusedForms, numbers } from './forms.ts'

eachForm('dropout', (form) => {
  it('zeroes its share of the elements and scales the others up, forward and backward alike', () => {
    const x = tf.ones([64, 100])
    const { y, grads } = differentiate((given) => dropout(given.x, 0.25, [1, 2]), { x }, tf.ones([64, 100]))
    const scale = Math.fround(1 / (1 - 0.25))
    expect(y.every((value) => value === 0 || Math.abs(value - scale) < 1e-6)).toBe(true)
    const share = y.filter((value) => value === 0).length / y.length
    expect(Math.abs(share - 0.25)).toBeLessThan(0.02) // 3.7 standard deviations of 6,400 draws
    expect(grads['x']).toEqual(y)
  })

  it('is the product with its mask', () => {
    for (const shape of [[1], [3, 1], [5, 17], [2, 3, 65], [2, 130]]) {
      const x = numbers(shape, 7)
      expect(dropout(x, 0.5, [3, 4]).dataSync()).toEqual(tf.mul(x, dropoutMask(shape, 0.5, [3, 4])).dataSync())
    }
  })

  it('draws the same again from the same seed, and something else from another one', () => {
    const draw = (seed: readonly [number, number]): Float32Array => uniform([4, 70], seed).dataSync<'float32'>()
    expect(draw([1, 2])).toEqual(draw([1, 2]))
    for (const other of [[2, 2], [1, 3], [-1, 2], [2, 1]] as const) expect(draw(other)).not.toEqual(draw([1, 2]))
  })

  it('keeps nothing for the backward pass', () => {
    differentiate(
      ({ x }) => {
        const before = tf.memory().numTensors
        const y = dropout(x, 0.5, [1, 2])
        expect(tf.memory().numTensors - before).toBe(1)
        return y
      },
      { x: tf.ones([10]) },
      tf.ones([10]),
    )
  })

  it('takes NaN and infinity through', () => {
    const y = dropout(tf.fill([1, 64], NaN), 0.5, [1, 2]).dataSync()
    expect(y.some(Number.isNaN)).toBe(true)
    expect(dropout(tf.fill([1, 64], Infinity), 0, [1, 2]).dataSync()).toEqual(new Float32Array(64).fill(Infinity))
  })

  it.runIf(form !== 'composed')('with a rate outside [0, 1) is an error', () => {
    expect(() => dropout(tf.ones([2]), 1, [1, 2])).toThrow('Dropout: expected a rate in [0, 1), got 1')
  })
})

describe('the random numbers of the fused kernels', () => {
  it.runIf(fusedForms.length > 0)('are those of Philox4x32-10', () => {
    // Random123's known answers: counter 0, key 0
    const words = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
    const drawn = uniform([1, 64], [0, 0]).dataSync()
    expect([0, 16, 32, 48].map((column) => drawn[column])).toEqual(words.map((word) => (word >>> 8) / 2 ** 24))
  })

  it.runIf(fusedForms.length > 0)('are the same for every instruction set', () => {
    const draws = fusedForms.map((form) => {
      useNative(form)
      return uniform([3, 5, 131], [-7, 123456789]).dataSync()
    })
    for (const draw of draws) expect(draw).toEqual(draws[0])
    useNative(fusedForms[0])
  })

  it.runIf(fusedForms.length > 0)('spread evenly, and neighbours are unrelated', () => {
    const N = 200
    const drawn = uniform([N, N], [5, 6]).dataSync<'float32'>()
    const at = (i: number): number => (drawn[i] ?? 0) - 0.5
    const mean = (f: (i: number) => number): number => drawn.reduce((sum, _, i) => sum + f(i), 0) / drawn.length
    expect(Math.abs(mean(at))).toBeLessThan(0.006) // 4 standard deviations
    expect(Math.abs(mean((i) => at(i) ** 2) - 1 / 12)).toBeLessThan(0.002)
    for (const lag of [1, 16, 64, N]) expect(Math.abs(mean((i) => at(i) * at((i + lag) % drawn.length)))).toBeLessThan(0.002)
  })
})
