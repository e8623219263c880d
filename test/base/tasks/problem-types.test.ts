// Sequence classification whose outputs are numbers, or any number of labels a row, beside transformers.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { pearson, spearman } from '../../../src/base/tasks/metrics.ts'
import { InputError } from '../../../src/errors.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { lora } from '../../../src/lora/lora.ts'
import type { Examples } from '../../../src/training/batches.ts'
import type { EvaluateEvent, TrainerEvent } from '../../../src/training/events.ts'
import { predict } from '../../../src/training/predict.ts'
import type { TrainerOptions } from '../../../src/training/trainer-options.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { diagonalFisher } from '../../../src/forgetting/fisher.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const golden = await readGolden('problem_types/golden.safetensors')

const load = async (name: string): Promise<Model> => loadModel(goldenPath(`problem_types/${name}`), { task: 'sequence-classification' })

function batchOf(name: string): Batch {
  return { ...golden.batch(`${name}/ids`, `${name}/mask`), labels: Float32Array.from(golden.numbers(`${name}/labels`)) }
}

const CASES = [['one_number', 'regression'], ['three_numbers', 'regression'], ['label_sets', 'multi_label_classification'], ['unsaid', 'regression']] as const

describe.each(CASES)('a checkpoint of problem type %s (%s)', (name, problem) => {
  it('has the logits, the loss and the gradients of transformers, alone and in parts', async () => {
    const model = await load(name)
    expect(model.parts.problem).toBe(problem)
    const batch = batchOf(name)
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(batch))), golden.numbers(`${name}/logits`))).toBeLessThan(1e-5)
    const { trainable } = attach(model, fullFineTuning())
    const { value, grads } = valueAndGrads(() => model.loss(batch), trainable)
    expect(valuesOf(value)[0]).toBeCloseTo(golden.numbers(`${name}/loss`)[0] ?? NaN, 5)
    for (const key of ['classifier.weight', 'classifier.bias', 'bert.encoder.layer.0.attention.self.query.weight']) {
      expect(largestDifference(valuesOf(grads[key] as Tensor), golden.numbers(`${name}/grad/${key}`)), key).toBeLessThan(1e-5)
    }
    model.dispose()
  })

  it('keeps its problem when it is saved', async () => {
    const model = await load(name)
    await model.save(temporary(name))
    expect(JSON.parse(await readFile(join(temporary(name), 'config.json'), 'utf8'))).toMatchObject({ problem_type: problem })
    const again = await loadModel(temporary(name), { task: 'sequence-classification' })
    expect(again.parts.problem).toBe(problem)
    for (const each of [model, again]) each.dispose()
  })
})

/** Rows whose labels follow from their first token. */
function rows(labelOf: (token: number) => number | number[]): Examples & { readonly labels: number[] | number[][] } {
  const ids = Array.from({ length: 24 }, (_, i) => [3 + (i % 12), 4 + ((i * 5) % 20), 5, 6].slice(0, 2 + (i % 3)))
  return { ids, labels: ids.map(([first = 0]) => labelOf(first)) as number[] | number[][] }
}

async function trained(name: string, options: Pick<TrainerOptions, 'train'> & Partial<TrainerOptions>): Promise<{ events: TrainerEvent[]; model: Model }> {
  const model = await load(name)
  attach(model, lora({ rank: 4, targets: 'all-linear' }), { seed: 1 })
  const events: TrainerEvent[] = []
  await new Trainer({ model, batchSize: 8, epochs: 30, learningRate: 2e-2, seed: 1, ...options }).fit({ onEvent: (event) => events.push(event) })
  return { events, model }
}

function lastEvaluation(events: readonly TrainerEvent[]): EvaluateEvent {
  return events.filter((event) => event.type === 'evaluate').at(-1) as EvaluateEvent
}

describe('a training', () => {
  it('on numbers learns them, and measures the error and both correlations', async () => {
    const train = rows((token) => (token - 8) / 4)
    const { events, model } = await trained('one_number', { train, evaluate: train })
    const { mse, loss, pearson: linear, spearman: ranked } = lastEvaluation(events)
    const { logits, classes } = await predict(model, train)
    const actual = train.labels as number[]
    const expected = logits.reduce((sum, value, i) => sum + (value - (actual[i] ?? NaN)) ** 2, 0) / actual.length
    expect(mse).toBeCloseTo(expected, 5)
    expect(loss).toBeCloseTo(expected, 5)
    expect(linear).toBeCloseTo(pearson(logits, actual), 5)
    expect(ranked).toBeCloseTo(spearman(logits, actual), 5)
    expect(linear).toBeGreaterThan(0.9)
    expect(classes.length).toBe(0)
    model.dispose()
  })

  it('on sets of labels learns them, and measures all together, each by itself and rows as a whole', async () => {
    const train = rows((token) => [token % 2, token > 8 ? 1 : 0, token % 3 === 0 ? 1 : 0, 1])
    const { events, model } = await trained('label_sets', { train, evaluate: train })
    const { accuracy, microF1, macroF1 } = lastEvaluation(events)
    const { labels = [] } = await predict(model, train)
    const right = labels.filter((found, i) => (train.labels as number[][])[i]?.every((label, j) => found.includes(j) === (label === 1))).length
    expect(accuracy).toBeCloseTo(right / labels.length, 6)
    expect(microF1).toBeGreaterThan(0.9)
    expect(macroF1).toBeGreaterThan(0.8)
    model.dispose()
  })

  it('goes by a loss and by measures of one’s own', async () => {
    const train = rows((token) => (token - 8) / 4)
    const squared = (output: Tensor, { labels = new Float32Array() }: Batch): Scalar => tf.losses.meanSquaredError(tf.tensor(Float32Array.from(labels), output.shape), output)
    const largest = {
      observe: (output: Tensor) => valuesOf(tf.max(output))[0] ?? NaN,
      summarize: (noted: readonly number[]) => ({ largest: Math.max(...noted), batches: noted.length }),
    }
    const [usual, own] = [await trained('one_number', { train, epochs: 2 }), await trained('one_number', { train, epochs: 2, evaluate: train, loss: squared, measure: largest })]
    const lossesOf = ({ events }: typeof own): number[] => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
    expect(largestDifference(lossesOf(own), lossesOf(usual))).toBeLessThan(1e-5)
    const { logits } = await predict(own.model, train)
    expect(lastEvaluation(own.events)).toEqual({ type: 'evaluate', step: 6, epoch: 1, loss: expect.any(Number) as number, largest: expect.any(Number) as number, batches: 3 })
    expect(lastEvaluation(own.events)['largest']).toBeCloseTo(Math.max(...logits), 5)
    for (const { model } of [usual, own]) model.dispose()
  })

  it('that has no likelihood is told so by the Fisher information', async () => {
    const model = await load('one_number')
    const { trainable } = attach(model, lora({ rank: 2 }))
    await expect(diagonalFisher(model, trainable, { ids: [[3, 4]], labels: [1] }, { kind: 'empirical' })).rejects.toThrow(InputError)
    model.dispose()
  })

  it('is told of labels that are no numbers, or too few of them, with their rows', async () => {
    const model = await load('label_sets')
    attach(model, lora({ rank: 2 }))
    const wrong = { ids: [[3], [4], [5]], labels: [[1, 0, 0, 1], [1, 0, 0], [1, NaN, 0, 0]] }
    expect(() => new Trainer({ model, train: wrong })).toThrow(new InputError('Trainer: the options cannot be used:', [
      'train: rows without 4 numbers as labels: 3 in row 1', 'train: labels that are not numbers from 0 to 1: NaN at label 1 of row 2',
    ]))
    expect(() => tf.tidy(() => model.loss({ ids: Int32Array.of(3), batch: 1, length: 1, labels: Float32Array.of(0, 1, 2, 0) }))).toThrow(
      'labels: expected numbers from 0 to 1 for a model of several labels a row, got 2 as labels[2].')
    model.dispose()
  })
})

it('a new head takes the problem it is asked for', async () => {
  const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['grade'], problemType: 'regression' })
  expect(model.parts.problem).toBe('regression')
  await expect(loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a'], problemType: 'ranking' as never })).rejects.toThrow(
    'problemType: expected regression, single_label_classification, multi_label_classification, got "ranking".')
  model.dispose()
})

it('correlations are those of numpy, ties with their mean rank', () => {
  const [x, y] = [[1, 2.5, 2.5, -3, 7], [2, 1, 4, 4, 0]]
  expect(pearson(x, y)).toBeCloseTo(-0.7594969112856399, 12)
  expect(spearman(x, y)).toBeCloseTo(-0.7105263157894738, 12)
  expect(pearson([1, 1], [1, 2])).toBe(0)
})
