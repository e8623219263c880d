import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { perExampleGrads } from '../../../src/base/autodiff/grads.ts'
import { op } from '../../../src/base/autodiff/tape.ts'
import { useNative } from '../../../src/base/engine/native.ts'
import { attend } from '../../../src/base/ops/attention.ts'
import { MASKED } from '../../../src/base/ops/attention-call.ts'
import { dropoutMask } from '../../../src/base/ops/dropout.ts'
import { readGolden } from '../../golden.ts'
import { differentiate, eachForm, expectClose, numbers, relativeDifference } from './forms.ts'
import type { AttentionCall } from '../../../src/base/ops/attention-call.ts'

const golden = await readGolden('ops.safetensors')

/** Samples, queries, keys, heads, key heads, head size. */
type Sizes = readonly [B: number, T: number, K: number, H: number, G: number, D: number]

type Inputs = Readonly<Record<string, Tensor>>

type Options = Pick<AttentionCall, 'scale' | 'cap' | 'causal' | 'keyBias' | 'dropout' | 'window'>

/** Tensors of a call, with a bias of `biases` samples and sinks where asked. */
function inputs([B, T, K, H, G, D]: Sizes, { biases, sinks = false }: { readonly biases?: number; readonly sinks?: boolean }): Inputs {
  return {
    q: numbers([B, T, H, D], 1),
    k: numbers([B, K, G, D], 2),
    v: numbers([B, K, G, D], 3),
    ...(biases === undefined ? {} : { bias: numbers([biases, H, T, K], 5) }),
    ...(sinks ? { sinks: numbers([H], 6) } : {}),
  }
}

const ours = (options: Options) => (given: Inputs): Tensor => attend({ ...given, ...options } as unknown as AttentionCall)

/** Σ y · dy in double precision, as the formula says it. */
function formula([B, T, K, H, G, D]: Sizes, options: Options, given: Readonly<Record<string, Float64Array>>, biases: number): Float64Array {
  const { scale, cap, causal = false, window = Infinity, keyBias, dropout } = options
  const never = keyBias?.dataSync()
  const kept = dropout === undefined ? undefined : tf.tidy(() => dropoutMask([B, H, T, K], dropout.rate, dropout.seed).dataSync())
  const { q, k, v, bias, sinks } = given as Readonly<Record<'q' | 'k' | 'v', Float64Array>> & Readonly<Partial<Record<'bias' | 'sinks', Float64Array>>>
  const at = (x: ArrayLike<number> | undefined, i: number): number => x?.[i] ?? 0
  const y = new Float64Array(B * T * H * D)
  for (let b = 0; b < B; b++) for (let h = 0; h < H; h++) for (let t = 0; t < T; t++) {
    const g = Math.floor(h / (H / G))
    const own = K - T + t
    const scores = Array.from({ length: K }, (_, j) => {
      const hidden = (key: number): boolean => at(never, b * K + key) < MASKED / 2
      const between = Array.from({ length: Math.abs(own - j) }, (__, i) => Math.min(own, j) + 1 + i).filter((key) => !hidden(key)).length
      if ((causal && j > own) || hidden(j) || between >= window) return -Infinity
      let product = 0
      for (let d = 0; d < D; d++) product += at(q, ((b * T + t) * H + h) * D + d) * at(k, ((b * K + j) * G + g) * D + d)
      const score = cap === undefined ? product * scale : cap * Math.tanh((product * scale) / cap)
      return score + at(bias, (((biases === 1 ? 0 : b) * H + h) * T + t) * K + j) + at(never, b * K + j)
    })
    const sum = scores.reduce((total, score) => total + Math.exp(score), sinks === undefined ? 0 : Math.exp(at(sinks, h)))
    scores.forEach((score, j) => {
      const p = (Math.exp(score) / sum) * (kept === undefined ? 1 : at(kept, ((b * H + h) * T + t) * K + j))
      for (let d = 0; d < D; d++) y[((b * T + t) * H + h) * D + d] = at(y, ((b * T + t) * H + h) * D + d) + p * at(v, ((b * K + j) * G + g) * D + d)
    })
  }
  return y
}

/** Value and gradients of the formula; these by central differences, to 1e-8. */
function differentiateFormula(sizes: Sizes, options: Options, given: Inputs, dy: Tensor): { y: Float32Array; grads: Record<string, Float32Array> } {
  const weights = dy.dataSync()
  const values = Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, Float64Array.from(tensor.dataSync())]))
  const run = (): Float64Array => formula(sizes, options, values, given['bias']?.shape[0] ?? 1)
  const loss = (): number => run().reduce((sum, number, i) => sum + number * (weights[i] ?? 0), 0)
  const step = 1e-5
  const slope = (array: Float64Array, i: number): number => {
    const before = array[i] ?? 0
    const losses = [before + step, before - step].map((number) => { array[i] = number; return loss() })
    array[i] = before
    return ((losses[0] ?? 0) - (losses[1] ?? 0)) / (2 * step)
  }
  const grads = Object.fromEntries(Object.entries(values).map(([name, array]) => [name, Float32Array.from(array, (_, i) => slope(array, i))]))
  return { y: Float32Array.from(run()), grads }
}

/** Hides the second key of the first sample, and the third of all. */
function someMasked(B: number, K: number): Tensor2D {
  return tf.tensor2d(Float32Array.from({ length: B * K }, (_, i) => (i === 1 || i % K === 2 ? MASKED : 0)), [B, K])
}

/** What forms have in common is computed once. */
const formulas = new Map<string, ReturnType<typeof differentiateFormula>>()

const dropout = { rate: 0.3, seed: [5, 6] as const }
const own: Sizes = [2, 5, 5, 4, 2, 3]
const cross: Sizes = [2, 3, 7, 4, 2, 3]
const one: Sizes = [2, 1, 7, 4, 2, 3]

eachForm('attention', (form) => {
  it.each<[string, Sizes, Options & { biases?: number; sinks?: boolean; masked?: boolean }]>([
    ['a bias that all samples share, unscaled (T5)', own, { scale: 1, biases: 1 }],
    ['a bias of each sample', own, { scale: 0.5, biases: 2 }],
    ['a shared bias, causal, padded', own, { scale: 1, biases: 1, causal: true, masked: true }],
    ['a shared bias over more keys than queries, causal', cross, { scale: 1, biases: 1, causal: true }],
    ['keys of another sequence, padded, with a bias of each sample', cross, { scale: 1, biases: 2, masked: true }],
    ['fewer keys than queries', [2, 7, 3, 4, 1, 3], { scale: 1, biases: 1, masked: true }],
    ['capped scores (Gemma 2)', own, { scale: 0.5, cap: 2, causal: true }],
    ['capped scores of another sequence, padded', cross, { scale: 0.5, cap: 0.7, masked: true }],
    ['sinks (gpt-oss)', own, { scale: 0.5, sinks: true, causal: true }],
    ['sinks beside another sequence, padded', cross, { scale: 0.5, sinks: true, masked: true }],
    ['all of them', cross, { scale: 0.7, cap: 3, biases: 1, sinks: true, causal: true, masked: true }],
    ['all of them, a bias of each sample, with dropout', own, { scale: 0.7, cap: 3, biases: 2, sinks: true, dropout }],
    ['all of them, a shared bias, with dropout, causal', cross, { scale: 0.7, cap: 3, biases: 1, sinks: true, causal: true, dropout }],
    ['all of them for one query', one, { scale: 0.7, cap: 3, biases: 1, sinks: true, masked: true }],
    ['a bias of each sample for one query, causal', one, { scale: 0.7, biases: 2, causal: true }],
    ['all of them within a window', cross, { scale: 0.7, cap: 3, biases: 1, sinks: true, causal: true, masked: true, window: 3 }],
    ['a bias of each sample within a window, with dropout', own, { scale: 0.7, biases: 2, causal: true, dropout, window: 2 }],
    ['sinks within a window', own, { scale: 0.5, sinks: true, causal: true, window: 2 }],
    ['all of them for one query within a window', one, { scale: 0.7, cap: 3, biases: 1, sinks: true, causal: true, masked: true, window: 3 }],
    ['a window and nothing else', cross, { scale: 0.7, causal: true, masked: true, window: 3 }],
    ['a window to both sides (ModernBERT)', [1, 9, 9, 2, 1, 3], { scale: 0.7, window: 3 }],
    ['a window to both sides, padded', own, { scale: 0.7, masked: true, window: 2 }],
    ['a window to both sides over keys put in front, padded, with dropout', cross, { scale: 0.7, masked: true, dropout, window: 3 }],
    ['all of them within a window to both sides', cross, { scale: 0.7, cap: 3, biases: 1, sinks: true, masked: true, window: 2 }],
    ['a window to both sides for one query', one, { scale: 0.7, masked: true, window: 4 }],
  ])('of %s has the values and gradients of the formula', (name, sizes, { biases, sinks, masked = false, ...rest }) => {
    const [B, T, K, H, , D] = sizes
    const options = masked ? { ...rest, keyBias: someMasked(B, K) } : rest
    const given = inputs(sizes, { ...(biases === undefined ? {} : { biases }), ...(sinks === undefined ? {} : { sinks }) })
    const dy = numbers([B, T, H, D], 4)
    const place = `${name}, ${rest.dropout === undefined || form === 'composed' ? 'composed' : 'fused'}`
    const expected = formulas.get(place) ?? differentiateFormula(sizes, options, given, dy)
    formulas.set(place, expected)
    expectClose(differentiate(ours(options), given, dy), expected, 2e-6)
  })

  it.each<[string, Options]>([
    ['t5', { scale: 1 }],
    ['gemma2', { scale: 0.3, cap: 2.5 }],
    ['gpt_oss', { scale: 0.35 }],
  ])('of %s has the values and gradients that the family has in transformers', (family, options) => {
    const get = (name: string): Tensor => tf.tensor(golden.numbers(`attention/${family}/${name}`), [...golden.shape(`attention/${family}/${name}`)])
    const turned = (name: string): Tensor => tf.transpose(get(name), [0, 2, 1, 3]) // (B, H, T, D) there
    const others = ['bias', 'sinks'].filter((name) => golden.has(`attention/${family}/${name}`))
    const given = { q: turned('q'), k: turned('k'), v: turned('v'), ...Object.fromEntries(others.map((name) => [name, get(name)])) }
    const keyBias = tf.mul<Tensor2D>(tf.sub(1, tf.cast(get('mask'), 'float32')), MASKED)
    const { y, grads } = differentiate(ours({ ...options, keyBias, causal: true }), given, turned('dy'))
    expect(relativeDifference(y, turned('y').dataSync())).toBeLessThan(2e-6)
    for (const name of ['q', 'k', 'v']) expect(relativeDifference(grads[name] ?? [], turned(`d${name}`).dataSync()), name).toBeLessThan(2e-6)
    for (const name of others) expect(relativeDifference(grads[name] ?? [], get(`d${name}`).dataSync()), name).toBeLessThan(2e-6)
  })

  it.runIf(form !== 'composed').each<Sizes>([
    [1, 17, 33, 3, 3, 17],
    [2, 33, 17, 4, 2, 8],
    [3, 65, 65, 2, 2, 33],
    [2, 70, 300, 6, 3, 20],
    [1, 300, 300, 1, 1, 5],
    [3, 1, 300, 6, 1, 20],
  ])('of B %i, T %i, K %i, heads %i and %i, D %i agrees with its composed form, gradients included', (...sizes) => {
    const [B, T, K, H, , D] = sizes
    const dy = numbers([B, T, H, D], 4)
    for (const biases of [1, B]) {
      const options: Options = { scale: 0.7, cap: 4, keyBias: someMasked(B, K), causal: K >= T }
      const given = inputs(sizes, { biases, sinks: true })
      const fused = differentiate(ours(options), given, dy)
      useNative(undefined)
      try {
        expectClose(fused, differentiate(ours(options), given, dy), 1e-5)
      } finally {
        useNative(form)
      }
    }
  })

  it.each<[window: number, Sizes]>([
    [3, [2, 65, 65, 2, 2, 33]],
    [65, [1, 300, 300, 1, 1, 5]],
    [17, [3, 70, 300, 6, 3, 20]],
    [200, [1, 600, 600, 2, 1, 8]],
    [40, [3, 1, 300, 6, 1, 20]],
    [65, [2, 65, 65, 2, 2, 8]],
  ])('within a window of %i is attention without the keys that are further away, gradients included: %j', (window, sizes) => {
    const [B, T, K, H, , D] = sizes
    const [given, dy] = [inputs(sizes, {}), numbers([B, T, H, D], 4)]
    const far = Float32Array.from({ length: H * T * K }, (_, i) => (Math.abs((i % K) - (Math.floor(i / K) % T) - K + T) < window ? 0 : MASKED))
    const apart: Inputs = { ...given, bias: tf.tensor4d(far, [1, H, T, K]) }
    for (const options of [{}, { causal: true }, { dropout }]) {
      const expected = differentiate(ours({ scale: 0.7, ...options }), apart, dy, ['q', 'k', 'v'])
      expectClose(differentiate(ours({ scale: 0.7, window, ...options }), given, dy), expected, 2e-6)
    }
  })

  it('of a bias of zeros and sinks that get nothing is attention without them', () => {
    const sizes: Sizes = [2, 9, 20, 4, 2, 8]
    const [plain, dy] = [inputs(sizes, {}), numbers([2, 9, 4, 8], 4)]
    const general: Inputs = { ...plain, bias: tf.zeros([1, 4, 9, 20]), sinks: tf.fill([4], MASKED) }
    expectClose(differentiate(ours({ scale: 0.4 }), general, dy, ['q', 'k', 'v']), differentiate(ours({ scale: 0.4 }), plain, dy), 1e-6)
  })

  it('gives gradients to a bias and to sinks that want one, alone', () => {
    const [given, dy] = [inputs(cross, { biases: 1, sinks: true }), numbers([2, 3, 4, 3], 4)]
    const all = differentiate(ours({ scale: 1 }), given, dy)
    for (const wanted of ['q', 'bias', 'sinks']) {
      const { grads } = differentiate(ours({ scale: 1 }), given, dy, [wanted])
      expect(Object.keys(grads)).toEqual([wanted])
      expect(relativeDifference(grads[wanted] ?? [], all.grads[wanted] ?? [])).toBe(0)
    }
  })

  it('of a row whose keys are all masked is finite, and nothing where it has a sink', () => {
    const keyBias = tf.fill<tf.Rank.R2>([2, 7], MASKED)
    const [given, dy] = [inputs(cross, { biases: 1, sinks: true }), tf.ones([2, 3, 4, 3])]
    const { y, grads } = differentiate(ours({ scale: 1, keyBias, cap: 5 }), given, dy)
    expect(y.every((number) => number === 0)).toBe(true)
    for (const values of Object.values(grads)) expect(values.every((number) => Math.abs(number) === 0)).toBe(true)
  })

  it.each([undefined, 2])('tells the gradients of examples by its sinks apart, within a window of %s', (window) => {
    const sizes: Sizes = [3, 4, 4, 2, 2, 3]
    const given = inputs(sizes, { sinks: true })
    const options: Options = { scale: 1, causal: true, ...(window === undefined ? {} : { window }) }
    const dy = numbers([3, 4, 2, 3], 4)
    const sinks: Variable = tf.variable(given['sinks'] as Tensor)
    const { value, grads } = perExampleGrads(() => {
      const y = ours(options)({ ...given, sinks })
      return op([y], () => tf.sum<tf.Scalar>(tf.mul(y, dy)), (d) => [tf.mul(d, dy)])
    }, { sinks }, 3)
    expect(grads['sinks']?.shape).toEqual([3, 2])
    const apart = grads['sinks']?.dataSync() ?? []
    for (let b = 0; b < 3; b++) {
      const sample = (x: Tensor | undefined): Tensor => tf.slice(x as Tensor, [b, 0, 0, 0], [1, -1, -1, -1])
      const own = { q: sample(given['q']), k: sample(given['k']), v: sample(given['v']), sinks: given['sinks'] as Tensor }
      const alone = differentiate(ours(options), own, sample(dy), ['sinks'])
      expect(relativeDifference([...apart].slice(b * 2, b * 2 + 2), alone.grads['sinks'] ?? [])).toBeLessThan(1e-6)
    }
    tf.dispose([value, sinks, ...Object.values(grads)])
  })

  it('in the backward pass keeps what it was given and, where composed, its probabilities', () => {
    const sizes: Sizes = [1, 32, 32, 1, 1, 4]
    let bytes = 0
    differentiate(
      (given) => {
        const before = tf.memory().numBytes
        const y = ours({ scale: 1, cap: 5 })(given)
        bytes = tf.memory().numBytes - before - y.size * 4
        return y
      },
      inputs(sizes, { biases: 1, sinks: true }),
      tf.ones([1, 32, 1, 4]),
    )
    // composed: p, tanh of the scores and the sinks' own; fused: the bias and the sinks
    expect(bytes - 3 * 32 * 4 * 4).toBe(form === 'composed' ? (2 * 32 * 32 + 32) * 4 : (32 * 32 + 1) * 4)
  })

  it('with what does not fit is an error that names all of it', () => {
    const bad = { ...inputs(own, {}), bias: numbers([3, 4, 5, 5], 1), sinks: numbers([2], 1) }
    expect(() => ours({ scale: 1, cap: 0, window: 0 })(bad)).toThrow(
      /\[1 or 2, 4, 5, 5\], got \[3, 4, 5, 5\][^]*\[4\], a number for each head, got \[2\][^]*cap: expected a number above 0, or none, got 0[^]*window: expected at least 1, or none, got 0/,
    )
    expect(() => ours({ scale: 1, window: 3 })(inputs([1, 4, 3, 1, 1, 2], {}))).toThrow('expected at least as many keys as queries in attention within a window, got 3 and 4')
  })
})
