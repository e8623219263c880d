import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach, generate, loadModel, lora, prefix, prompt, type Model } from '../../../src/index.ts'
import { joinBatches, type Batch } from '../../../src/base/batch.ts'
import type { GenerateOptions } from '../../../src/base/generate/settings.ts'
import { KvCache } from '../../../src/base/generate/cache.ts'
import { goldenPath, largestDifference } from '../../golden.ts'

const PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5], [3, 5, 8, 9, 7, 9, 3], [2, 3], [8, 4, 6, 2]]

function batchOf(rows: readonly (readonly number[])[]): Batch {
  return joinBatches(rows.map((row) => ({ ids: Int32Array.from(row), batch: 1, length: row.length })), { paddingSide: 'left' })
}

async function written(model: Model, prompt: Batch | readonly number[], options: GenerateOptions): Promise<number[][]> {
  const rows: number[][] = []
  for await (const tokens of generate(model, prompt, options)) {
    tokens.forEach((token, row) => {
      rows[row] ??= []
      if (token !== undefined) rows[row].push(token)
    })
  }
  return rows
}

describe.each(['gpt2/causal_lm', 'llama/causal_lm', 'mistral/window', 'relatives/gemma3_text_causal_lm'])('rows of %s', (path) => {
  it('that leave at different times write what they write alone', async () => {
    const model = await loadModel(goldenPath(path), { task: 'causal-lm' })
    const before = tf.memory().numTensors
    const free = await written(model, batchOf(PROMPTS), { maxNewTokens: 24, stop: [], temperature: 1.5, seed: 3 })
    const stop = [free[0]?.[4], free[1]?.[9], free[3]?.[2]].map((id) => id ?? 0)
    const rows = await written(model, batchOf(PROMPTS), { maxNewTokens: 24, stop, temperature: 1.5, seed: 3 })
    expect(new Set(rows.map(({ length }) => length)).size).toBeGreaterThan(2)
    rows.forEach((row, i) => {
      const end = free[i]?.findIndex((id) => stop.includes(id)) ?? -1
      expect(row).toEqual(free[i]?.slice(0, end < 0 ? undefined : end + 1))
    })
    expect(tf.memory().numTensors).toBe(before)
    model.dispose()
  })

  it.each(['nothing', 'lora', 'a prefix', 'a prompt'])('that leave a cache and join another go on as they are, with %s', async (name) => {
    const model = await loadModel(goldenPath(path), { task: 'causal-lm' })
    if (name === 'lora') attach(model, lora({ rank: 2, init: 'gaussian' }))
    if (name === 'a prefix') attach(model, prefix({ virtualTokens: 3 }))
    if (name === 'a prompt') attach(model, prompt({ virtualTokens: 3 }))
    const before = tf.memory().numTensors
    const [cache, other] = [new KvCache(), new KvCache()]
    const texts = PROMPTS.slice(0, 4).map((row) => [...row])
    const logits = (batch: Batch, own: KvCache): Float32Array => tf.tidy(() => model.forward(batch, { cache: own }).dataSync<'float32'>().slice())
    const step = (rows: readonly number[], n: number): void => {
      const ids = Int32Array.from(rows, (_, i) => (n * 3 + i) % 10)
      const values = logits({ ids, batch: rows.length, length: 1 }, cache)
      const V = values.length / rows.length
      rows.forEach((row, i) => {
        if (row < 0) return
        texts[row]?.push(ids[i] ?? 0)
        const alone = new KvCache() // with one, the last token alone gets logits
        const whole = logits({ ids: Int32Array.from(texts[row] ?? []), batch: 1, length: texts[row]?.length ?? 0 }, alone)
        alone.dispose()
        expect(largestDifference(values.subarray(i * V, (i + 1) * V), whole)).toBeLessThan(2e-5)
      })
    }
    logits(batchOf(texts), cache)
    cache.keep([0, 1, 2, 3]) // before there was a step
    for (let n = 0; n < 6; n++) step([0, 1, 2, 3], n)
    cache.keep([3, 1, 0])
    for (let n = 6; n < 12; n++) step([3, 1, 0], n)
    cache.rest(1)
    for (let n = 12; n < 15; n++) step([3, -1, 0], n)
    texts.push([...(PROMPTS[4] ?? [])], [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    logits(batchOf(texts.slice(4)), other)
    cache.join(other, [1, 2])
    other.dispose()
    for (let n = 15; n < 24; n++) step([3, 4, 5], n)
    cache.dispose()
    expect(tf.memory().numTensors).toBe(before)
    model.dispose()
  })
})
