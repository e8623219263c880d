// What stands beside the contract's rows of quantised bases: several adapters, guards, generation.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { generate } from '../src/base/generate/generate.ts'
import type { Model } from '../src/base/model.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { ewc } from '../src/forgetting/ewc.ts'
import { diagonalFisher } from '../src/forgetting/fisher.ts'
import { lora } from '../src/lora/lora.ts'
import { withAdapters } from '../src/manage/active.ts'
import { combine } from '../src/manage/combine.ts'
import { Trainer } from '../src/training/trainer.ts'
import { goldenPath, largestDifference, valuesOf } from './golden.ts'

const ids = [Int32Array.of(3, 9, 14, 2, 21, 7), Int32Array.of(5, 11, 1, 18, 26, 4)]
const BATCH = { ids: Int32Array.from(ids.flatMap((row) => [...row])), batch: 2, length: 6 }
const logits = (model: Model): Float32Array => tf.tidy(() => valuesOf(model.forward(BATCH)))

describe.each(['nf4', 'int8'] as const)('a base held in %s', (dtype) => {
  let model: Model
  afterEach(() => model.dispose())

  async function adapted(...names: readonly string[]): Promise<readonly Adapter[]> {
    model = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm', dtype })
    return names.map((name) => {
      const adapter = attach(model, lora({ rank: 2, targets: 'all-linear' }), { name })
      for (const [key, variable] of Object.entries(adapter.trainable)) {
        tf.tidy(() => { variable.assign(tf.tensor(normal(randomStream(1, name + key), variable.size, 0, 0.2), variable.shape)) })
      }
      return adapter
    })
  }

  it('has adapters combined into one that adds what they add', async () => {
    const [a, b] = await adapted('a', 'b') as [Adapter, Adapter]
    const both = logits(withAdapters(model, ['a', 'b']))
    const mix = combine(model, [{ adapter: a }, { adapter: b }], { kind: 'cat', name: 'mix' })
    expect(largestDifference(logits(withAdapters(model, mix.name)), both)).toBeLessThan(1e-4)
  })

  it('keeps an adapter near what a task before has left, by EWC', async () => {
    const [adapter] = await adapted('a') as [Adapter]
    const before = Object.fromEntries(Object.entries(adapter.trainable).map(([name, tensor]) => [name, valuesOf(tensor).slice()]))
    const fisher = await diagonalFisher(model, adapter.trainable, { ids }, { kind: 'empirical' })
    const start = Object.entries(adapter.trainable).map(([name, tensor]) => [name, tensor.clone()] as const)
    const distanceWith = async (strength: number): Promise<number> => {
      for (const [name, tensor] of start) adapter.trainable[name]?.assign(tensor)
      const guard = ewc({ strength })
      guard.addTask(adapter.trainable, fisher)
      await new Trainer({ model, train: { ids: ids.map((row) => row.map((id) => (id * 3) % 28)) }, batchSize: 2, epochs: 15, learningRate: 1e-2, guards: [guard] }).fit()
      guard.dispose()
      return Math.max(...Object.entries(adapter.trainable).map(([name, tensor]) => largestDifference(valuesOf(tensor), before[name] as Float32Array)))
    }
    const [free, held] = [await distanceWith(1e-9), await distanceWith(1e9)]
    expect(held).toBeLessThan(free)
    expect(free).toBeGreaterThan(0.05)
    tf.dispose([...start.map(([, tensor]) => tensor), ...Object.values(fisher)])
  })

  it('writes with its cache what the whole text gives without one', async () => {
    await adapted('a')
    const written: number[] = []
    for await (const [id] of generate(model, [3, 9, 14], { maxNewTokens: 6, temperature: 0, stop: [] })) written.push(id as number)
    const text = [3, 9, 14]
    while (text.length < 9) {
      const batch = { ids: Int32Array.from(text), batch: 1, length: text.length }
      const scores = tf.tidy(() => valuesOf(model.forward(batch))).slice(-37)
      text.push(scores.indexOf(Math.max(...scores)))
    }
    expect(written).toEqual(text.slice(3))
  })
})
