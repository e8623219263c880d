import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { houlsby } from '../../src/adapters/presets.ts'
import { detach, skipLayers } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import type { Model } from '../../src/base/model.ts'
import { layerOf } from '../../src/base/sites.ts'
import { withLayersDropped } from '../../src/training/adapter-drop.ts'
import { constant } from '../../src/training/schedules.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, BATCH, closeModel, forward, tinyModel } from '../manage/models.ts'

let model: Model

/** Layers in which no adapter takes part. */
const droppedOf = ({ attached: { wiring } }: Model): number[] =>
  [0, 1, 2].filter((layer) => ![...wiring.handlers.residual.keys()].some((name) => layerOf(name) === layer))

beforeEach(async () => {
  model = await tinyModel()
})
afterEach(() => closeModel(model))

it('leaves out the first layers, each number of them about as often, all but the last at most; the seed decides', () => {
  attachTrained(model, 'a', houlsby(), { enabled: true })
  const draw = (seed: number): string[] => Array.from({ length: 90 }, (_, step) => droppedOf(withLayersDropped(model, { seed, step }).model).join())
  const drawn = draw(0)
  for (const layers of ['', '0', '0,1']) expect(drawn.filter((each) => each === layers).length).toBeGreaterThan(15)
  expect(new Set(drawn).size).toBe(3)
  expect(draw(0)).toEqual(drawn)
  expect(draw(1)).not.toEqual(drawn)
})

it('gives what is left out zeros, and the others the gradients of the model without it', () => {
  const adapter = attachTrained(model, 'a', houlsby(), { enabled: true, train: ['classifier'] })
  const whole = forward(model)
  const step = Array.from({ length: 90 }, (_, each) => each).find((each) => droppedOf(withLayersDropped(model, { seed: 0, step: each }).model).length === 2) ?? NaN
  const tensors = tf.memory().numTensors
  const { model: shallow, idle } = withLayersDropped(model, { seed: 0, step })
  const dropped = valueAndGrads(() => shallow.loss(BATCH), adapter.trainable, idle)
  expect(forward(model)).toEqual(whole)
  expect(adapter.skipped).toEqual([])
  skipLayers(adapter, [0, 1])
  const left = Object.fromEntries(Object.entries(adapter.trainable).filter(([name]) => ![0, 1].includes(layerOf(name) ?? -1)))
  const expected = valueAndGrads(() => model.loss(BATCH), left)
  for (const [name, grad] of Object.entries(dropped.grads)) {
    const other = expected.grads[name]
    if (other === undefined) expect(valuesOf(grad).every((value) => value === 0), name).toBe(true)
    else expect(largestDifference(valuesOf(grad), valuesOf(other)), name).toBe(0)
  }
  tf.dispose([dropped.value, expected.value, ...Object.values(dropped.grads), ...Object.values(expected.grads)])
  expect(tf.memory().numTensors).toBe(tensors)
})

it('leaves out as well what the adapter is left out of anyway', () => {
  const adapter = attachTrained(model, 'a', houlsby(), { enabled: true })
  skipLayers(adapter, [2])
  expect(new Set([0, 1, 2, 3, 4, 5].map((step) => droppedOf(withLayersDropped(model, { seed: 0, step }).model).join()))).toEqual(new Set(['2', '0,2', '0,1,2']))
  expect(adapter.skipped).toEqual([2])
})

it('leaves what a step drops where it is: no decay, and no move from the steps before', async () => {
  const train = { ids: Array.from({ length: 6 }, (_, row) => [1, 2 + row, 3]), labels: [0, 1, 2, 0, 1, 2] }
  const adapter = attachTrained(model, 'a', houlsby(), { enabled: true })
  const weights = (): Float32Array[] => Object.values(adapter.trainable).map((variable) => valuesOf(variable).slice())
  let before = weights()
  let rested = 0
  for await (const event of new Trainer({ model, train, batchSize: 2, epochs: 5, adapterDrop: true, weightDecay: 0.5, schedule: constant }).run()) {
    if (event.type !== 'step') continue
    const { idle: dropped } = withLayersDropped(model, { seed: 0, step: event.step - 1 })
    const after = weights()
    Object.values(adapter.trainable).forEach((variable, i) => {
      if (dropped.has(variable)) expect(after[i]).toEqual(before[i])
      else expect(after[i]).not.toEqual(before[i])
    })
    rested += event.step > 5 ? dropped.size : 0
    before = after
  }
  expect(rested).toBeGreaterThan(0)
})

it('trains with a random number of first layers left out, and without when asked for nothing', async () => {
  const train = { ids: Array.from({ length: 6 }, (_, row) => [1, 2 + row, 3]), labels: [0, 1, 2, 0, 1, 2] }
  const lossesWith = async (options: { readonly adapterDrop?: boolean }): Promise<number[]> => {
    const adapter = attachTrained(model, 'a', houlsby(), { enabled: true })
    const losses: number[] = []
    await new Trainer({ model, train, batchSize: 2, epochs: 3, ...options }).fit({ onEvent: (event) => { if (event.type === 'step') losses.push(event.loss) } })
    expect(adapter.skipped).toEqual([])
    detach(adapter)
    return losses
  }
  const dropped = await lossesWith({ adapterDrop: true })
  expect(dropped.every(Number.isFinite)).toBe(true)
  expect(await lossesWith({ adapterDrop: true })).toEqual(dropped)
  expect(await lossesWith({})).not.toEqual(dropped)
})
