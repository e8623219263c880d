// Options that would have no effect, or another than was meant: each is told before the first step.

import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { csv } from '../../src/data/csv.ts'
import { InputError, shown } from '../../src/errors.ts'
import { ewc } from '../../src/forgetting/ewc.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { evaluate } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { lora } from '../../src/lora/lora.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import { streamBatches } from '../../src/training/stream-batches.ts'
import { trainTasks } from '../../src/training/multi-task.ts'
import type { TrainingTask } from '../../src/training/multi-task-options.ts'
import { Trainer, type FitOptions } from '../../src/training/trainer.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
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

const rows = { ids: [[1, 2], [3, 4]], labels: [0, 1] }
const make = (options: Partial<TrainerOptions>): Trainer => new Trainer({ model, train: rows, maxSteps: 2, ...options })
const refused = (...problems: readonly string[]): InputError => new InputError('Trainer: the options cannot be used:', problems)

it('a patience of none, which would end before the first step, and settings of other types are refused', () => {
  expect(() => make({ evaluate: rows, best: { metric: 'accuracy', patience: 0, minDelta: '1' as never, lowerIsBetter: 'no' as never }, epochs: '3' as never })).toThrow(refused(
    'epochs: expected an integer of at least 1, got "3"',
    'best.patience: expected an integer of at least 1, got 0', 'best.minDelta: expected a number of at least 0, got "1"', 'best.lowerIsBetter: expected true or false, got "no"'))
})

it('a measure that is called an error has to say whether the lowest is best', async () => {
  for (const metric of ['errorRate', 'errors', 'valLoss', 'mae']) {
    const best = { evaluate: rows, measure: () => ({ [metric]: 1 }), best: { metric } }
    expect(() => make(best)).toThrow(refused(`best.lowerIsBetter: expected true or false beside "${metric}", whose name says that the lowest may be best`))
    expect((await make({ ...best, best: { metric, lowerIsBetter: true } }).fit()).end).toBe('finished')
  }
})

it('what has no effect is refused: when to evaluate without rows to evaluate', () => {
  expect(() => make({ evaluateEvery: 2 })).toThrow(refused('evaluateEvery: expected rows to evaluate on, got none'))
})

it('a measure that is no number in any evaluation leaves the weights of the last step, and that is told', async () => {
  const events: TrainerEvent[] = []
  const [before] = Object.values(model.attached.enabled[0]?.trainable ?? {}).map((tensor) => tensor.dataSync())
  await make({ evaluate: { ids: [[5, 6]], labels: [0] }, evaluateEvery: 1, learningRate: 0.1, measure: () => ({ mine: NaN }), best: { metric: 'mine' } }).fit({ onEvent: (event) => { events.push(event) } })
  expect(events.filter(({ type }) => type === 'warning')).toEqual([{ type: 'warning', step: 2, text: 'best.metric: mine was not a number in any evaluation; the weights are those of the last step' }])
  expect(Object.values(model.attached.enabled[0]?.trainable ?? {})[0]?.dataSync()).not.toEqual(before)
})

it('an onEvent that is no function is refused, and a watcher that fails later fails the training', async () => {
  await expect(make({}).fit({ onEvent: {} as never })).rejects.toThrow(new InputError('Trainer.fit: the options cannot be used:', ['onEvent: expected a function of an event, got {}']))
  const late = (): unknown => Promise.resolve().then(() => { throw new Error('the disk is full') })
  await expect(make({}).fit({ watchers: [{ onEvent: late }] })).rejects.toThrow('the disk is full')
})

it('streamed batches of other settings are not gone on with', async () => {
  writeFileSync(temporary('rows.csv'), 'text,other,label\na,b,x\nc,d,y\n')
  const stream = (options: object) => streamBatches(csv(temporary('rows.csv')), { text: 'text', label: 'label', labels: model.labels, tokenizer: 'some/words', rows: 2, batchSize: 1, ...options })
  expect((await stream({ maxLength: 8, seed: 1 })).settings).toEqual({ text: 'text', label: 'label', rows: 2, batchSize: 1, maxLength: 8, window: 16, seed: 1, tokenizer: 'words' })
  const folder = temporary('run')
  const batches = prepareBatches(rows, { batchSize: 1 })
  const fit = (settings: Record<string, number | string>): Promise<unknown> => make({ train: { ...batches, settings, epoch: batches.epoch.bind(batches) }, checkpoints: { folder } }).fit()
  await fit({ maxLength: 8, text: 'text' })
  await fit({ maxLength: 8, text: 'text' })
  await expect(fit({ maxLength: 9, text: 'other' })).rejects.toThrow(['  - train.maxLength: 8 there, 9 here', '  - train.text: text there, other here'].join('\n'))
})

it('a warning that nobody would hear goes to the console', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const guards = (): TrainerOptions['guards'] => [ewc({ strength: 1 })]
  await make({ guards: guards() ?? [] }).fit({ onEvent: () => undefined })
  expect(warn.mock.calls).toEqual([])
  await make({ guards: guards() ?? [] }).fit()
  expect(warn.mock.calls).toEqual([['Trainer: ewc: it was told of no task yet, and holds nothing: guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows)), when a task has been learned.']])
  warn.mockRestore()
})

it('a schedule, a guard and a folder that are none are told before the first step', () => {
  expect(() => make({ schedule: 'cosine' as never, guards: [ewc] as never, checkpoints: { folder: 5 as never } })).toThrow(refused(
    'guards: expected what ewc() and its like give, got a function, ewc', 'schedule: expected a function that makes one, as in { schedule: cosine }, got "cosine"',
    'checkpoints.folder: expected the path of a folder, got 5'))
})

it('names of classes for a model of numbers are told in these words', async () => {
  const rater = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['ham'] })
  attach(rater, lora({ rank: 2 }))
  expect(() => new Trainer({ model: rater, train: { ids: rows.ids, labels: ['ham', 'ham'] } })).toThrow(
    refused('train: labels: the model learns numbers (regression), got names of classes; to tell classes apart, load it with two labels or more'))
  closeModel(rater)
})

it('rows that a tokenizer has filled up would be read with their padding, and are refused', async () => {
  const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
  const texts = ['a', 'the minutes of the meeting']
  const told = 'rows were filled up by the tokenizer, and the padding would be read as text; leave its option `padding` out: batches fill rows up, with a mask'
  for (const { ids } of [tokenizer.encode(texts, { padding: 'longest' }), tokenizer.encodeWords(texts.map((text) => text.split(' ')), { padding: 'max', maxLength: 12 })]) {
    expect(() => make({ train: { ids, labels: [0, 1] } })).toThrow(refused(`train: ids: ${told}`))
    await expect(predict(model, { ids })).rejects.toThrow(new InputError(`predict: ids: ${told}.`))
    await expect(evaluate(model, { ids: rows.ids, positives: ids })).rejects.toThrow(`positives: ${told}`)
    for (const negatives of [ids, ids.map((row) => [row])]) await expect(evaluate(model, { ids: rows.ids, positives: rows.ids, negatives })).rejects.toThrow(`negatives: ${told}`)
  }
})

it('what has no JSON is shown as what it is', () => {
  expect([Promise.resolve(1), shown, () => 1, Symbol('a')].map(shown)).toEqual(['a promise: write `await` before what gives it', 'a function, shown', 'a function, without a name', 'a symbol'])
})

it('a training that has made the loss worse says so at its end', async () => {
  const warnings = async (learningRate: number): Promise<string[]> => {
    const texts: string[] = []
    await make({ train: { ids: [[1, 2], [1, 2]], labels: [0, 1] }, maxSteps: 12, learningRate }).fit({ onEvent: (event) => { if (event.type === 'warning') texts.push(event.text) } })
    return texts
  }
  expect(await warnings(1e-3)).toEqual([])
  expect(await warnings(50)).toEqual([expect.stringMatching(/^the loss was \S+ in the first step and \S+ in the last 5: the training has made it worse\. Try a learning rate lower than 50\.$/)])
})

it('a training whose learning rate is 0 in every step says so before the first, of several tasks too', async () => {
  const warnings = async (options: Partial<TrainerOptions>): Promise<string[]> => {
    const texts: string[] = []
    await make({ maxSteps: 3, ...options }).fit({ onEvent: (event) => { if (event.type === 'warning') texts.push(event.text) } })
    return texts
  }
  const isZero = 'the learning rate is 0 in every step: learningRate is 0. Nothing will be learned.'
  expect(await warnings({ learningRate: 0 })).toEqual([isZero])
  expect(await warnings({ schedule: () => () => 0 })).toEqual(['the learning rate is 0 in every step: the schedule and its warm-up give 0.0005 · 0. Nothing will be learned.'])
  expect(await warnings({ maxSteps: 1, warmup: 0.5 })).toEqual(['the learning rate is 0 in every step: the schedule and its warm-up give 0.0005 · 0. Nothing will be learned.'])
  expect(await warnings({ warmup: 0.9 })).toEqual([])
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const guard = ewc({ strength: 0 })
  const task = (name: string): TrainingTask => ({ name, adapters: ['default'], train: rows, guards: [guard] })
  for await (const { end } of trainTasks({ model, tasks: [task('one'), task('two')], steps: 1, learningRate: 0 })) expect(end).toBe('finished')
  expect(warn.mock.calls).toEqual([[`trainTasks: ${isZero}`],
    ['trainTasks: ewc: strength is 0: it holds nothing, and the training is what it would be without it. Give strength above 0, or leave the guard out.']])
  warn.mockRestore()
})

it('a Trainer that trains a second time says that it begins anew, one that goes on from a checkpoint does not', async () => {
  const warnings = async (trainer: Trainer, options: FitOptions = {}): Promise<string[]> => {
    const texts: string[] = []
    await trainer.fit({ ...options, onEvent: (event) => { if (event.type === 'warning') texts.push(event.text) } })
    return texts
  }
  const told = (reached: number): string => `this Trainer has trained before, ${reached} of 4 steps: it begins anew at step 1, with the weights as they are now. For a longer training make one with more epochs; to go on with one that was stopped, give it checkpoints.`
  const again = make({ maxSteps: 4 })
  expect(await warnings(again)).toEqual([])
  expect(await warnings(again)).toEqual([told(4)])
  const stopped = make({ maxSteps: 4 })
  expect(await warnings(stopped, { signal: AbortSignal.abort() })).toEqual([])
  expect(await warnings(stopped)).toEqual([told(1)])
  const kept = make({ maxSteps: 4, checkpoints: { folder: temporary('kept') } })
  for (const options of [{ signal: AbortSignal.abort() }, {}, {}]) expect(await warnings(kept, options)).toEqual([])
})
