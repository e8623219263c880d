// Labels by the names of classes, and rows that have none.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Task } from '../../src/base/architecture.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { lora } from '../../src/lora/lora.ts'
import { accumulatedGrads } from '../../src/training/accumulate.ts'
import { prepareBatches, type Examples } from '../../src/training/batches.ts'
import { evaluate } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'

const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

async function load(task: Task, options: Omit<LoadOptions, 'task'>): Promise<Model> {
  const model = await loadModel(goldenPath('bert/base'), { task, ...options })
  open.push(model)
  return model
}

const ids = [[5, 6, 7], [8, 9], [3, 4, 5, 6], [9, 8]]
const KINDS: readonly (readonly [string, Task, Omit<LoadOptions, 'task'>, names: Examples, numbers: Examples])[] = [
  ['classes', 'sequence-classification', { labels: ['ham', 'spam', 'other'] }, { ids, labels: ['spam', 'ham', -100, 'other'] }, { ids, labels: [1, 0, -100, 2] }],
  ['sets', 'sequence-classification', { labels: ['sport', 'law', 'art'], problemType: 'multi_label_classification' },
    { ids, labels: [['law'], [], ['art', 'sport'], ['law', 'law']] }, { ids, labels: [[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]] }],
  ['classes of tokens', 'token-classification', { labels: ['O', 'B-PER'] },
    { ids, tokenLabels: [[-100, 'B-PER', 'O'], ['O', 'O'], [-100, -100, -100, -100], ['B-PER', -100]] },
    { ids, tokenLabels: [[-100, 1, 0], [0, 0], [-100, -100, -100, -100], [1, -100]] }],
  ['numbers, in another order', 'sequence-classification', { labels: ['price', 'size'], problemType: 'regression' },
    { ids, labels: [{ size: 2, price: 0.5 }, { price: -1, size: 0 }, { size: 3, price: 1 }, { size: 1, price: 4 }] }, { ids, labels: [[0.5, 2], [-1, 0], [1, 3], [4, 1]] }],
  ['1 or 0 for each label, in another order', 'sequence-classification', { labels: ['sport', 'law'], problemType: 'multi_label_classification' },
    { ids, labels: [{ law: 1, sport: 0 }, { law: 0, sport: 0 }, { law: 1, sport: 1 }, { sport: 1, law: 0 }] }, { ids, labels: [[0, 1], [0, 0], [1, 1], [1, 0]] }],
]

describe('labels by name', () => {
  it.each(KINDS)('are those by number (%s), in training, in measuring, for a checkpoint and in Fisher information', async (_, task, options, names, numbers) => {
    const losses: number[][] = []
    for (const examples of [names, numbers]) {
      const model = await load(task, options)
      attach(model, lora({ rank: 2 }))
      const seen: number[] = []
      for await (const event of new Trainer({ model, train: examples, evaluate: examples, batchSize: 2, epochs: 3 }).run()) if ('loss' in event) seen.push(event.loss)
      const [adapter] = adaptersOf(model)
      const information = options.problemType === 'regression' ? {} : await diagonalFisher(model, adapter?.trainable ?? {}, examples, { kind: 'empirical' })
      losses.push([...seen, ...Object.values(await evaluate(model, examples, { batchSize: 3 })).map(Number), ...Object.values(information).flatMap((tensor) => [...valuesOf(tensor)])])
      tf.dispose(information)
    }
    expect(losses[0]).toEqual(losses[1])
    expect(losses[0]?.length).toBeGreaterThan(10)
  })

  it.each<[string, Task, Omit<LoadOptions, 'task'>, Examples, string]>([
    ['of a class', 'sequence-classification', { labels: ['ham', 'spam'] }, { ids, labels: ['spam', 'spma', '1', -100] },
      'labels that the model does not have: "spma" in row 1 (did you mean "spam"?), "1" in row 2. It has "ham", "spam"'],
    ['of a set', 'sequence-classification', { labels: ['sport', 'law'], problemType: 'multi_label_classification' }, { ids, labels: [['law', 'sports'], [], [], ['']] },
      'labels that the model does not have: "sports" in row 0 (did you mean "sport"?), "" in row 3. It has "sport", "law"'],
    ['of a token', 'token-classification', { labels: ['O', 'B-PER'] }, { ids, tokenLabels: [['O', 'O', 'O'], ['O', 'B-PERS'], ['O', 'O', 'O', 'O'], ['O', -100]] },
      'labels that the model does not have: "B-PERS" in row 1 (did you mean "B-PER"?). It has "O", "B-PER"'],
    ['of a number', 'sequence-classification', { labels: ['price'], problemType: 'regression' }, { ids, labels: [{ price: 1 }, { prize: 2, price: 1 }, { price: 3 }, { price: 4 }] },
      'labels that the model does not have: "prize" in row 1 (did you mean "price"?). It has "price"'],
  ])('that the model does not have are told with the nearest: %s', async (_, task, options, rows, problem) => {
    const model = await load(task, options)
    attach(model, lora({ rank: 2 }))
    expect(() => new Trainer({ model, train: rows, evaluate: rows })).toThrow(
      new InputError('Trainer: the options cannot be used:', [`train: ${problem}`, `evaluate: ${problem}`]))
    await expect(evaluate(model, rows)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [problem]))
  })

  it('become numbers in batches too, where their names are given; a model of others refuses these', async () => {
    const [, , , names, numbers] = KINDS[0] as (typeof KINDS)[number]
    const batches = prepareBatches(names, { batchSize: 2, labels: ['ham', 'spam', 'other'] })
    expect([...batches.epoch(0)]).toEqual([...prepareBatches(numbers, { batchSize: 2 }).epoch(0)])
    const model = await load('sequence-classification', { labels: ['spam', 'ham', 'other'] })
    const problem = 'its classes are "ham", "spam", "other", those of the model "spam", "ham", "other"; read the rows with { labels: model.labels }, or load the model with those of the rows'
    await expect(evaluate(model, batches)).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [problem]))
    const wrong = (...problems: readonly string[]): InputError => new InputError('prepareBatches: the examples do not make batches. Correct these:', problems)
    expect(() => prepareBatches(names, { batchSize: 2 })).toThrow(wrong('labels: names of classes, whose numbers are not known; give them, as in { labels: model.labels }'))
    expect(() => prepareBatches(names, { batchSize: 2, labels: ['ham', 'spam'] })).toThrow(wrong('labels that the model does not have: "other" in row 3. It has "ham", "spam"'))
  })
})

describe('how much classes count', () => {
  const train = { ids, labels: [0, 1, 2, 1] }

  it('may be given by name, of those that do not count 1', async () => {
    const losses: unknown[] = []
    for (const classWeights of [{ spam: 3, other: 0 }, [1, 3, 0], Float32Array.of(1, 3, 0)]) {
      const model = await load('sequence-classification', { labels: ['ham', 'spam', 'other'] })
      attach(model, lora({ rank: 2 }))
      for await (const event of new Trainer({ model, train, classWeights, maxSteps: 1 }).run()) if (event.type === 'step') losses.push(event.loss)
    }
    expect(losses).toEqual(Array(3).fill(losses[0]))
  })

  it('is refused before the first step where it is of no class, of too few, or no number', async () => {
    const model = await load('sequence-classification', { labels: ['ham', 'spam', 'other'] })
    attach(model, lora({ rank: 2 }))
    const refused = (classWeights: unknown, problem: string): void => {
      expect(() => new Trainer({ model, train, classWeights: classWeights as number[] })).toThrow(new InputError('Trainer: the options cannot be used:', [`classWeights: ${problem}`]))
    }
    refused({ spma: 3, 0: 1 }, 'classes that the model does not have: "0", "spma" (did you mean "spam"?). It has "ham", "spam", "other"')
    refused([1, 3], 'expected 3, one for each class, got 2; or give them by name, as in { "other": 3 }')
    refused({ spam: -1, ham: '2' }, 'expected numbers of at least 0, got "2", -1')
    refused('balanced', 'expected a number for each class, or by their names, got "balanced"')
    const regression = await load('sequence-classification', { labels: ['price'], problemType: 'regression' })
    attach(regression, lora({ rank: 2 }))
    expect(() => new Trainer({ model: regression, train: { ids, labels: [1, 2, 3, 4] }, classWeights: { price: 2 } })).toThrow(
      new InputError('Trainer: the options cannot be used:', ['classWeights: expected none by name; the model has no classes of which one is right']))
  })
})

describe('numbers', () => {
  it('without those of all outputs, and names alone, are no labels of a regression', async () => {
    const model = await load('sequence-classification', { labels: ['price', 'size'], problemType: 'regression' })
    const refused = (...problems: readonly string[]): InputError => new InputError('evaluate: the rows cannot be measured:', problems)
    const numbers = [{ price: 1, size: 2 }, { price: 1 }, { size: 1 }, { price: 1, size: 2 }] as readonly Readonly<Record<string, number>>[]
    await expect(evaluate(model, { ids, labels: numbers })).rejects.toThrow(refused('labels that are not there: "size" in row 1, "price" in row 2'))
    await expect(evaluate(model, { ids, labels: [['price'], [], ['size', 'price'], []] })).rejects.toThrow(refused(
      'rows without 2 numbers as labels: 1 in row 0, 0 in row 1, 0 in row 3', 'labels that are not finite numbers: "price" at label 0 of row 0, "size" at label 0 of row 2'))
  })

  it('in batches of another order than the outputs of a model are refused, and taken by other names', async () => {
    const model = await load('sequence-classification', { labels: ['price', 'size'], problemType: 'regression' })
    const rows: Examples = { ids, labels: [{ size: 2, price: 0.5 }, { price: -1, size: 0 }, { size: 3, price: 1 }, { size: 1, price: 4 }] }
    await expect(evaluate(model, prepareBatches(rows, { batchSize: 2, numeric: true, labels: ['size', 'price'] }))).rejects.toThrow(
      'its classes are "size", "price", those of the model "price", "size"')
    const others = prepareBatches({ ids, labels: [[2, 1], [1, 1], [2, 2], [0, 1]] }, { batchSize: 2, numeric: true, labels: ['number 0', 'number 1'] })
    await expect(evaluate(model, others)).resolves.toHaveProperty('mse')
  })
})

describe('what is given in place of rows', () => {
  it('is told by what it is', async () => {
    const model = await load('sequence-classification', { labels: ['ham', 'spam'] })
    attach(model, lora({ rank: 2 }))
    const rows = { ids, labels: [0, 1, 0, 1] }
    const refused = (got: string): InputError => new InputError('Trainer: the options cannot be used:', [`train: expected rows, as in { ids, labels }, got ${got}`])
    const train = (given: unknown): (() => Trainer) => () => new Trainer({ model, train: given as Examples })
    expect(train({ examples: rows, labels: ['ham', 'spam'], counts: {}, dropped: 0, warnings: [] })).toThrow(refused('what readExamples gives; the rows are its `examples`'))
    expect(train(Promise.resolve(rows))).toThrow(refused('a Promise of them; write `await` before what makes them'))
    expect(train(['a', 'b'])).toThrow(refused('the list ["a","b"]; of texts, tokenizer.encode(texts) makes rows'))
    await expect(predict(model, ['a', 'b'] as never)).rejects.toThrow('predict: expected rows, as in { ids, labels }, got the list ["a","b"]; of texts, tokenizer.encode(texts) makes rows.')
  })
})

describe('a row whose label is −100', () => {
  it('has no weight in the loss and its gradients, and is not measured', async () => {
    const model = await load('sequence-classification', { labels: ['ham', 'spam', 'other'] })
    const { trainable } = attach(model, lora({ rank: 2 }), { seed: 1 })
    const rows: Examples = { ids, labels: [1, -100, 0, -100] }
    const counted: Examples = { ids: [ids[0] ?? [], ids[2] ?? []], labels: [1, 0] }
    const gradsOf = (examples: Examples): ReturnType<typeof accumulatedGrads> =>
      accumulatedGrads(model, [...prepareBatches(examples, { batchSize: 4 }).epoch(0)], trainable, () => ({}))
    const [all, alone] = [gradsOf(rows), gradsOf(counted)]
    expect(largestDifference(valuesOf(all.value), valuesOf(alone.value))).toBeLessThan(1e-6)
    for (const [name, grad] of Object.entries(alone.grads)) expect(largestDifference(valuesOf(all.grads[name] as tf.Tensor), valuesOf(grad))).toBeLessThan(1e-6)
    tf.dispose([all.value, all.grads, alone.value, alone.grads])
    const [measured, expected] = [await evaluate(model, rows, { batchSize: 1 }), await evaluate(model, counted, { batchSize: 2 })]
    expect(measured['accuracy']).toBe(expected['accuracy'])
    expect(measured.loss).toBeCloseTo(expected.loss ?? NaN, 6)
    const none = 'labels: expected a label that counts, all of them are -100'
    await expect(evaluate(model, { ids, labels: new Int32Array(4).fill(-100) })).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [none]))
  })
})
