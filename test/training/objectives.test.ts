import { afterEach, describe, expect, it } from 'vitest'
import * as tf from '@tensorflow/tfjs-core'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Task } from '../../src/base/architecture.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { accumulatedGrads } from '../../src/training/accumulate.ts'
import { prepareBatches, type Examples } from '../../src/training/batches.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import { rowProblems } from '../../src/training/objectives.ts'
import { maskTokens } from '../../src/training/mask-tokens.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, numberOf, valuesOf } from '../golden.ts'

let model: Model
afterEach(() => {
  for (const attached of adaptersOf(model)) detach(attached)
  model.dispose()
})

const ids = Array.from({ length: 16 }, (_, i) => Array.from({ length: 4 + (i % 3) }, (_, t) => 4 + ((i * 7 + t * 5) % 30)))
const DATA: readonly (readonly [task: Task, path: string, train: Examples])[] = [
  ['token-classification', 'bert/token_classification', { ids, tokenLabels: ids.map((row) => row.map((id, t) => (t === 0 ? -100 : id % 2))) }],
  ['token-classification', 'gpt2/token_classification', { ids, tokenLabels: ids.map((row) => row.map((id) => id % 2)) }],
  ['question-answering', 'roberta/question_answering', { ids, spans: ids.map(() => [1, 3] as const) }],
  ['causal-lm', 'llama/causal_lm', { ids }],
  ['sentence-embedding', 'bert/base', { ids, positives: ids.map((row) => row.slice(1)) }],
  ['sentence-embedding', 'gpt2/base', { ids, positives: ids.map((row) => row.slice(1)) }],
]

async function train(task: Task, path: string, options: Pick<TrainerOptions, 'train'> & Partial<TrainerOptions>): Promise<TrainerEvent[]> {
  model = await loadModel(goldenPath(path), { task })
  attach(model, lora({ rank: 4 }))
  const seen: TrainerEvent[] = []
  const trainer = new Trainer({ model, ...('epoch' in options.train ? {} : { batchSize: 8 }), epochs: 12, learningRate: 2e-2, ...options })
  const counts = new Set<number>()
  for await (const event of trainer.run()) {
    seen.push(event)
    if (event.type === 'step') counts.add(tf.memory().numTensors)
  }
  expect(counts.size).toBe(1)
  return seen
}

const losses = (events: readonly TrainerEvent[]): number[] => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length

describe('Trainer', () => {
  it.each(DATA)('learns and measures %s on %s', async (task, path, rows) => {
    const seen = await train(task, path, { train: rows, evaluate: rows, evaluateEvery: 12 })
    const steps = losses(seen)
    expect(mean(steps.slice(-4))).toBeLessThan(0.9 * mean(steps.slice(0, 4)))
    const evaluation = seen.filter((event) => event.type === 'evaluate').at(-1)
    const measured = Object.keys(evaluation ?? {}).filter((name) => !['type', 'step', 'epoch'].includes(name))
    const expected: Readonly<Partial<Record<Task, readonly string[]>>> = {
      'token-classification': ['accuracy', 'f1', 'loss'], 'causal-lm': ['loss', 'perplexity'], 'sentence-embedding': ['accuracy', 'mrr', 'loss'],
      'question-answering': ['exactMatch', 'f1', 'loss'],
    }
    expect(measured).toEqual(expected[task] ?? ['loss'])
  })

  it('learns a masked LM from batches with other masks in each epoch', async () => {
    const tokenizer = { maskId: 3, specialIds: [0, 1, 2, 3], vocabSize: 37, idToToken: (id: number) => `t${id}` }
    const batches = prepareBatches({ ids }, { batchSize: 8, order: { seed: 0 }, transform: maskTokens({ tokenizer, probability: 0.5 }) })
    const steps = losses(await train('masked-lm', 'bert/masked_lm', { train: batches, epochs: 100 })) // other masks, other losses: seeds end at 0.80 to 0.91
    expect(mean(steps.slice(-40))).toBeLessThan(0.92 * mean(steps.slice(0, 8)))
  })

  it.each([
    ['token-classification', 'bert/token_classification', 'train: expected tokenLabels, one for each token'],
    ['question-answering', 'bert/question_answering', 'train: expected spans, an answer for each row'],
    ['sentence-embedding', 'bert/base', 'train: expected positives, a text for each row'],
    ['masked-lm', 'bert/masked_lm', 'train: expected tokenLabels, or batches made with prepareBatches(rows, { transform: maskTokens({ tokenizer }), ... })'],
  ] as const)('says what %s needs', async (task, path, message) => {
    model = await loadModel(goldenPath(path), { task })
    attach(model, lora())
    expect(() => new Trainer({ model, train: { ids, labels: ids.map(() => 0) } })).toThrow(message)
  })
})

describe('class weights and label smoothing', () => {
  it('give several batches the gradients of one batch of all their rows', async () => {
    model = await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification' })
    const { trainable } = attach(model, lora({ rank: 2, init: 'gaussian' }))
    const rows = { ids: ids.map((row) => row.slice(0, 4)), labels: ids.map((_, i) => (i < 8 ? 0 : i % 3)) }
    const grads = (batchSize: number): Float32Array[] => {
      const found = accumulatedGrads(model, [...prepareBatches(rows, { batchSize }).epoch(0)], trainable, () => ({ classWeights: [0.2, 3, 1], labelSmoothing: 0.1 }))
      const values = Object.values(found.grads).map((grad) => valuesOf(grad).slice())
      tf.dispose(Object.values(found.grads))
      return [...values, Float32Array.of(numberOf(found.value))]
    }
    const [whole, parts] = [grads(16), grads(4)]
    whole.forEach((values, i) => { expect(largestDifference(parts[i] ?? [], values)).toBeLessThan(1e-5) })
  })

  it('change what the Trainer minimises', async () => {
    const labels = ids.map((_, i) => i % 3)
    const first = async (options: Partial<TrainerOptions>): Promise<number | undefined> => {
      const [loss] = losses(await train('sequence-classification', 'bert/sequence_classification', { train: { ids, labels }, maxSteps: 1, ...options }))
      return loss
    }
    const plain = await first({})
    expect(await first({ labelSmoothing: 0.2 })).not.toBe(plain)
    expect(await first({ classWeights: [1, 2, 3] })).not.toBe(plain)
  })

  it('are refused where they do not fit the classes, all problems at once', async () => {
    model = await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification' })
    const [batch] = prepareBatches({ ids, labels: ids.map(() => 0) }, { batchSize: 4 }).epoch(0)
    expect(() => batch && model.loss(batch, { labelSmoothing: 1.5, classWeights: [1, -1] })).toThrow([
      'The loss cannot be computed:',
      '  - labelSmoothing: expected a share from 0 to 1, got 1.5',
      '  - classWeights: expected 3, one for each class, got 2',
      '  - classWeights: expected numbers of at least 0',
    ].join('\n'))
  })
})

it('batches of numbers fit an adapter of a regression on a classifier, whatever its outputs are called', async () => {
  model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['ham', 'spam'] })
  attach(model, lora({ rank: 4 }), { labels: ['stars'], problemType: 'regression' })
  const batches = prepareBatches({ ids, labels: ids.map((_, i) => i / 4) }, { batchSize: 8, numeric: true })
  expect(rowProblems(model, { ...batches, labels: ['rating'] })).toEqual([])
  expect(rowProblems(model, { ...batches, labels: ['rating', 'length'] })).toHaveLength(1)
})
