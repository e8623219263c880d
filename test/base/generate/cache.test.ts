import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KvCache } from '../../../src/base/generate/cache.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { attend } from '../../../src/base/ops/attention.ts'
import { canOverwrite, overwriteRows } from '../../../src/base/ops/overwrite-rows.ts'
import { Pass } from '../../../src/base/pass.ts'
import { NO_HANDLERS } from '../../../src/base/trace.ts'
import { goldenPath, largestDifference, valuesOf } from '../../golden.ts'

describe.each(['gpt2/causal_lm', 'llama/tied', 'mistral/window'])('the cache of %s', (path) => {
  let model: Model
  beforeAll(async () => {
    model = await loadModel(goldenPath(path), { task: 'causal-lm' })
  })
  afterAll(() => model.dispose())

  it('gives the logits of whole texts, whatever the pieces they come in', () => {
    const [B, T] = [2, 60]
    const { vocabSize = 0 } = model.parts.architecture.text ?? {}
    const ids = Int32Array.from({ length: B * T }, (_, i) => (i * i + 3 * i) % vocabSize)
    const before = tf.memory().numTensors
    const cache = new KvCache()
    let done = 0
    for (const length of [5, 1, 3, 1, 1, ...new Array<number>(40).fill(1), 2, 1, 4]) { // past the room that is made at first
      const columns = (from: number, to: number): Int32Array => Int32Array.from([0, 1].flatMap((row) => [...ids.subarray(row * T + from, row * T + to)]))
      const next = tf.tidy(() => valuesOf(model.forward({ ids: columns(done, done + length), batch: B, length }, { cache })))
      done += length
      const whole = tf.tidy(() => valuesOf(model.forward({ ids: columns(0, done), batch: B, length: done })))
      const last = [0, 1].flatMap((row) => [...whole.slice(((row + 1) * done - 1) * vocabSize, (row + 1) * done * vocabSize)])
      expect(largestDifference(next, last)).toBeLessThan(2e-5)
    }
    cache.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('an attention with a bias by positions goes on from a cache as it is without one', () => {
  const [B, T, H, D] = [2, 40, 2, 4]
  const [q, k, v] = [1, 2, 3].map((seed) => tf.randomNormal<tf.Rank.R4>([B, T, H, D], 0, 1, 'float32', seed)) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]
  const bias = tf.randomNormal<tf.Rank.R4>([1, H, T, T], 0, 1, 'float32', 4)
  const before = tf.memory().numTensors
  const cache = new KvCache()
  const pass = new Pass({ param: () => bias, handlers: NO_HANDLERS, training: false, seed: 0, cache })
  tf.tidy(() => {
    const whole = attend({ q, k, v, bias, scale: 0.5, causal: true })
    let done = 0
    for (const length of [3, 1, 1, ...new Array<number>(33).fill(1), 2]) {
      const rows = (x: tf.Tensor4D): tf.Tensor4D => tf.slice(x, [0, done, 0, 0], [B, length, H, D])
      pass.sequence('tokens', { rows: tf.zeros([B * length, 1]), batch: B, length, mask: tf.ones([B, length]), lengths: [length, length], virtual: 0, offset: 0 }, { maxLength: T })
      const own = tf.slice(bias, [0, 0, done, 0], [1, H, length, done + length])
      const y = pass.attention('mix', { q: rows(q), k: rows(k), v: rows(v), bias: own, scale: 0.5, causal: true })
      expect(largestDifference(valuesOf(y), valuesOf(rows(whole)))).toBeLessThan(2e-6)
      done += length
    }
  })
  cache.dispose()
  expect(tf.memory().numTensors).toBe(before)
  tf.dispose([q, k, v, bias])
})

it('rows are written into the tensor itself and its views', () => {
  tf.tidy(() => {
    const x = tf.pad(tf.ones<tf.Rank.R4>([1, 2, 1, 2]), [[0, 0], [0, 1], [0, 0], [0, 0]])
    const flat = tf.reshape<tf.Rank.R4>(x, [3, 1, 1, 2])
    expect(canOverwrite(x)).toBe(true)
    overwriteRows(flat, tf.tensor1d([2, 0], 'int32'), tf.tensor4d([5, 6, 7, 8], [2, 1, 1, 2]))
    expect([...valuesOf(x)]).toEqual([7, 8, 1, 1, 5, 6])
  })
})
