import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { TrainingError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import type { Cost } from '../../src/training/cost.ts'
import { predict } from '../../src/training/predict.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, valuesOf } from '../golden.ts'

let model: Model
let adapter: Adapter

beforeEach(async () => {
  model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
  adapter = attach(model, lora({ rank: 4, alpha: 8, dropout: 0.1 }))
})

afterEach(() => {
  for (const attached of adaptersOf(model)) detach(attached)
  model.dispose()
})

/** Rows of two kinds: what stands in them is a matter of the label. */
const rows = Array.from({ length: 40 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const train = { ids: rows, labels: Int32Array.from(rows, (_, i) => i % 2) }

async function events(options: Partial<TrainerOptions> = {}): Promise<TrainerEvent[]> {
  const seen: TrainerEvent[] = []
  await new Trainer({ model, train, batchSize: 8, learningRate: 1e-2, ...options }).fit({ onEvent: (event) => seen.push(event) })
  return seen
}

const weights = (): Float32Array[] => Object.values(adapter.trainable).map((variable) => valuesOf(variable).slice())

describe('Trainer', () => {
  it('learns, tells every step and the held-out rows after each epoch', async () => {
    const seen = await events({ evaluate: train, epochs: 12, learningRate: 3e-2, warmup: 0.025 })
    const steps = seen.filter((event) => event.type === 'step')
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
    expect(steps.every(({ steps: all }) => all === 60)).toBe(true)
    expect(steps[0]?.learningRate).toBe(0) // the first of two steps of warm-up
    expect(steps[2]?.learningRate).toBe(3e-2)
    expect(steps.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 60 }, (_, i) => Math.floor(i / 5)))
    expect(steps.slice(0, 5).reduce((sum, { tokens }) => sum + tokens, 0)).toBe(rows.reduce((sum, row) => sum + row.length, 0))
    const evaluations = seen.filter((event) => event.type === 'evaluate')
    expect(evaluations.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => 5 * (i + 1)))
    expect(evaluations.at(-1)?.accuracy).toBeGreaterThan(0.85)
    expect(evaluations.at(-1)?.f1).toBeGreaterThan(0.85)
  })

  it('takes the same steps for the same seed, and others for another', async () => {
    const losses = async (seed: number): Promise<number[]> => {
      detach(adapter)
      adapter = attach(model, lora({ rank: 4, dropout: 0.1 }))
      return (await events({ seed })).map((event) => (event.type === 'step' ? event.loss : NaN))
    }
    const first = await losses(1)
    expect(await losses(1)).toEqual(first)
    expect(await losses(2)).not.toEqual(first)
  })

  it('keeps no tensor over 50 steps', async () => {
    const counts = new Set<number>()
    const trainer = new Trainer({ model, train, batchSize: 8, epochs: 10 })
    for await (const event of trainer.run()) if (event.type === 'step') counts.add(tf.memory().numTensors)
    expect(trainer.steps).toBe(50)
    expect(counts.size).toBe(1)
  })

  it('frees the optimiser when the loop is left early, and keeps the steps taken', async () => {
    const before = { count: tf.memory().numTensors, weights: weights() }
    for await (const event of new Trainer({ model, train, learningRate: 1e-2 }).run()) if (event.type === 'step') break
    expect(tf.memory().numTensors).toBe(before.count)
    expect(weights()).not.toEqual(before.weights)
  })

  it('ends after the step in progress when it is told to', async () => {
    const stop = new AbortController()
    const types: string[] = []
    const ended = await new Trainer({ model, train, batchSize: 8 }).fit({
      signal: stop.signal,
      onEvent: ({ type, step }) => {
        types.push(type)
        if (step === 2) stop.abort()
      },
    })
    expect(types).toEqual(['step', 'step', 'end'])
    expect(ended).toEqual({ type: 'end', end: 'stopped', step: 2, steps: 5, reason: 'asked to', cost: expect.any(Object) as Cost })
    expect(await new Trainer({ model, train, batchSize: 8, evaluate: train, best: { metric: 'loss', lowerIsBetter: true } }).fit()).toEqual({
      type: 'end', end: 'finished', step: 5, steps: 5, best: { step: 5, value: expect.any(Number) as number, since: 0 }, cost: expect.any(Object) as Cost,
    })
  })

  it('stops at a loss that is not a number, with the weights of the step before', async () => {
    const classifier = adapter.trainable['classifier.bias'] as tf.Variable
    classifier.assign(tf.tensor1d([NaN, 0]))
    const before = { weights: weights(), count: tf.memory().numTensors }
    const fit = new Trainer({ model, train, learningRate: 0.25 }).fit()
    await expect(fit).rejects.toThrow(TrainingError)
    await expect(fit).rejects.toThrow(/Step 1: the loss is NaN .* at learning rate 0.25\. The weights are those of the step before/)
    expect(weights()).toEqual(before.weights)
    expect(tf.memory().numTensors).toBe(before.count)
  })

  it('says what is wrong before it starts', () => {
    const wrong = { ...train, labels: Int32Array.from(rows, (_, i) => i % 3) }
    expect(() => new Trainer({ model, train: wrong })).toThrow('labels that are not integers from 0 to 1: 2 in row 2')
    expect(() => new Trainer({ model, train: { ids: [] , labels: [] } })).toThrow('empty data set')
    expect(() => new Trainer({ model, train: { ids: rows }, epochs: 0 })).toThrow(/epochs: expected an integer.*\n.*expected labels/)
    detach(adapter)
    expect(() => new Trainer({ model, train })).toThrow('the model has nothing to train; attach an adapter')
  })
})

it('predict refuses a model that does not give one class a row', async () => {
  const other = await loadModel(goldenPath('bert/token_classification'), { task: 'token-classification' })
  await expect(predict(other, { ids: rows })).rejects.toThrow("expected a model loaded for 'sequence-classification' or 'image-classification', got one for 'token-classification'; use predictTokens.")
  other.dispose()
})

it('predict gives each row its own logits, whatever its length', async () => {
  const { classes, logits } = await predict(model, { ids: rows }, { batchSize: 8 })
  for (const row of [0, 17, 39]) {
    const ids = rows[row] as Int32Array
    const alone = tf.tidy(() => valuesOf(model.forward({ ids, batch: 1, length: ids.length })).slice())
    alone.forEach((x, i) => expect(logits[row * 2 + i]).toBeCloseTo(x, 5))
    expect(classes[row]).toBe((alone[0] as number) >= (alone[1] as number) ? 0 : 1)
  }
})
