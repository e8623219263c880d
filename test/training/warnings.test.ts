// What is told before the first step, and after the last, though nothing is wrong.

import { afterAll, beforeAll, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import { coSent } from '../../src/base/tasks/similarity.ts'
import type { Guard } from '../../src/training/guard.ts'
import { Trainer } from '../../src/training/trainer.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { watchLosses } from '../../src/training/watch-losses.ts'
import { closeModel, tinyModel } from '../manage/models.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
let model: Model
beforeAll(async () => {
  model = await tinyModel()
  attach(model, lora({ rank: 2 }))
})
afterAll(() => { closeModel(model) })

const rows = { ids: [[1, 2], [3, 4], [5, 6]], labels: [0, 1, 0] }
const others = { ids: [[1, 7], [3, 8], [5, 6]], labels: [0, 1, 0] }
const warnings = async (options: Partial<TrainerOptions>): Promise<string[]> => {
  const texts: string[] = []
  await new Trainer({ model, train: rows, batchSize: 1, ...options }).fit({ onEvent: (event) => { if (event.type === 'warning') texts.push(event.text) } })
  return texts
}

it('options that have no effect in so few steps are told', async () => {
  const checkpoints = (every?: number): TrainerOptions['checkpoints'] & object => ({ folder: temporary(`run-${every}`), ...(every === undefined ? {} : { every }) })
  expect(await warnings({ evaluate: others, best: { metric: 'loss', patience: 1 }, epochs: 2, accumulate: 3, warmup: 0.5, checkpoints: checkpoints() })).toEqual([])
  expect(await warnings({ evaluate: others, evaluateEvery: 100, best: { metric: 'loss', patience: 3 }, checkpoints: checkpoints(100), warmup: 1 })).toEqual([
    'warmup: 1 is a share: the learning rate rises in all 3 steps',
    'evaluateEvery: 100 steps are more than the 3 of the training: it is measured at its end alone',
    'best.patience: 3 evaluations without a better one cannot come, there are 1 in all: nothing will end the training early',
    'checkpoints.every: 100 steps are more than the 3 of the training: its only checkpoint is that of the end',
  ])
  expect(await warnings({ accumulate: 4 })).toEqual(['accumulate: 4 batches are more than the 3 of an epoch: a step is an epoch'])
})

it('what no trained tensor learns by is told', async () => {
  expect(await warnings({ groups: [{ match: (name) => name.includes('lora_B'), learningRateScale: 16 }, { match: (name) => name.includes('nowhere') }] })).toEqual([
    expect.stringMatching(/^groups: group 0 has none of the trained tensors, which are called as \S+ is$/), expect.stringMatching(/^groups: group 1 has none of/)])
  expect(await warnings({ groups: [{ match: () => true, learningRateScale: 0 }], labelSmoothing: 1 })).toEqual([
    'labelSmoothing: 1 is a share: all classes are as right as the label is, and nothing will be learned', 'groups: the learning rate of every trained tensor is 0. Nothing will be learned.'])
})

it('rows to evaluate on that were learned are told', async () => {
  expect(await warnings({ evaluate: others })).toEqual([])
  expect(await warnings({ evaluate: { ...rows } })).toEqual(['evaluate: 3 of 3 rows are rows of train too: their measures do not say how good it is on others'])
})

it('numbers far from what a head begins with are told', async () => {
  const rater = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['stars'], problemType: 'regression' })
  const adapter = attach(rater, lora({ rank: 2 }))
  expect(await warnings({ model: rater, train: { ...rows, labels: [1, 5, 20] } })).toEqual([])
  expect((await warnings({ model: rater, train: { ...rows, labels: [1, -1500, 2] } }))[0]).toBe(
    'train: labels of up to 1500: the outputs begin near 0, and a step moves them by little. Let it learn (label - mean) / deviation, and turn its answers back.')
  detach(adapter)
  closeModel(rater)
})

it('pairs of which nothing is learned are told, and a loss that was 0 throughout', async () => {
  const embedder = await loadModel(goldenPath('bert/base'), { task: 'sentence-embedding' })
  const adapter = attach(embedder, lora({ rank: 2 }))
  const { ids } = rows
  const pairs = { model: embedder, batchSize: 3 }
  expect(await warnings({ ...pairs, train: { ids, positives: others.ids } })).toEqual([])
  expect(await warnings({ ...pairs, train: { ids, positives: ids, scores: [1, 0.9, 1] }, loss: coSent() })).toEqual([])
  const alike = ids.map(() => [1, 2])
  expect(await warnings({ ...pairs, train: { ids: alike, positives: alike } })).toEqual(['train: 3 of 3 positives are the texts themselves, of which nothing is learned',
    'the loss was 0 in every step: nothing was learned. Is all of it known already, or are the rows alike?'])
  const against = 'train: 3 of 3 rows have their own positive among their negatives, which is left out there'
  expect(await warnings({ ...pairs, train: { ids, positives: others.ids, negatives: others.ids } })).toContain(against)
  expect(await warnings({ ...pairs, train: { ids, positives: others.ids, negatives: others.ids.map((row) => [[9], row]) } })).toContain(against)
  detach(adapter)
  closeModel(embedder)
})

it('names of classes, one a row, for a model of sets are told in these words', async () => {
  const tagger = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['law', 'art'], problemType: 'multi_label_classification' })
  attach(tagger, lora({ rank: 2 }))
  expect(() => new Trainer({ model: tagger, train: { ids: rows.ids, labels: ['law', 'art', 'law'] } })).toThrow(new InputError('Trainer: the options cannot be used:', [
    'train: labels: the model learns sets of labels (multi_label_classification), got one name for each row; give lists of names, as `labelSet` reads them, or load the model without problemType']))
  closeModel(tagger)
})

it('a loss is worse where it ends, or has been, many times the first, of few steps more; noise is not', () => {
  const told = (...losses: number[]): string[] => {
    const watch = watchLosses()
    for (const loss of losses) watch.see(loss)
    return watch.warnings(5)
  }
  expect(told(0.7, 8.2, 38.4)).toEqual(['the loss was 0.700 in the first step and 23.3 in the last 2: the training has made it worse. Try a learning rate lower than 5.'])
  expect(told(0.7, 40)).toEqual(['the loss was 0.700 in the first step and 40.0 in the last step: the training has made it worse. Try a learning rate lower than 5.'])
  expect(told(0.7, 1.1, 9.1, 1.2, 0.6, 5.9, 6.1, 2.6, 2.8, 3.2, 1.4, 0.6)).toEqual(['the loss was 0.700 in the first step and 2.12 in the last 5: the training has made it worse. Try a learning rate lower than 5.'])
  for (const quiet of [[], [0.7], [0.7, 0.9, 2], [0.7, 9, 8, 3, 2, 1, 0.4, 0.3, 0.2, 0.2, 0.1], [0.01, 0.3, 0.2, 0.4, 0.3, 0.2]]) expect(told(...quiet)).toEqual([])
})

it('guards that add far more than the loss are told', async () => {
  const guard = (value: number): Guard => ({ name: 'pull', check: () => undefined, penalty: () => ({ value, grads: {} }) })
  expect(await warnings({ guards: [guard(1)], learningRate: 1e-9 })).toEqual([])
  expect(await warnings({ guards: [guard(5000)], learningRate: 1e-9 })).toEqual([
    expect.stringMatching(/^the guards add 5\.00e\+3 to a loss of \S+ in the last 2: they alone move the weights\. Try a lower strength\.$/)])
})
