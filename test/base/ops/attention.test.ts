import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attend } from '../../../src/base/ops/attention.ts'
import { MASKED } from '../../../src/base/ops/attention-call.ts'
import { dropoutMask } from '../../../src/base/ops/dropout.ts'
import { largestDifference, readGolden } from '../../golden.ts'
import { differentiate, differentiateByTfjs, eachForm, expectClose, numbers, relativeDifference } from './forms.ts'
import type { AttentionCall } from '../../../src/base/ops/attention-call.ts'

const golden = await readGolden('ops.safetensors')

interface Inputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
}

type Options = Omit<AttentionCall, 'q' | 'k' | 'v'>

const ours = (options: Options) => ({ q, k, v }: Inputs): Tensor =>
  attend({ q: q as Tensor4D, k: k as Tensor4D, v: v as Tensor4D, ...options })

const swap = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3])

/** The same in plain tfjs operations. */
const plain = ({ scale, keyBias, causal = false, dropout }: Options) => ({ q, k, v }: Inputs): Tensor => {
  const [B, T, H] = q.shape as [number, number, number]
  const [, K, G, D] = k.shape as [number, number, number, number]
  // tfjs has no gradient for a tile of five axes
  const spread = (x: Tensor): Tensor => swap(tf.reshape(tf.tile(tf.reshape(x, [B * K, G, 1, D]), [1, 1, H / G, 1]), [B, K, H, D]))
  let scores = tf.mul(tf.matMul(swap(q), spread(k), false, true), scale)
  if (keyBias !== undefined) scores = tf.add(scores, tf.reshape(keyBias, [B, 1, 1, K]))
  if (causal) scores = tf.add(scores, tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([T, K]), -1, K - T)), -2e30))
  const p = tf.softmax(scores)
  return swap(tf.matMul(dropout === undefined ? p : tf.mul(p, dropoutMask(p.shape, dropout.rate, dropout.seed)), spread(v)))
}

function inputs(B: number, T: number, K: number, H: number, G: number, D: number): Inputs {
  return { q: numbers([B, T, H, D], 1), k: numbers([B, K, G, D], 2), v: numbers([B, K, G, D], 3) }
}

/** 0 for a key that counts, MASKED for every third. */
function everyThirdMasked(B: number, K: number): Tensor2D {
  return tf.tensor2d(Float32Array.from({ length: B * K }, (_, i) => (i % 3 === 1 ? MASKED : 0)), [B, K])
}

eachForm('attention', (form) => {
  it.each(['full', 'padded', 'causal', 'grouped_padded', 'grouped_causal_padded', 'cross'])(
    'has the true values and gradients: %s',
    (name) => {
      const get = (key: string): Tensor => tf.tensor(golden.numbers(`attention/${name}/${key}`), [...golden.shape(`attention/${name}/${key}`)])
      const turned = (key: string): Float32Array => swap(get(key)).dataSync<'float32'>() // (B, H, T, D) there
      const { y, grads } = differentiate(
        ours({
          scale: 1 / Math.sqrt(8),
          keyBias: tf.mul(tf.sub(1, tf.cast(get('mask'), 'float32')), MASKED),
          causal: name.includes('causal'),
        }),
        { q: swap(get('q')), k: swap(get('k')), v: swap(get('v')) },
        swap(get('dy')),
      )
      expect(relativeDifference(y, turned('y'))).toBeLessThan(2e-6)
      for (const key of ['q', 'k', 'v']) expect(relativeDifference(grads[key] ?? [], turned(`d${key}`)), key).toBeLessThan(2e-6)
    },
  )

  it.each([
    [1, 1, 1, 1, 1, 1],
    [2, 3, 5, 2, 1, 3],
    [1, 17, 33, 3, 3, 17],
    [2, 33, 17, 4, 2, 8],
    [1, 65, 65, 2, 2, 33],
    [1, 70, 300, 6, 3, 20],
    [1, 300, 300, 1, 1, 5],
    [2, 1, 33, 4, 2, 17],
    [1, 1, 300, 6, 1, 20],
    [2, 1, 65, 12, 1, 64],
    [1, 1, 17, 5, 5, 33],
    [3, 1, 40, 2, 1, 130],
  ])('of B %i, T %i, K %i, heads %i and %i, D %i agrees with tfjs, gradients included', (B, T, K, H, G, D) => {
    const given = inputs(B, T, K, H, G, D)
    const dy = numbers([B, T, H, D], 4)
    const dropout = { rate: 0.3, seed: [5, 6] as const }
    for (const options of [{}, { keyBias: everyThirdMasked(B, K) }, { dropout }, ...(K >= T ? [{ causal: true }, { causal: true, dropout }] : [])]) {
      const all = { scale: 0.7, ...options }
      expectClose(differentiate(ours(all), given, dy), differentiateByTfjs(plain(all), given, dy), 1e-5)
    }
  })

  it('gives gradients to the inputs that want one, alone', () => {
    const [given, dy] = [inputs(1, 4, 6, 2, 1, 3), numbers([1, 4, 2, 3], 4)]
    const all = differentiate(ours({ scale: 1 }), given, dy)
    for (const wanted of ['q', 'k', 'v'] as const) {
      const { grads } = differentiate(ours({ scale: 1 }), given, dy, [wanted])
      expect(Object.keys(grads)).toEqual([wanted])
      expect(largestDifference(grads[wanted] ?? [], all.grads[wanted] ?? [])).toBe(0)
    }
  })

  it('of a row whose keys are all masked is finite', () => {
    const keyBias = tf.fill<tf.Rank.R2>([1, 5], MASKED)
    for (const causal of [false, true]) {
      const { y, grads } = differentiate(ours({ scale: 1, keyBias, causal }), inputs(1, 5, 5, 2, 2, 4), tf.ones([1, 5, 2, 4]))
      for (const values of [y, ...Object.values(grads)]) expect(values.every(Number.isFinite)).toBe(true)
    }
  })

  it('of scores far apart neither overflows nor loses the sum', () => {
    const given = { q: tf.fill([1, 2, 1, 4], 50), k: tf.mul(numbers([1, 40, 1, 4], 2), 50), v: numbers([1, 40, 1, 4], 3) }
    const dy = tf.ones([1, 2, 1, 4])
    expectClose(differentiate(ours({ scale: 1 }), given, dy, ['v']), differentiateByTfjs(plain({ scale: 1 }), given, dy), 1e-4)
  })

  it('takes NaN to the queries and heads that see it, and to no other', () => {
    const { q, k, v } = inputs(2, 3, 3, 2, 2, 2)
    const values = q.dataSync().slice()
    values[0] = NaN // sample 0, query 0, head 0
    const y = ours({ scale: 1 })({ q: tf.tensor(values, q.shape), k, v }).dataSync()
    expect([...y.keys()].filter((i) => Number.isNaN(y[i]))).toEqual([0, 1])
  })

  it('in the backward pass needs q, k, v and no probabilities', () => {
    const [T, D] = [32, 4]
    let bytes = 0
    differentiate(
      (given) => {
        const before = tf.memory().numBytes
        const y = ours({ scale: 1 })(given)
        bytes = tf.memory().numBytes - before - y.size * 4
        return y
      },
      inputs(1, T, T, 1, 1, D),
      tf.ones([1, T, 1, D]),
    )
    const probabilities = T * T * 4
    // tfjs counts the shared data of q, k and v again
    expect(bytes - 3 * T * D * 4).toBe(form === 'composed' ? probabilities : 0)
  })

  it('of no queries is empty, and its keys have no gradient', () => {
    const given = inputs(1, 0, 4, 2, 1, 3)
    const { y, grads } = differentiate(ours({ scale: 1 }), given, tf.zeros([1, 0, 2, 3]))
    expect(y.length).toBe(0)
    for (const name of ['k', 'v']) expect(grads[name]).toEqual(new Float32Array(12))
  })

  it('of causal queries without a key each is an error', () => {
    expect(() => ours({ scale: 1, causal: true })(inputs(1, 3, 2, 1, 1, 4))).toThrow(
      'expected at least as many keys as queries in causal attention, got 2 and 3',
    )
  })

  it.runIf(form !== 'composed')('of wrong shapes is an error that says what was expected', () => {
    const { q, k, v } = inputs(1, 3, 4, 4, 2, 4)
    const call = (bad: Partial<Inputs>, keyBias?: Tensor2D) => (): Tensor => ours({ scale: 1, keyBias })({ q, k, v, ...bad })
    expect(call({ v: numbers([1, 5, 2, 4], 1) })).toThrow('expected k and v of one shape; they differ in dimension 1, 4 and 5')
    expect(call({ q: numbers([1, 3, 3, 4], 1) })).toThrow('expected a number of heads that 2 key heads divide, got 3')
    expect(call({ q: numbers([2, 3, 4, 4], 1) })).toThrow('expected q and k of one batch and head size, got (2, 4) and (1, 4)')
    expect(call({ q: numbers([3, 4, 4], 1) })).toThrow('expected q, k and v of 4 dimensions')
    expect(call({}, tf.zeros([1, 3]))).toThrow('expected 4 elements in keyBias, got 3')
  })
})
