import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError, TrainingError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import type { ValueAndGrads } from '../../src/base/autodiff/grads.ts'
import { accumulatedGrads } from '../../src/training/accumulate.ts'
import { prepareBatches, type PaddedBatch } from '../../src/training/batches.ts'
import type { Cost } from '../../src/training/cost.ts'
import { predict } from '../../src/training/predict.ts'
import type { EndEvent, TrainerEvent } from '../../src/training/events.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, numberOf, valuesOf } from '../golden.ts'

let model: Model
let adapter: Adapter

beforeEach(async () => {
  model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
  adapter = attach(model, lora({ rank: 4, alpha: 8 }))
})
afterEach(() => {
  for (const attached of adaptersOf(model)) detach(attached)
  model.dispose()
})

const ids = Array.from({ length: 24 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const train = { ids, labels: Int32Array.from(ids, (_, i) => i % 2) }

async function events(options: Partial<TrainerOptions>): Promise<TrainerEvent[]> {
  const seen: TrainerEvent[] = []
  await new Trainer({ model, train, ...('epoch' in (options.train ?? train) ? {} : { batchSize: 4 }), ...options }).fit({ onEvent: (event) => seen.push(event) })
  return seen
}
async function lossesOf(options: Partial<TrainerOptions>): Promise<{ readonly end: EndEvent; readonly losses: readonly number[] }> {
  const seen = await events({ evaluate: train, evaluateEvery: 1, maxSteps: 5, learningRate: 3e-2, ...options })
  return { end: seen.at(-1) as EndEvent, losses: seen.flatMap((event) => (event.type === 'evaluate' ? [event.loss ?? NaN] : [])) }
}
const types = (seen: readonly TrainerEvent[]): string[] => seen.map(({ type }) => type)
const weights = (): Float32Array[] => Object.values(adapter.trainable).map((variable) => valuesOf(variable).slice())

describe('several batches a step', () => {
  it('have the loss and the gradients of one batch of all their rows, whatever their sizes', () => {
    const grads = (batchSize: number): ValueAndGrads => {
      const batches = [...prepareBatches(train, { batchSize }).epoch(0)]
      return accumulatedGrads(model, batches, adapter.trainable, () => ({}))
    }
    const before = tf.memory().numTensors
    const [whole, parts] = [grads(24), grads(9)] // 9, 9 and 6 rows
    expect(numberOf(parts.value)).toBeCloseTo(numberOf(whole.value), 6)
    for (const [name, grad] of Object.entries(whole.grads)) {
      const scale = Math.max(...valuesOf(grad).map(Math.abs))
      expect(largestDifference(valuesOf(parts.grads[name] as tf.Tensor), valuesOf(grad))).toBeLessThan(1e-5 * scale + 1e-9)
    }
    tf.dispose([whole.grads, parts.grads])
    expect(tf.memory().numTensors).toBe(before)
  })

  it('count by their labels in a causal LM, where the first token of a row has none', async () => {
    const decoder = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
    const attached = attach(decoder, lora())
    const row = (length: number, ignored: number): { ids: Int32Array; labels: Int32Array; batch: number; length: number } => {
      const tokens = Int32Array.from({ length }, (_, i) => (7 * i + length) % 40)
      return { ids: tokens, labels: tokens.map((id, i) => (i < ignored ? -100 : id)), batch: 1, length }
    }
    const rows = [row(8, 0), row(8, 5)]
    const whole = { ids: new Int32Array([...rows.flatMap((r) => [...r.ids])]), labels: new Int32Array([...rows.flatMap((r) => [...r.labels])]), batch: 2, length: 8 }
    const apart = accumulatedGrads(decoder, rows, attached.trainable, () => ({}))
    const together = accumulatedGrads(decoder, [whole], attached.trainable, () => ({}))
    expect(numberOf(apart.value)).toBeCloseTo(numberOf(together.value), 5)
    tf.dispose([apart.grads, together.grads])
    detach(attached)
    decoder.dispose()
  })

  it('are fewer steps, the last of an epoch with what is left', async () => {
    const trainer = new Trainer({ model, train, batchSize: 4, accumulate: 4, epochs: 2 })
    expect(trainer.steps).toBe(4)
    const seen = await events({ accumulate: 4, epochs: 2 })
    const tokens = seen.map((event) => (event.type === 'step' ? event.tokens : 0))
    expect((tokens[0] ?? 0) + (tokens[1] ?? 0)).toBe(ids.reduce((sum, row) => sum + row.length, 0))
    expect(types(seen)).toEqual(['step', 'step', 'step', 'step', 'end'])
  })
})

describe('a training ends', () => {
  it('after maxSteps, whatever the epochs, and the schedule is made for them', async () => {
    const seen = await events({ maxSteps: 8 })
    expect(types(seen)).toEqual([...Array<string>(8).fill('step'), 'end'])
    expect(seen.flatMap((event) => (event.type === 'step' ? [event.epoch] : []))).toEqual([0, 0, 0, 0, 0, 0, 1, 1])
    const last = seen.at(-2)
    expect(last?.type === 'step' && last.learningRate).toBeCloseTo(5e-4 / 8, 10)
    expect(await events({ maxSteps: 100, epochs: 1 })).toHaveLength(7)
  })

  it('when its time is over, and says so', async () => {
    const seen = await events({ maxSeconds: 0 })
    expect(types(seen)).toEqual(['step', 'end'])
    expect(seen[1]).toEqual({ type: 'end', end: 'stopped', step: 1, steps: 6, reason: 'maxSeconds is over', cost: expect.any(Object) as Cost })
  })

  it('when evaluations get no better, with the weights of the best one', async () => {
    let best = { step: 0, accuracy: -1, weights: weights() }
    const seen: TrainerEvent[] = []
    const trainer = new Trainer({
      model, train, evaluate: train, evaluateEvery: 2, batchSize: 4, epochs: 50, learningRate: 0.03, best: { metric: 'accuracy', patience: 3 },
    })
    for await (const event of trainer.run()) {
      seen.push(event)
      if (event.type === 'evaluate' && (event.accuracy ?? NaN) > best.accuracy) best = { step: event.step, accuracy: event.accuracy ?? NaN, weights: weights() }
    }
    const { step: found } = best
    expect(seen.at(-1)).toEqual({
      type: 'end', end: 'early', step: found + 6, steps: 300, reason: 'no better evaluation', best: { step: found, value: best.accuracy, since: 3 }, cost: expect.any(Object) as Cost,
    })
    expect(weights()).toEqual(best.weights)
    const evaluations = seen.filter((event) => event.type === 'evaluate').map(({ accuracy = NaN }) => accuracy)
    expect(evaluations.slice(-4).indexOf(Math.max(...evaluations))).toBe(0)
    const { classes } = await predict(model, train)
    expect(classes.filter((label, i) => label === train.labels[i]).length / 24).toBeCloseTo(best.accuracy, 10)
  })

  it('takes lower as better where it is told to, and of a loss by itself', async () => {
    const seen = await events({ evaluate: train, evaluateEvery: 1, maxSteps: 4, best: { metric: 'accuracy', lowerIsBetter: true } })
    const lowest = Math.min(...seen.flatMap((event) => (event.type === 'evaluate' ? [event.accuracy ?? NaN] : [])))
    const { classes } = await predict(model, train)
    expect(classes.filter((label, i) => label === train.labels[i]).length / 24).toBeCloseTo(lowest, 10)
    const { end, losses } = await lossesOf({ best: { metric: 'loss' } })
    expect(end.best).toEqual({ step: 1 + losses.indexOf(Math.min(...losses)), value: Math.min(...losses), since: expect.any(Number) as number })
    const { end: worst } = await lossesOf({ best: { metric: 'loss', lowerIsBetter: false } })
    expect(worst.best?.value).toBeGreaterThan(Math.min(...losses))
  })

  it('before the first step where the metric is none of the measures, with those that there are', async () => {
    const own = { observe: () => 1, summarize: (noted: readonly number[]) => ({ batches: noted.length, macroF1: 0.5 }) }
    const seen: TrainerEvent[] = []
    const fit = (metric: string, measure?: TrainerOptions['measure']): Promise<unknown> =>
      new Trainer({ model, train, evaluate: train, best: { metric }, ...(measure === undefined ? {} : { measure }) }).fit({ onEvent: (event) => seen.push(event) })
    await expect(fit('acuracy')).rejects.toThrow(new InputError('best.metric: expected one of accuracy, f1, loss, got "acuracy"; did you mean accuracy?'))
    await expect(fit('macro_f1', own)).rejects.toThrow(
      new InputError('best.metric: expected one of accuracy, f1, loss, batches, macroF1, got "macro_f1"; did you mean macroF1?'))
    expect(seen).toEqual([])
    expect(await fit('macroF1', own)).toMatchObject({ end: 'finished', best: { value: 0.5 } })
  })

  it('early where a measure of one’s own gets no better, and an evaluation that is no number is no better than any', async () => {
    const values = [0, NaN, 3, 2, NaN, 1, 5] // the first is of the trial before the first step
    let evaluation = 0
    const measure = { observe: () => undefined, summarize: () => ({ own: values[evaluation++] ?? 9 }) }
    const seen = await events({ evaluate: train, evaluateEvery: 1, epochs: 10, measure, best: { metric: 'own', patience: 3 } })
    expect(seen.at(-1)).toMatchObject({ end: 'early', step: 5, best: { step: 2, value: 3, since: 3 } })
  })

  it('not without rows to evaluate on, where it is to end with the best', () => {
    expect(() => new Trainer({ model, train, best: { metric: 'f1' } })).toThrow('best: expected rows to evaluate on')
  })
})

describe('a step whose gradients are not finite', () => {
  it('is passed over where that is asked for, with the weights as they were, ten times in a row at most', async () => {
    (adapter.trainable['classifier.bias'] as tf.Variable).assign(tf.tensor1d([NaN, 0]))
    const before = weights()
    const seen: TrainerEvent[] = []
    const fit = new Trainer({ model, train, batchSize: 2, nonFinite: 'skip' }).fit({ onEvent: (event) => seen.push(event) })
    await expect(fit).rejects.toThrow(TrainingError)
    await expect(fit).rejects.toThrow(/Step 11: the loss is NaN .* for the 11th time in a row/)
    expect(seen).toHaveLength(10)
    expect(seen.every((event) => event.type === 'step' && event.skipped === true)).toBe(true)
    expect(weights()).toEqual(before)
  })
})

it('batches that come later are waited for, and the wait is told', async () => {
  const batches = prepareBatches(train, { batchSize: 8 })
  async function* slow(epoch: number, from?: number): AsyncGenerator<PaddedBatch> {
    for (const batch of batches.epoch(epoch, from)) {
      await new Promise((done) => setTimeout(done, 30))
      yield batch
    }
  }
  const seen = await events({ train: { count: 3, epoch: slow }, epochs: 2 })
  expect(types(seen)).toEqual([...Array<string>(6).fill('step'), 'end'])
  for (const event of seen) if (event.type === 'step') expect(event.waited).toBeGreaterThan(20)
  await expect(events({ train: { count: 4, epoch: slow } })).rejects.toThrow('Epoch 0 ended before its 4 batches had come')
})
