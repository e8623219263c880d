import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { accuracy } from '../../src/base/tasks/metrics.ts'
import type { Observed } from '../../src/base/tasks/measures.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import { entityF1 } from '../../src/training/entities.ts'
import { maskTokens } from '../../src/training/mask-tokens.ts'
import { evaluate, perplexity } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
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
  expect(events[1]).toEqual({ type: 'evaluate', step: 1, epoch: 0, ...measures, loss: expect.closeTo(measures.loss ?? NaN, 6) as number })
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
  const reader = await loadModel(goldenPath('bert/question_answering'), { task: 'question-answering' })
  await expect(evaluate(reader, { ids, spans: ids.map(() => [0, 1] as const) }, { measure: () => ({}) })).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [
    "measure: a model for 'question-answering' says no class or number for a row that could be compared; give { observe, summarize } in place of a function"]))
  reader.dispose()
  await expect(evaluate(model, rows, { measure: () => ({ right: 'all' as unknown as number }) })).rejects.toThrow(
    new InputError('measure: expected numbers by name:', ['right: got "all"']))
})
