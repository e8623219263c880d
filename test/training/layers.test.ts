// Layer freezing, discriminative learning rates and gradual unfreezing, through what trains and its groups.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { layerOf } from '../../src/base/sites.ts'
import { lora } from '../../src/lora/lora.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import type { ParameterGroup } from '../../src/training/adamw.ts'
import { constant } from '../../src/training/schedules.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { closeModel, tinyModel } from '../manage/models.ts'

const train = { ids: Array.from({ length: 6 }, (_, row) => [1, 2 + row, 3]), labels: [0, 1, 2, 0, 1, 2] }
const RATE = 1e-3
let model: Model

beforeEach(async () => {
  model = await tinyModel()
})
afterEach(() => closeModel(model))

/** How far the layers have gone, and the rest under NaN, after each of some steps. */
async function moves(method: Method, steps: number, groups: readonly ParameterGroup[] = []): Promise<Map<number, number>[]> {
  const { trainable } = attach(model, method, { train: ['classifier'] })
  const now = (): Map<string, Float32Array> => new Map(Object.entries(trainable).map(([name, variable]) => [name, valuesOf(variable).slice()]))
  let before = now()
  const moved: Map<number, number>[] = []
  for await (const event of new Trainer({ model, train, batchSize: 6, maxSteps: steps, learningRate: RATE, weightDecay: 0.01, schedule: constant, groups }).run()) {
    if (event.type !== 'step') continue
    const after = now()
    const step = new Map<number, number>()
    for (const [name, values] of after) {
      const layer = layerOf(name) ?? NaN
      step.set(layer, Math.max(step.get(layer) ?? 0, largestDifference(values, before.get(name) ?? values)))
    }
    moved.push(step)
    before = after
  }
  for (const adapter of adaptersOf(model)) detach(adapter)
  return moved
}

const ofLayer = (layer: number) => (name: string): boolean => name.includes(`.layer.${layer}.`)

describe('layers in a training', () => {
  it.each<[string, Method]>([['full fine-tuning', fullFineTuning({ layers: [2] })], ['LoRA', lora({ layers: [2] })]])(
    'that are frozen have nothing that moves, with %s', async (_, method) => {
      const params = new Map([...model.parts.params].map(([name, tensor]) => [name, valuesOf(tensor).slice()]))
      const [first] = await moves(method, 1)
      expect([...first?.keys() ?? []]).toEqual(expect.arrayContaining([2, NaN]))
      expect(first?.size).toBe(2)
      for (const [name, tensor] of model.parts.params) expect(valuesOf(tensor), name).toEqual(params.get(name))
    })

  it('learn at rates that fall from layer to layer', async () => {
    const groups = [0, 1, 2].map((layer) => ({ match: ofLayer(layer), learningRateScale: 0.5 ** (2 - layer) }))
    const [first] = await moves(fullFineTuning(), 1, groups)
    // Adam's first step is the rate itself; the decay of weights around 1 adds a hundredth of it
    for (const layer of [0, 1, 2]) {
      const share = (first?.get(layer) ?? NaN) / (RATE * 0.5 ** (2 - layer))
      expect(share, `layer ${layer}`).toBeGreaterThan(0.99)
      expect(share, `layer ${layer}`).toBeLessThan(1.1)
    }
  })

  it('begin to move one after the other, from the last down, when they are unfrozen on a schedule', async () => {
    const tensors = tf.memory().numTensors
    const groups = [
      ...[0, 1, 2].map((layer) => ({ match: ofLayer(layer), learningRateScale: (step: number) => (step > 2 - layer ? 1 : 0) })),
      { match: (name: string) => name.includes('embeddings'), learningRateScale: 0 },
    ]
    const steps = await moves(fullFineTuning(), 4, groups)
    const moving = steps.map((step) => [0, 1, 2].filter((layer) => (step.get(layer) ?? 0) > 0))
    expect(moving).toEqual([[], [2], [1, 2], [0, 1, 2]])
    expect(tf.memory().numTensors).toBe(tensors)
  })
})
