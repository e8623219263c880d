// Methods side by side: each is an adapter of its own on the same model.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { parallel } from '../../src/adapters/presets.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, valuesOf } from '../golden.ts'

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
})

afterEach(() => {
  detachAll()
  model.dispose()
})

function detachAll(): void {
  for (const adapter of adaptersOf(model)) detach(adapter)
}

const rows = Array.from({ length: 12 }, (_, row) => Int32Array.from({ length: 4 + (row % 5) }, (_, i) => 1 + ((row * 7 + i * 3) % 36)))
const train = { ids: rows, labels: Int32Array.from(rows, (_, row) => row % 3) }
const batch = { ids: Int32Array.of(3, 7, 9, 4, 5, 1), batch: 2, length: 3 }
const logits = (): Float32Array => tf.tidy(() => valuesOf(model.forward(batch)).slice())

function copyOf({ trainable }: Adapter): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(trainable).map(([name, variable]) => [name, valuesOf(variable).slice()]))
}

it('a Mix-And-Match adapter, a prefix and a scaled parallel adapter, trains both and comes back from two folders', async () => {
  const parts = [attach(model, prefix({ virtualTokens: 3 }), { name: 'prefix', train: [] }), attach(model, parallel())]
  const before = parts.map(copyOf)
  const losses: number[] = []
  const counts: number[] = []
  const trainer = new Trainer({ model, train, batchSize: 4, epochs: 8, learningRate: 5e-3, seed: 1 })
  for await (const event of trainer.run()) {
    if (event.type === 'step') losses.push(event.loss)
    counts.push(tf.memory().numTensors)
  }
  const mean = (from: number, to: number): number => losses.slice(from, to).reduce((sum, loss) => sum + loss, 0) / (to - from)
  expect(mean(21, 24)).toBeLessThan(mean(0, 3))
  expect(new Set(counts.slice(1)).size).toBe(1)
  parts.forEach((adapter, i) => {
    for (const [name, values] of Object.entries(copyOf(adapter))) expect(values, name).not.toEqual(before[i]?.[name])
  })

  const trained = logits()
  await Promise.all(parts.map((adapter) => adapter.save(temporary(adapter.name))))
  detachAll()
  await loadAdapter(model, temporary('prefix'), { name: 'prefix' })
  await loadAdapter(model, temporary('default'))
  expect(logits()).toEqual(trained)
})

it('a prompt behind a prefix stands at the positions after it', () => {
  attach(model, prefix({ virtualTokens: 10 }), { train: [] })
  attach(model, prompt({ virtualTokens: 10 }), { name: 'prompt', train: [] })
  tf.tidy(() => { expect(model.forward({ ...batch, ids: new Int32Array(4).fill(2), batch: 1, length: 4 }).shape).toEqual([1, 3]) })
  expect(() => model.forward({ ids: new Int32Array(5), batch: 1, length: 5 })).toThrow(/5 tokens and 20 .* before them, more than the 24 positions/)
})

it('all families at once, in any order, are gone when they are detached', () => {
  const base = logits()
  const adapters = [lora(), parallel(), prefix({ virtualTokens: 2 }), prompt({ virtualTokens: 2 })].map((method, i) =>
    attach(model, method, { name: String(i), train: [] }),
  )
  const all = logits()
  expect(all).not.toEqual(base)
  for (const i of [2, 0, 3, 1]) detach(adapters[i] as Adapter)
  expect(logits()).toEqual(base)
})
