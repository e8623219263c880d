import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { adaptersOf } from '../../src/base/adapter/attached.ts'
import { accuracy } from '../../src/base/tasks/metrics.ts'
import type { Observed } from '../../src/base/tasks/measures.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { squadScores } from '../../src/base/tasks/span-measure.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { datasetOf } from '../../src/data/dataset.ts'
import { InputError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import { entityF1 } from '../../src/training/entities.ts'
import { maskTokens } from '../../src/training/mask-tokens.ts'
import { evaluate, perplexity } from '../../src/training/measure.ts'
import { trainTasks } from '../../src/training/multi-task.ts'
import { predict } from '../../src/training/predict.ts'
import { predictSpans } from '../../src/training/predict-spans.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
import { readExamples } from '../../src/training/read-examples.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath } from '../golden.ts'
import { closeModel, tinyModel } from '../manage/models.ts'

const ids = Array.from({ length: 11 }, (_, i) => Array.from({ length: 2 + ((i * 5) % 7) }, (__, t) => 4 + ((i * 7 + t * 5) % 30)))
const rows = { ids, labels: ids.map((_, i) => i % 3) }
let model: Model
beforeAll(async () => { model = await tinyModel() })
afterAll(() => { closeModel(model) })

it('measures as the evaluation of a training does, keeps no tensor and does not care how many rows go at a time', async () => {
  const before = tf.memory().numTensors
  const measures = await evaluate(model, rows, { batchSize: 4 })
  expect(tf.memory().numTensors).toBe(before)
  expect(measures.accuracy).toBe(accuracy((await predict(model, rows)).classes, rows.labels))
  expect((await evaluate(model, rows)).loss).toBeCloseTo(measures.loss ?? NaN, 6)
  attach(model, lora({ rank: 2 }))
  const events: unknown[] = []
  await new Trainer({ model, train: rows, evaluate: rows, batchSize: 4, maxSteps: 1, learningRate: 1e-9 }).fit({ onEvent: (event) => events.push(event) })
  expect(events).toContainEqual({ type: 'evaluate', step: 1, epoch: 0, ...measures, loss: expect.closeTo(measures.loss ?? NaN, 6) as number })
})

it('a measure of one’s own sees what the model said of all rows in their order, and the names of the classes', async () => {
  const { classes } = await predict(model, rows)
  let seen: Observed | undefined
  const measure = (observed: Observed): Record<string, number> => {
    seen = observed
    return { first: observed.predicted[0] ?? NaN }
  }
  expect((await evaluate(model, rows, { batchSize: 3, measure }))['first']).toBe(classes[0])
  expect(seen?.predicted).toEqual([...classes])
  expect(seen?.actual).toEqual(rows.labels)
  expect(seen?.rows[4]).toEqual({ predicted: [classes[4]], actual: [rows.labels[4]] })
  expect(seen?.labels).toEqual(model.parts.labels)
})

it('of tokens it sees those that count, row by row, as F1 of whole entities wants them', async () => {
  const tagger = await loadModel(goldenPath('bert/token_classification'), { task: 'token-classification', labels: ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'] })
  const tokenLabels = ids.map((row) => row.map((id, t) => (t === 0 ? -100 : id % 5)))
  const measure = ({ rows: observed, labels }: Observed): Record<string, number> =>
    ({ entityF1: entityF1(observed.map(({ predicted }) => predicted), observed.map(({ actual }) => actual), labels).f1 })
  const { entityF1: found } = await evaluate(tagger, { ids, tokenLabels }, { batchSize: 3, measure })
  const { classes } = await predictTokens(tagger, { ids })
  expect(found).toBe(entityF1(classes, tokenLabels, tagger.parts.labels).f1)
  expect(found).toBeGreaterThan(0)
  tagger.dispose()
})

it('a measure of one’s own may note anything of each batch, also waiting for it, and leaves no tensor', async () => {
  const measure = {
    observe: async (output: Tensor) => [...await tf.max(tf.abs(output)).data()],
    summarize: (noted: readonly number[][], labels: readonly string[]) => ({ largest: Math.max(...noted.flat()), batches: noted.length, classes: labels.length }),
  }
  const before = tf.memory().numTensors
  const { largest, batches, classes } = await evaluate(model, rows, { batchSize: 4, measure })
  expect(tf.memory().numTensors).toBe(before)
  expect(largest).toBeCloseTo(Math.max(...(await predict(model, rows)).logits.map(Math.abs)), 5)
  expect([batches, classes]).toEqual([3, 3])
})

it('measures batches made in another way, as of a masked LM', async () => {
  const lm = await loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm' })
  const tokenizer = { maskId: 3, specialIds: [0, 1, 2, 3], vocabSize: 37, idToToken: (id: number) => `t${id}` }
  const transform = maskTokens({ tokenizer, probability: 0.5 })
  const { loss = NaN, perplexity: measured } = await evaluate(lm, prepareBatches({ ids }, { batchSize: 4, bucketWindow: 3, transform }))
  expect(measured).toBeCloseTo(await perplexity(lm, { ids }, { batchSize: 4, transform }), 4)
  expect(measured).toBeCloseTo(Math.exp(loss), 6)
  lm.dispose()
})

it('says what a measure of one’s own cannot be', async () => {
  const lm = await loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm' })
  await expect(evaluate(lm, { ids, tokenLabels: ids }, { measure: () => ({}) })).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [
    "measure: a model for 'masked-lm' says no class or number for a row that could be compared; give { observe, summarize } in place of a function"]))
  lm.dispose()
  const gives = async (measure: unknown, got: string): Promise<void> => {
    await expect(evaluate(model, rows, { measure: measure as () => Record<string, number> })).rejects.toThrow(
      new InputError(`measure: expected numbers by name, as in ({ predicted }) => ({ count: predicted.length }), got ${got}.`))
  }
  await gives(() => 0.5, '0.5')
  await gives(() => [0.5], '[0.5]')
  await gives(() => undefined, 'undefined')
  await gives(async () => Promise.resolve({ right: 1 }), 'a Promise; what has to be awaited belongs into `observe` of { observe, summarize }')
  await expect(evaluate(model, rows, { measure: () => ({ right: 'all' as unknown as number }) })).rejects.toThrow(
    new InputError('measure: expected numbers by name:', ['right: got "all"']))
})

it('answers are measured as SQuAD has them, by `evaluate`, `best` and measures of one’s own', async () => {
  const reader = await loadModel(goldenPath('answers/reader'), { task: 'question-answering' })
  const tokenizer = await loadTokenizer(goldenPath('answers/pieces'))
  const context = 'Ada Lovelace lived in London, and worked with Charles Babbage.'
  const data = datasetOf([
    { question: 'Who lived in London?', context, answers: { text: ['Ada Lovelace', 'Ada'], answer_start: [0, 0] } },
    { question: 'Where?', context, answers: { text: ['London'], answer_start: [22] } },
  ])
  const { examples } = await readExamples(data, { tokenizer, text: ['question', 'context'], answer: 'answers' })
  const pieces = tokenizer.encode(['Who lived in London?', 'Where?'].map((question) => [question, context] as const), { offsets: true })
  const places = pieces.offsets ?? []
  const { exactMatch, f1, said } = await evaluate(reader, examples, {
    measure: ({ rows: all }) => ({ said: all.filter(({ predicted: [first = 0] }, i) => pieces.typeIds[i]?.[first] === 1).length }),
  })
  const spans = await predictSpans(reader, examples, { context: pieces.typeIds.map((row, i) => [...row].map((type, t) => (type === 1 && pieces.specialTokensMask[i]?.[t] === 0 ? 1 : 0))) })
  const scores = spans.map(([{ first, last } = { first: 0, last: 0 }], i) =>
    squadScores(context.slice(places[i]?.[first]?.[0], places[i]?.[last]?.[1]), i === 0 ? ['Ada Lovelace', 'Ada'] : ['London']))
  expect({ exactMatch, f1, said }).toEqual({ exactMatch: (scores[0]?.exactMatch ?? 0) / 2 + (scores[1]?.exactMatch ?? 0) / 2, f1: expect.closeTo(((scores[0]?.f1 ?? 0) + (scores[1]?.f1 ?? 0)) / 2, 9) as number, said: 2 })
  attach(reader, fullFineTuning())
  const { best } = await new Trainer({ model: reader, train: examples, evaluate: examples, epochs: 150, learningRate: 1e-2, best: { metric: 'exactMatch' } }).fit()
  expect(best?.value).toBe(1)
  closeModel(reader)
})

it('what would make batches of rows is refused beside batches that are made already', async () => {
  const batches = prepareBatches(rows, { batchSize: 4, labels: model.labels })
  const ready = (option: string): string => `${option}: expected none beside batches that are made already; give it to what makes them, prepareBatches or streamBatches`
  await expect(evaluate(model, batches, { batchSize: 2 })).rejects.toThrow(new InputError('evaluate: the options cannot be used:', [ready('batchSize')]))
  const [adapter] = adaptersOf(model) as [Adapter]
  const order = rows.ids.map((_, i) => i)
  expect(() => new Trainer({ model, train: batches, batchSize: 2, order, bucketWindow: 2 })).toThrow(
    new InputError('Trainer: the options cannot be used:', ['batchSize', 'order', 'bucketWindow'].map(ready)))
  expect(new Trainer({ model, train: batches, evaluate: rows, batchSize: 2 }).steps).toBe(batches.count) // by which rows are evaluated
  const tasks = [{ name: 'one', adapters: [adapter.name], train: batches }]
  await expect(trainTasks({ model, tasks, steps: 1, batchSize: 2 }).next()).rejects.toThrow(new InputError('trainTasks: the options cannot be used:', [ready('batchSize')]))
})
