import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KvCache } from '../../../src/base/generate/cache.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { canOverwrite, overwriteRows } from '../../../src/base/ops/overwrite-rows.ts'
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

it('rows are written into the tensor itself and its views', () => {
  tf.tidy(() => {
    const x = tf.pad(tf.ones<tf.Rank.R4>([1, 2, 1, 2]), [[0, 0], [0, 1], [0, 0], [0, 0]])
    const flat = tf.reshape<tf.Rank.R4>(x, [3, 1, 1, 2])
    expect(canOverwrite(x)).toBe(true)
    overwriteRows(flat, tf.tensor1d([2, 0], 'int32'), tf.tensor4d([5, 6, 7, 8], [2, 1, 1, 2]))
    expect([...valuesOf(x)]).toEqual([7, 8, 1, 1, 5, 6])
  })
})
