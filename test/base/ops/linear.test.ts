import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it, vi } from 'vitest'
import { BFLOAT16 } from '../../../src/base/engine/bfloat16.ts'
import { linear } from '../../../src/base/ops/linear.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers } from './forms.ts'

// The runtime's own bfloat16 products round their results too: test/base/engine/bfloat16.test.ts says how much.
vi.mock('../../../src/base/engine/native.ts', async (original) => ({ ...(await original<object>()), hasBfloat16Products: () => false }))

interface Inputs {
  readonly x: Tensor
  readonly weight: Tensor
  readonly bias: Tensor
}

const ours = ({ x, weight, bias }: Inputs): Tensor => linear(x as Tensor2D, weight as Tensor2D, bias as Tensor1D)
const plain = ({ x, weight, bias }: Inputs): Tensor => tf.add(tf.matMul(x, weight, false, true), bias)

function inputs(N: number, size: number, out: number): Inputs {
  return { x: numbers([N, size], 1), weight: numbers([out, size], 2), bias: numbers([out], 3) }
}

eachForm('a linear layer', (form) => {
  it.each([
    [1, 1, 1],
    [3, 17, 33],
    [11, 50, 9],
    [16, 31, 7],
    [33, 3, 65],
    [300, 65, 130],
    [530, 801, 50],
  ])('of %i rows, %i in and %i out agrees with tfjs, gradients included', (N, size, out) => {
    const [given, dy] = [inputs(N, size, out), numbers([N, out], 4)]
    expectClose(differentiate(ours, given, dy), differentiateByTfjs(plain, given, dy), 2e-6)
  })

  it('leaves its inputs as they are', () => {
    const given = inputs(5, 4, 6)
    const copies = Object.values<Tensor>({ ...given }).map((tensor) => tensor.dataSync().slice())
    expect(ours(given).dataSync()).toEqual(ours(given).dataSync())
    expect(Object.values<Tensor>({ ...given }).map((tensor) => tensor.dataSync())).toEqual(copies)
  })

  it('with a frozen weight keeps nothing for the backward pass', () => {
    const given = inputs(5, 4, 6)
    differentiate(
      ({ x }) => {
        const before = tf.memory().numTensors
        const y = ours({ ...given, x })
        expect(tf.memory().numTensors - before).toBe(1) // y
        return y
      },
      { x: given.x },
      tf.ones([5, 6]),
    )
  })

  it.runIf(form !== 'composed').each([[2, 'FewRows'], [40, 'ManyRows']])('of %i rows with a bias of the wrong size is an error', (N, kernel) => {
    expect(() => ours({ ...inputs(N, 3, 4), bias: tf.ones([5]) })).toThrow(`${kernel}: expected 4 elements in bias, got 5`)
  })
})

eachForm('a linear layer with a frozen bfloat16 weight', (form) => {
  const rounded = (x: Tensor): Tensor => {
    const weight = BFLOAT16.of(x)
    const wide = weight.float32()
    weight.dispose()
    return wide
  }

  it.each([
    [1, 1, 1],
    [1, 768, 5],
    [3, 17, 33],
    [4, 9, 2],
    [11, 50, 9],
    [16, 31, 7],
    [17, 31, 7],
    [4, 64, 16],
    [8, 96, 50],
    [16, 32, 33],
    [300, 65, 130],
    [530, 1101, 50],
    [530, 50, 1101],
  ])('of %i rows, %i in and %i out is one in float32 with the rounded weight, gradients included', (N, size, out) => {
    const asRead = (x: Tensor, isFew: boolean): Tensor => (['amx', 'avx512bf16'].includes(form) && !isFew ? rounded(x) : x) // they multiply bfloat16 numbers
    const isFew = form === 'amx' ? N < 4 || (N <= 16 && (size % 32 !== 0 || out < 16)) : N <= 10
    tf.tidy(() => {
      const { weight, ...given } = inputs(N, size, out)
      const [stored, dy] = [BFLOAT16.of(weight), tf.keep(numbers([N, out], 4))]
      const kept = { x: tf.keep(given.x), bias: tf.keep(given.bias), weight: tf.keep(stored.float32()) }
      const got = differentiate(({ x, bias }) => linear(x as Tensor2D, stored, bias as Tensor1D), kept, dy, ['x', 'bias'])
      const { y, grads: { bias = new Float32Array() } } = differentiateByTfjs(plain, { ...kept, x: asRead(kept.x, isFew) }, dy)
      const { grads: { x = new Float32Array() } } = differentiateByTfjs(plain, kept, asRead(dy, false))
      expectClose(got, { y, grads: { x, bias } }, 2e-6)
      stored.dispose()
      tf.dispose([dy, ...Object.values(kept)])
    })
  })

  it.each([2, 40])('lets infinities and NaN through in %i rows', (N) => {
    tf.tidy(() => {
      const weight = BFLOAT16.of(tf.tensor2d([[Infinity, 1, 0], [1, 2, 3], [-Infinity, 0, 0]]))
      const x = tf.tile(tf.tensor2d([[1, NaN, 0], [1, 2, 3]]), [N / 2, 1])
      const y = linear(x, weight).dataSync()
      expect([...y.slice(0, 6)]).toEqual([NaN, NaN, NaN, Infinity, 14, -Infinity])
      weight.dispose()
    })
  })

  it.runIf(form !== 'composed')('of a few rows with a weight of another width is an error', () => {
    tf.tidy(() => {
      const weight = BFLOAT16.of(tf.ones([4, 5]))
      expect(() => linear(tf.ones([2, 3]), weight)).toThrow('FewRowsBfloat16: expected x (M, K) and weight (N, K)')
      weight.dispose()
    })
  })
})
