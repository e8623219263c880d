// Labels and rows that a model cannot learn from: one error that says all that is wrong, and never another number.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../src/base/adapter/attached.ts'
import type { Task } from '../src/base/architecture.ts'
import { loadModel, type LoadOptions } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import { InputError } from '../src/errors.ts'
import { diagonalFisher } from '../src/forgetting/fisher.ts'
import { lora } from '../src/lora/lora.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { prefixFromText } from '../src/prefix/from-text.ts'
import { accumulatedGrads } from '../src/training/accumulate.ts'
import { prepareBatches, type Examples } from '../src/training/batches.ts'
import { evaluate, perplexity } from '../src/training/measure.ts'
import { trainTasks, type MultiTaskEvent } from '../src/training/multi-task.ts'
import { accuracy } from '../src/base/tasks/metrics.ts'
import { Trainer } from '../src/training/trainer.ts'
import { goldenPath, largestDifference, numberOf, valuesOf } from './golden.ts'

const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

async function load(path: string, task: Task, options: Omit<LoadOptions, 'task'> = {}): Promise<Model> {
  const model = await loadModel(goldenPath(path), { task, ...options })
  open.push(model)
  return model
}

const ids = [[5, 6, 7], [8, 9]]
const batch = { ids: Int32Array.of(5, 6, 7, 8, 9, 3), batch: 2, length: 3 }
const NOTHING = 'The loss needs a label that counts: all of them are -100, or of classes whose weight is 0.'

it('a classifier of one class learns nothing, and says so', async () => {
  const tagger = await load('bert/base', 'token-classification', { labels: ['word'] })
  attach(tagger, lora({ rank: 2 }))
  const one = "labels: the model has one class, of which there is nothing to learn; give it more, or load it with { problemType: 'regression' }"
  const rows = { ids, tokenLabels: [[0, 0, 0], [0, 0]] }
  expect(() => tf.tidy(() => tagger.loss({ ...batch, labels: new Int32Array(6) }))).toThrow(
    new InputError('The loss needs at least two classes: of one there is nothing to learn.'))
  expect(() => new Trainer({ model: tagger, train: rows })).toThrow(new InputError('Trainer: the options cannot be used:', [`train: ${one}`]))
  await expect(evaluate(tagger, rows)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [one]))
  const grader = await load('bert/base', 'sequence-classification', { labels: ['good'], problemType: 'single_label_classification' })
  attach(grader, lora({ rank: 2 }))
  expect(() => new Trainer({ model: grader, train: { ids, labels: [0, 0] } })).toThrow(new InputError('Trainer: the options cannot be used:', [`train: ${one}`]))
})

describe('labels that are no class', () => {
  it.each([null, undefined, NaN, '', '1', 0.5, -1, 3, true])('%j is an error with its row, in training and in measuring', async (label) => {
    const model = await load('bert/sequence_classification', 'sequence-classification')
    attach(model, lora({ rank: 2 }))
    const rows = { ids, labels: [1, label] } as unknown as Examples
    const shown = label === undefined || typeof label === 'number' ? String(label) : JSON.stringify(label)
    const problem = label === undefined || Number.isNaN(label) ? 'rows without a label: 1' : `labels that are not integers from 0 to 2${label === 0.5 ? " (numbers to learn are for a model loaded with { problemType: 'regression' })" : ''}: ${shown} in row 1`
    expect(() => new Trainer({ model, train: rows, evaluate: rows })).toThrow(
      new InputError('Trainer: the options cannot be used:', [`train: ${problem}`, `evaluate: ${problem}`]))
    await expect(evaluate(model, rows)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [problem]))
    const labels = [1, label] as unknown as Int32Array
    expect(() => tf.tidy(() => model.loss({ ...batch, labels }))).toThrow(
      new InputError('labels: expected 0 to 2 (or -100 for "does not count"); out of range:', [`labels[1] = ${shown}`]))
    if (label !== 3) expect(() => accuracy([1, 1], labels)).toThrow(new InputError('accuracy: expected class numbers; got:', [`labels: ${shown} in row 1`]))
  })

  it('of a regression and of several labels a row are errors where they are no numbers', async () => {
    for (const problemType of ['regression', 'multi_label_classification'] as const) {
      const model = await load('bert/base', 'sequence-classification', { labels: ['a', 'b'], problemType })
      attach(model, lora({ rank: 2 }))
      const wrong = [1, null, 0, '1'] as unknown as Float32Array
      expect(() => tf.tidy(() => model.loss({ ...batch, labels: wrong }))).toThrow(new InputError('labels: expected finite numbers, got null as labels[1].'))
      expect(() => new Trainer({ model, train: { ids, labels: [[1, null], [0, 1]] } as unknown as Examples })).toThrow(/train: labels that are not (finite numbers|numbers from 0 to 1): null at label 1 of row 0/)
    }
  })

  it('are said to be for another model where they are numbers, several for a row, or of another task', async () => {
    const model = await load('bert/sequence_classification', 'sequence-classification')
    attach(model, lora({ rank: 2 }))
    const refused = (of: Model, rows: object, problem: string): void => {
      expect(() => new Trainer({ model: of, train: { ids, ...rows } })).toThrow(new InputError('Trainer: the options cannot be used:', [`train: ${problem}`]))
    }
    refused(model, { labels: [['law', 'art'], ['art']] }, "labels that are not integers from 0 to 2 (several for a row are for a model loaded with { problemType: 'multi_label_classification' }): [\"law\",\"art\"] in row 0, [\"art\"] in row 1")
    refused(model, { labels: [{ price: 1 }, { price: 2 }] }, "labels that are not integers from 0 to 2 (numbers to learn are for a model loaded with { problemType: 'regression' }): {\"price\":1} in row 0, {\"price\":2} in row 1")
    refused(model, { tokenLabels: [[1, 0, 1], [0, 0]] }, "expected labels, one for each row, for a model for 'sequence-classification'; rows with tokenLabels are for a model for 'token-classification' or 'masked-lm'")
    refused(model, { positives: ids }, "expected labels, one for each row, for a model for 'sequence-classification'; rows with positives are for a model for 'sentence-embedding'")
    const several = await load('bert/base', 'sequence-classification', { labels: ['a', 'b'], problemType: 'multi_label_classification' })
    attach(several, lora({ rank: 2 }))
    refused(several, { labels: [0, 1] }, 'rows without 2 numbers as labels (a list for each row): 1 in row 0, 1 in row 1')
    const lm = await load('gpt2/causal_lm', 'causal-lm')
    attach(lm, lora({ rank: 2 }))
    refused(lm, { labels: [0, 1] }, "a model for 'causal-lm' learns from the ids themselves, or from tokenLabels; rows with labels are for a model for 'sequence-classification' or 'image-classification'")
  })

  it('several for a row and lists that are none are refused', async () => {
    const model = await load('bert/sequence_classification', 'sequence-classification')
    attach(model, lora({ rank: 2 }))
    const train = (labels: unknown) => (): unknown => new Trainer({ model, train: { ids, labels } as Examples })
    expect(train([[1, 0, 1], [0, 0, 1]])).toThrow(new InputError('Trainer: the options cannot be used:', ["train: labels that are not integers from 0 to 2 (several for a row are for a model loaded with { problemType: 'multi_label_classification' }): [1,0,1] in row 0, [0,0,1] in row 1"]))
    expect(train('01')).toThrow(new InputError('Trainer: the options cannot be used:', ['train: labels: expected 2 numbers, got "01"']))
  })
})

it('a pair of texts for a causal LM is told in words, and taken where labels leave the question out', async () => {
  const lm = await load('llama/causal_lm', 'causal-lm')
  attach(lm, lora({ rank: 2 }))
  const pairs = { ids, typeIds: [[0, 1, 1], [0, 1]] }
  expect(() => new Trainer({ model: lm, train: pairs })).toThrow(new InputError('Trainer: the options cannot be used:', [
    'train: typeIds: the rows are pairs of texts, and a causal LM would learn both of them. A question and its answer are a conversation: readExamples(data, ' +
    "{ messages: (row) => [{ role: 'user', content: row.question }, { role: 'assistant', content: row.answer }] }); of what is one text, make one: { text: (row) => row.title + row.body }",
  ]))
  expect(new Trainer({ model: lm, train: { ...pairs, tokenLabels: [[-100, 6, 7], [-100, 9]] } }).steps).toBe(1)
  expect(new Trainer({ model: lm, train: { ids, typeIds: [[0, 0, 0], [0, 0]] } }).steps).toBe(1)
})

describe('labels of which none counts', () => {
  const tokenLabels = [[-100, -100, -100], [-100, -100]]

  it('have no loss, no measure and no information', async () => {
    const model = await load('bert/token_classification', 'token-classification')
    const { trainable } = attach(model, lora({ rank: 2 }))
    for (const options of [{}, { labelSmoothing: 0.1 }]) {
      expect(() => tf.tidy(() => model.loss({ ...batch, labels: new Int32Array(6).fill(-100) }, options))).toThrow(new InputError(NOTHING))
    }
    const none = 'tokenLabels: expected a label that counts, all of them are -100'
    expect(() => new Trainer({ model, train: { ids, tokenLabels }, evaluate: { ids, tokenLabels } })).toThrow(
      new InputError('Trainer: the options cannot be used:', [`train: ${none}`, `evaluate: ${none}`]))
    await expect(diagonalFisher(model, trainable, { ids, tokenLabels }, { kind: 'empirical' })).rejects.toThrow(none)
    const lm = await load('gpt2/causal_lm', 'causal-lm')
    const alone = 'a token is predicted from those before it: expected a row of two tokens at least, and a label there that counts'
    for (const rows of [{ ids, tokenLabels }, { ids: [[5], [6]] }]) await expect(perplexity(lm, rows)).rejects.toThrow(new InputError('perplexity: the rows cannot be measured:', [alone]))
    const reader = await load('bert/question_answering', 'question-answering')
    expect(() => tf.tidy(() => reader.loss({ ...batch, labels: new Int32Array(4).fill(-100) }))).toThrow(new InputError(NOTHING))
    await expect(evaluate(model, { ids, tokenLabels })).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [none]))
  })

  it('in one of several batches leave the loss and the gradients to the others', async () => {
    const model = await load('bert/token_classification', 'token-classification')
    const { trainable } = attach(model, lora({ rank: 2 }))
    const labelled = { ...batch, labels: Int32Array.of(1, -100, 0, 1, 1, -100) }
    const unlabelled = { ...batch, labels: new Int32Array(6).fill(-100) }
    const alone = accumulatedGrads(model, [labelled], trainable, () => ({}))
    const beside = accumulatedGrads(model, [unlabelled, labelled, unlabelled], trainable, () => ({}))
    expect(numberOf(beside.value)).toBeCloseTo(numberOf(alone.value), 6)
    for (const [name, grad] of Object.entries(alone.grads)) expect(largestDifference(valuesOf(beside.grads[name] as tf.Tensor), valuesOf(grad))).toBeLessThan(1e-7)
    tf.dispose([alone.grads, beside.grads])
  })

  it('in some rows add nothing to the Fisher information of the others', async () => {
    const model = await load('bert/token_classification', 'token-classification')
    const { trainable } = attach(model, lora({ rank: 2 }), { seed: 2 })
    const labels = [[1, 0, 1], [0, 1]]
    const two = await diagonalFisher(model, trainable, { ids, tokenLabels: labels }, { kind: 'empirical' })
    const four = await diagonalFisher(model, trainable, { ids: [...ids, ...ids], tokenLabels: [...tokenLabels, ...labels] }, { kind: 'empirical' })
    for (const [name, tensor] of Object.entries(two)) {
      const half = valuesOf(four[name] as tf.Tensor)
      valuesOf(tensor).forEach((value, i) => { expect(half[i]).toBeCloseTo(value / 2, 6) })
    }
    tf.dispose([two, four])
  })
})

describe('numbers of a batch that are not what they stand for', () => {
  it('are told together, each with its place', async () => {
    const model = await load('bert/base', 'feature-extraction')
    const wrong = {
      ids: [1.5, '3', 99] as unknown as Int32Array, mask: Int32Array.of(1, 2, -1), typeIds: Int32Array.of(0, 2, -1), batch: 1, length: 3,
    }
    expect(() => model.forward(wrong)).toThrow(new InputError('The batch does not fit the model:', [
      'ids: expected token ids below 37, as this model\'s own tokenizer gives them; got ids[0] = 1.5, ids[1] = "3", ids[2] = 99',
      'mask: expected 1 for a token and 0 for padding; got mask[1] = 2, mask[2] = -1',
      'typeIds: expected segments from 0 to 1; got typeIds[1] = 2, typeIds[2] = -1',
    ]))
    expect(() => model.forward({ ids: [1, 2] as unknown as Int32Array, batch: 1.5, length: 1 })).toThrow(new InputError('The batch does not fit the model:', [
      'expected at least one row and one token; got batch 1.5, length 1',
      'ids: expected an Int32Array, got an array; make one with Int32Array.from',
      'ids: expected batch × length = 1.5 × 1 = 1.5 numbers; got 2',
    ]))
    const roberta = await load('roberta/base', 'feature-extraction')
    const gpt2 = await load('gpt2/base', 'feature-extraction')
    expect(() => gpt2.forward({ ids: Int32Array.of(5, 6), typeIds: Int32Array.of(0, 1), batch: 1, length: 2 })).toThrow(
      new InputError('The batch does not fit the model:', ['typeIds: expected 0, the only segment of the model; got typeIds[1] = 1']))
    expect(() => roberta.forward({ ids: Int32Array.of(5), typeIds: Int32Array.of(9), batch: 1, length: 1 })).toThrow(/typeIds: expected .*; got typeIds\[0\] = 9/)
  })

  it('are found in all rows before a training begins', async () => {
    const model = await load('bert/sequence_classification', 'sequence-classification')
    attach(model, lora({ rank: 2 }))
    const rows = (changes: object) => (): unknown => new Trainer({ model, train: { ids, labels: [0, 1], ...changes } })
    expect(rows({ ids: [[5, 99], new Array<number>(30).fill(3)], typeIds: [[0, 2], new Array<number>(30).fill(0)] })).toThrow(
      new InputError('Trainer: the options cannot be used:', [
        "train: ids outside the vocabulary of 37; are they this model's tokenizer's: 99 at token 1 of row 0",
        'train: ids longer than the 24 positions of the model; truncate them (maxLength: 24): 30 in row 1',
        "train: typeIds that are not one of the model's 2 segments: 2 at token 1 of row 0",
      ]))
    expect(rows({ ids: [5, 6] })).toThrow(new InputError('Trainer: the options cannot be used:', ['train: ids that are no rows of numbers: 5 in place of row 0, 6 in place of row 1']))
    expect(rows({ ids: [[5, '6'], null] })).toThrow(new InputError('Trainer: the options cannot be used:', ['train: ids that are no rows of numbers: null in place of row 1']))
    expect(rows({ ids: [[5, '6'], [1.5]] })).toThrow(
      new InputError('Trainer: the options cannot be used:', ['train: ids that are not natural numbers: "6" at token 1 of row 0, 1.5 at token 0 of row 1']))
    await expect(prefixFromText(model, [1.5, 4])).rejects.toThrow(new InputError('prefixFromText: the text cannot be used:', ['token 0: expected a token id, got 1.5']))
  })
})

describe('rows to train on and rows to evaluate on are checked before the first step, whatever they come as:', () => {
  const long = Array.from({ length: 22 }, () => 5)
  const wrong: readonly (readonly [what: string, rows: unknown, problem: string])[] = [
    ['none', null, 'expected rows, as in { ids, labels }, or batches of them, got null'],
    ['a text', 'mails.csv', 'expected rows, as in { ids, labels }, or batches of them, got "mails.csv"'],
    ['no labels', { ids }, 'expected labels, one for each row'],
    ['a textual label', { ids, labels: [0, '1'] }, 'labels that are not integers from 0 to 2: "1" in row 1'],
    ['a class too many', { ids, labels: [0, 3] }, 'labels that are not integers from 0 to 2: 3 in row 1'],
    ['a token that is none', { ids: [[5], [99]], labels: [0, 1] }, "ids outside the vocabulary of 37; are they this model's tokenizer's: 99 at token 0 of row 1"],
    ['batches of rows that do not fit', prepareBatches({ ids: [[5], [99]], labels: [0, 1] }, { batchSize: 2 }),
      "ids outside the vocabulary of 37; are they this model's tokenizer's: 99 at token 0 of row 1"],
    ['batches without labels', prepareBatches({ ids }, { batchSize: 2 }), 'expected labels, one for each row'],
    ['a row too long beside virtual tokens', { ids: [[5], long], labels: [0, 1] },
      'ids longer than the 16 positions of the model that 8 virtual tokens leave of 24; truncate them (maxLength: 16): 22 in row 1'],
  ]
  it.each(wrong)('%s', async (_, rows, problem) => {
    const model = await load('bert/sequence_classification', 'sequence-classification')
    attach(model, prompt({ virtualTokens: 8 }), { name: 'one' })
    const right: Examples = { ids, labels: [0, 1] }
    const given = rows as Examples
    expect(() => new Trainer({ model, train: given, evaluate: given })).toThrow(
      new InputError('Trainer: the options cannot be used:', [`train: ${problem}`, `evaluate: ${problem}`]))
    await expect(evaluate(model, given)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [problem]))
    const tasks = [{ name: 'spam', adapters: ['one'], train: given }, { name: 'ham', adapters: ['one'], train: right }]
    await expect(trainTasks({ model, steps: 1, tasks }).next()).rejects.toThrow(new InputError('trainTasks: the options cannot be used:', [`task spam: ${problem}`]))
    const events: MultiTaskEvent[] = []
    for await (const event of trainTasks({ model, steps: 1, batchSize: 1, tasks: tasks.slice(1) })) events.push(event)
    expect(events.map(({ step }) => step)).toEqual([1])
  })

  it('a model without a loss', async () => {
    const model = await load('bert/base', 'feature-extraction')
    attach(model, lora({ rank: 2 }))
    expect(() => new Trainer({ model, train: { ids } })).toThrow(new InputError('Trainer: the options cannot be used:', [
      "train: a model for 'feature-extraction' has no loss of its own; give it one, as in { loss: (output, batch) => … }"]))
  })
})
