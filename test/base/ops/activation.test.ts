import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { activation, gated, gatedHalves } from '../../../src/base/ops/activation.ts'
import { largestDifference, readGolden } from '../../golden.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers, relativeDifference } from './forms.ts'

const golden = await readGolden('ops.safetensors')

const NAMES: readonly (readonly [name: string, golden: string])[] = [
  ['gelu', 'gelu'],
  ['gelu_new', 'gelu_tanh'],
  ['silu', 'silu'],
  ['relu', 'relu'],
  ...['gelu_10', 'gelu_accurate', 'gelu_fast', 'gelu_python', 'gelu_python_tanh', 'leaky_relu', 'mish', 'quick_gelu', 'relu2', 'sigmoid', 'tanh']
    .map((name) => [name, name] as const),
]

/** In plain tfjs operations, for what has no golden numbers. */
const PLAIN: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  gelu: (x) => tf.mul(x, tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5)),
  gelu_new: (x) =>
    tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1)),
  quick_gelu: (x) => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))),
  silu: (x) => tf.mul(x, tf.sigmoid(x)),
  relu: (x) => tf.relu(x),
  tanh: (x) => tf.tanh(x),
}

eachForm('activation', (form) => {
  it.each(NAMES)('%s has the true values and gradients', (name, key) => {
    const get = (part: string): Float32Array => golden.numbers(`activation/${key}/${part}`) as Float32Array
    const { y, grads } = differentiate(({ x }) => activation(name, x), { x: tf.tensor(get('x')) }, tf.tensor(get('dy')))
    expect(largestDifference(y, get('y'))).toBeLessThan(2e-6) // x to 10, half a unit in its last place is 5e-7
    expect(largestDifference(grads['x'] ?? [], get('dx'))).toBeLessThan(1e-6)
  })

  it.each(Object.entries(PLAIN))('%s agrees with tfjs at every length, gradients included', (name, twin) => {
    for (const size of [1, 3, 17, 33, 65]) {
      const [x, dy] = [tf.mul(numbers([size], size), 3), numbers([size], 99)]
      const all = { x }
      expectClose(differentiate((given) => activation(name, given.x), all, dy), differentiateByTfjs((given) => twin(given.x), all, dy), 3e-6)
    }
  })

  it.each(Object.entries(PLAIN))('%s takes NaN, infinities and huge numbers as tfjs does', (name, twin) => {
    const x = tf.tensor([NaN, Infinity, -Infinity, 1e30, -1e30, 100, -100, 0, -0, 1e-30, 3])
    expect(relativeDifference(activation(name, x).dataSync(), twin(x).dataSync())).toBeLessThan(1e-6)
  })

  it('keeps x alone for the backward pass', () => {
    let kept = 0
    differentiate(
      ({ x }) => {
        const before = tf.memory().numDataBuffers
        const y = activation('gelu', x)
        kept = tf.memory().numDataBuffers - before - 1 // y
        return y
      },
      { x: numbers([40], 1) },
      tf.ones([40]),
    )
    expect(kept).toBe(0) // x shares its data with what is kept
  })

  it.each(Object.entries(PLAIN))('%s of a gate times its partner agrees with tfjs, gradients included', (name, twin) => {
    const [given, dy] = [{ gate: numbers([3, 11], 1), up: numbers([3, 11], 2) }, numbers([3, 11], 3)]
    expectClose(
      differentiate(({ gate, up }) => gated(name, gate, up), given, dy),
      differentiateByTfjs(({ gate, up }) => tf.mul(twin(gate), up), given, dy),
      3e-6,
    )
  })

  it.each(Object.entries(PLAIN))('%s of gates times the ups behind them agrees with tfjs, gradients included', (name, twin) => {
    for (const [rows, size] of [[1, 1], [3, 11], [7, 33]] as const) {
      const [given, dy] = [{ both: numbers([rows, 2 * size], 1) }, numbers([rows, size], 3)]
      const halves = ({ both }: { readonly both: Tensor }): Tensor => tf.mul(twin(tf.slice(both, [0, 0], [rows, size])), tf.slice(both, [0, size], [rows, size]))
      expectClose(differentiate(({ both }) => gatedHalves(name, both as Tensor2D), given, dy), differentiateByTfjs(halves, given, dy), 3e-6)
    }
  })

  it('of long rows is the same wherever they are cut for threads', () => {
    const [gate, up] = [numbers([40_001], 1), numbers([40_001], 2)]
    expect(relativeDifference(gated('silu', gate, up).dataSync(), tf.mul(tf.mul(gate, tf.sigmoid(gate)), up).dataSync())).toBeLessThan(1e-6)
  })

  it.runIf(form !== 'composed')('of an odd number of gates and ups is an error', () => {
    expect(() => gatedHalves('silu', tf.ones([2, 3]))).toThrow('GatedSilu: expected as many gates as ups, got 3 in all')
  })

  it.runIf(form !== 'composed')('of two shapes that do not fit is an error', () => {
    expect(() => gated('silu', tf.ones([3]), tf.ones([4]))).toThrow('GatedSilu: expected 3 elements in up, got 4')
  })
})

it('an unknown activation is an error that lists those there are', () => {
  expect(() => activation('swiglu', tf.ones([1]))).toThrow(
    "Activation: expected one of gelu, gelu_python, gelu_10, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, relu, relu2, " +
      "leaky_relu, silu, swish, mish, tanh, sigmoid; got 'swiglu'.",
  )
})
