import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { ewc } from '../../src/forgetting/ewc.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import type { Guard } from '../../src/training/guard.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { loadGuards, saveGuards } from '../../src/forgetting/save-guards.ts'
import { synapticIntelligence } from '../../src/forgetting/synaptic-intelligence.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, numberOf, valuesOf } from '../golden.ts'

const TRAIN = { ids: [[1, 5, 9, 3], [1, 7, 2], [1, 11, 12]], labels: [0, 1, 2] }

let folder: string
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-')) })
afterEach(() => rm(folder, { recursive: true }))

it('guards go on from the folder of an adapter as if they had never been away', async () => {
  const model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  const before = tf.memory().numTensors
  const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
  const { trainable } = adapter
  const make = () => [ewc({ strength: 10 }), synapticIntelligence(trainable, { strength: 2 }), l2Sp(trainable, { alpha: 0.1 })] as const
  const guards = make()
  for (let task = 0; task < 2; task++) {
    await new Trainer({ model, train: TRAIN, epochs: 3, learningRate: 0.05, guards, seed: task }).fit()
    const fisher = await diagonalFisher(model, trainable, TRAIN)
    guards[0].addTask(trainable, fisher)
    guards[1].endTask(trainable)
    tf.dispose(fisher)
  }
  await adapter.save(folder)
  await saveGuards(folder, guards)
  tf.tidy(() => { for (const variable of Object.values(trainable)) variable.assign(tf.add(variable, 0.1)) })
  const loaded = make()
  await loadGuards(folder, loaded)
  const penaltyOf = (guard: Guard): number[] => {
    const { value, grads } = guard.penalty?.({ model, trainable, batches: [] }) ?? { value: NaN, grads: {} }
    const sorted = Object.entries(grads).sort(([a], [b]) => (a < b ? -1 : 1))
    const numbers = [numberOf(value), ...sorted.flatMap(([, grad]) => [...valuesOf(grad)])]
    tf.dispose(Object.values(grads))
    return numbers
  }
  expect(loaded.map(penaltyOf)).toEqual(guards.map(penaltyOf))
  expect(Math.min(...loaded.map((guard) => penaltyOf(guard)[0] ?? NaN))).toBeGreaterThan(0)
  await expect(loadGuards(folder, [loaded[1], loaded[0]])).rejects.toThrow('synapticIntelligence: these cannot be used together')
  for (const guard of [...guards, ...loaded]) guard.dispose()
  detach(adapter)
  expect(tf.memory().numTensors).toBe(before)
  detach(await loadAdapter(model, folder)) // the file beside the adapter's does not disturb
  model.dispose()
})
