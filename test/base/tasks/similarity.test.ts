import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import type { Model } from '../../../src/base/model.ts'
import { contrastive, coSent, cosineSimilarity, type SimilarityLoss } from '../../../src/base/tasks/similarity.ts'
import { InputError } from '../../../src/errors.ts'
import { lora } from '../../../src/lora/lora.ts'
import { prepareBatches, type Examples } from '../../../src/training/batches.ts'
import type { EvaluateEvent } from '../../../src/training/events.ts'
import { evaluate } from '../../../src/training/measure.ts'
import type { TrainerOptions } from '../../../src/training/trainer-options.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'

beforeAll(async () => { await loadEngine() })

const OWN = Int32Array.of(0, 1, 2, 3)
const TEXTS = (ids: readonly number[]): Partial<Batch> => ({ ids: Int32Array.from(ids), length: 1, batch: ids.length })

describe('has the loss and the gradient of sentence-transformers', () => {
  it.each<[string, number, SimilarityLoss, Partial<Batch>]>([
    ['contrastive/pairs', 8, contrastive(), { labels: OWN }],
    ['contrastive/pairs_0.1', 8, contrastive({ temperature: 0.1 }), { labels: OWN }],
    ['contrastive/negative', 12, contrastive(), { labels: OWN }],
    ['contrastive/duplicates', 8, contrastive(), { labels: OWN, ...TEXTS([1, 2, 1, 3, 4, 5, 6, 5]) }],
    ['cosine', 8, cosineSimilarity(), { labels: Float32Array.of(0.9, -0.2, 0.35, 0.6) }],
    ['cosent/plain', 8, coSent(), { labels: Float32Array.of(0.9, -0.2, 0.35, 0.6) }],
    ['cosent/0.1', 8, coSent({ temperature: 0.1 }), { labels: Float32Array.of(0.9, -0.2, 0.35, 0.6) }],
    ['cosent/tied', 8, coSent(), { labels: Float32Array.of(0.5, 0.5, 0.1, 0.9) }],
  ])('%s', async (name, rows, { parts }, batch) => {
    const golden = await readGolden('similarity.safetensors')
    const vectors = tf.variable(tf.tensor2d((golden.numbers('vectors') as Float32Array).slice(0, rows * 6), [rows, 6]))
    const before = tf.memory().numTensors
    let weight = NaN
    const { value, grads } = valueAndGrads(() => {
      const found = parts.loss(vectors, batch)
      weight = found.weight
      return found.sum
    }, { vectors })
    expect(weight).toBe(4)
    const mean = (tensor: tf.Tensor | undefined): Float32Array => valuesOf(tensor ?? value).map((x) => x / weight)
    expect(largestDifference(mean(value), golden.numbers(`${name}/loss`))).toBeLessThan(1e-5)
    expect(largestDifference(mean(grads['vectors']), (golden.numbers(`${name}/grad`) as Float32Array).slice(0, rows * 6))).toBeLessThan(1e-5)
    tf.dispose([value, ...Object.values(grads)])
    expect(tf.memory().numTensors).toBe(before)
    vectors.dispose()
  })
})

describe('a text of the batch', () => {
  const lossOf = (texts: readonly number[], vectors: number[][]): number =>
    tf.tidy(() => contrastive().parts.loss(tf.tensor2d(vectors), { labels: Int32Array.of(0, 1), ...TEXTS(texts) }).sum.dataSync()[0] ?? NaN)
  const vectors = [[1, 0], [0, 1], [1, 1], [1, 2]]

  it('that equals the row, or one that belongs to it, is no negative of it', () => {
    expect(lossOf([1, 2, 3, 4], vectors)).toBeGreaterThan(0.01)
    expect(lossOf([1, 2, 2, 1], vectors)).toBe(0) // each is the other's own row
    expect(lossOf([1, 2, 3, 3], vectors)).toBe(0)
    expect(lossOf([1, 1, 3, 4], vectors)).toBe(0)
  })

  it('is compared without its padding', () => {
    const padded = { ids: Int32Array.of(1, 0, 2, 7, 3, 0, 3, 9), mask: Int32Array.of(1, 0, 1, 1, 1, 0, 1, 0), length: 2, batch: 4, labels: Int32Array.of(0, 1) }
    expect(tf.tidy(() => contrastive().parts.loss(tf.tensor2d(vectors), padded).sum.dataSync()[0])).toBe(0)
  })
})

describe('rows that are held against each other', () => {
  const { measure } = contrastive().parts
  const seen = async (vectors: number[][], labels: number[]): Promise<Readonly<Record<string, number>>> => {
    const before = tf.memory().numTensors
    const places = Int32Array.from(labels)
    const tensor = tf.tensor2d(vectors)
    tf.engine().startScope() // as evaluate does
    const pending = measure.observe(tensor, { labels: places, rows: places, batch: vectors.length, length: 0 })
    tf.engine().endScope()
    const observed = await pending
    tensor.dispose()
    expect(tf.memory().numTensors).toBe(before)
    return measure.summarize([observed], [])
  }

  it('are measured by the ranks of their own texts', async () => {
    const own = [[1, 0], [0, 1], [1, 0.1], [1, 0.2], [0.9, 1]]
    expect(await seen(own, [0, 1])).toEqual({ accuracy: 0.5, mrr: (1 + 1 / 2) / 2 })
  })

  it('do not gain by vectors that are all alike', async () => {
    expect(await seen([[1, 0], [1, 0], [1, 0], [1, 0]], [0, 1])).toEqual({ accuracy: 0, mrr: 0.5 })
  })
})

describe('Trainer', () => {
  let model: Model
  afterEach(() => { model.dispose() })
  const ids = Array.from({ length: 12 }, (_, i) => Array.from({ length: 4 + (i % 3) }, (_, t) => 4 + ((i * 7 + t * 5) % 30)))
  const positives = ids.map((row) => row.slice(1))
  const open = async (): Promise<void> => {
    model = await loadModel(goldenPath('bert/base'), { task: 'sentence-embedding' })
    attach(model, lora({ rank: 4 }))
  }

  it.each<[string, Examples, SimilarityLoss, readonly string[]]>([
    ['negatives, some rows with several, some with none', { ids, positives, negatives: ids.map((row, i) => [[], [7, ...row], [[...row, 8], [9]]][i % 3] ?? []) }, contrastive({ temperature: 0.1 }), ['accuracy', 'mrr', 'loss']],
    ['scores, by their differences', { ids, positives, scores: ids.map((_, i) => (i % 2) * 0.8) }, cosineSimilarity(), ['pearson', 'spearman', 'loss']],
    ['scores, by their order', { ids, positives, scores: ids.map((_, i) => (i % 5)) }, coSent(), ['pearson', 'spearman', 'loss']],
  ])('learns from %s, and measures it', async (_, rows, loss, measured) => {
    await open()
    const evaluations: EvaluateEvent[] = []
    const before = await evaluate(model, rows, { batchSize: 6, loss })
    await new Trainer({ model, train: rows, evaluate: rows, batchSize: 6, maxSteps: 60, evaluateEvery: 60, learningRate: 1e-2, loss }).fit({
      onEvent: (event) => { if (event.type === 'evaluate') evaluations.push(event) },
    })
    expect(evaluations[0]?.loss).toBeLessThan(0.8 * (before.loss ?? NaN))
    expect(Object.keys(before)).toEqual(measured)
  })

  it('says what is wrong with pairs, all at once', async () => {
    await open()
    const made = (train: Examples, loss?: SimilarityLoss) => () => new Trainer({ model, train, ...(loss === undefined ? {} : { loss }) })
    expect(made({ ids, positives, scores: [1, NaN], negatives: [[1], [[], [1.5, 3]]] }, coSent())).toThrow([
      '  - train: negatives: expected 12, one per row, got 2',
      '  - train: negatives without a token: 1',
      '  - train: negatives that are not natural numbers: 1.5 at token 0 of row 1',
      '  - train: scores: expected 12, one per row, got 2',
      '  - train: scores that are not finite numbers: NaN in row 1',
      '  - train: negatives: expected none beside scores; a pair that does not belong together is one with a low score',
    ].join('\n'))
    expect(made({ ids, scores: ids.map(() => 1), negatives: ids }, coSent())).toThrow([
      '  - train: negatives: expected positives beside them, the other text of each row',
      '  - train: scores: expected positives beside them, the other text of each row',
    ].join('\n'))
    expect(made({ ids, positives, negatives: ids.map(() => [[99]]) })).toThrow('negatives outside the vocabulary of 37')
    expect(made({ ids, positives }, cosineSimilarity())).toThrow('expected scores, a number for each row, beside positives')
    expect(made({ ids, positives, scores: ids.map(() => 1) })).toThrow('scores: only the losses cosineSimilarity and coSent learn from them, as in { loss: coSent() }')
  })

  it('refuses scores that no cosine can have, and what needs vectors for another task', async () => {
    await open()
    expect(() => new Trainer({ model, train: { ids, positives, scores: ids.map((_, i) => i / 10) }, loss: cosineSimilarity() })).toThrow(
      'scores that are not from -1 to 1, as cosines are; divide them by the highest, or take coSent(), which goes by their order: 1.1 in row 11')
    model.dispose()
    model = await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification' })
    attach(model, lora())
    expect(() => new Trainer({ model, train: { ids, labels: ids.map(() => 0) }, loss: coSent() })).toThrow("loss: coSent(0.05) is for a model for 'sentence-embedding', this one is for 'sequence-classification'")
  })
})

it('a batch of one row is refused where it has no text to choose from but its own', async () => {
  const encoder = await loadModel(goldenPath('bert/base'), { task: 'sentence-embedding' })
  attach(encoder, lora())
  const rows = { ids: [[5, 6], [7, 8]], positives: [[6, 5], [8, 7]] }
  const alone = 'a batch of one row: its own text is the only one to choose from; take two rows at least (batchSize), or give negatives'
  expect(() => new Trainer({ model: encoder, train: rows, batchSize: 1 })).toThrow(new InputError('Trainer: the options cannot be used:', [`train: ${alone}`]))
  await expect(evaluate(encoder, rows, { batchSize: 1 })).rejects.toThrow(new InputError('evaluate: the rows cannot be measured:', [alone]))
  await expect(evaluate(encoder, { ids: [[5, 6]], positives: [[6, 5]] })).rejects.toThrow(alone)
  expect((await evaluate(encoder, { ...rows, negatives: [[9, 9], [9, 8]] }, { batchSize: 1 })).loss).toBeGreaterThan(0)
  expect((await evaluate(encoder, { ...rows, scores: [0.5, 1] }, { batchSize: 1, loss: cosineSimilarity() })).loss).toBeGreaterThan(0)
  encoder.dispose()
})

it('pairs that have no order to learn from are refused by coSent', async () => {
  const encoder = await loadModel(goldenPath('bert/base'), { task: 'sentence-embedding' })
  attach(encoder, lora())
  const rows = { ids: [[5, 6], [7, 8]], positives: [[6, 5], [8, 7]], scores: [0, 1] }
  const refused = (options: Partial<TrainerOptions>, problem: string): void => {
    expect(() => new Trainer({ model: encoder, train: rows, loss: coSent(), ...options })).toThrow(new InputError('Trainer: the options cannot be used:', [`train: ${problem}`]))
  }
  refused({ batchSize: 1 }, 'a batch of one row: coSent learns from the order of the pairs of a batch; take two rows at least (batchSize)')
  refused({ train: { ...rows, scores: [1, 1] } }, 'scores: all of them are 1, and coSent learns from their order; take cosineSimilarity(), or pairs of other scores')
  refused({ loss: coSent as never }, 'loss: expected what coSent gives, got the function; call it: coSent()')
  expect(new Trainer({ model: encoder, train: rows, loss: coSent() }).steps).toBe(1)
  encoder.dispose()
})

it('a batch has the rows, then their positives, then all negatives; its labels are places, or scores', () => {
  const rows = { ids: [[1], [2]], positives: [[3], [4]] }
  const batchOf = (examples: Examples): Batch | undefined => [...prepareBatches(examples, { batchSize: 2 }).epoch(0)][0]
  expect(batchOf({ ...rows, negatives: [[[5], [6]], [7]] })).toMatchObject({ ids: Int32Array.of(1, 2, 3, 4, 5, 6, 7), labels: Int32Array.of(0, 1), batch: 7 })
  expect(batchOf({ ...rows, scores: [0.5, -1] })).toMatchObject({ ids: Int32Array.of(1, 2, 3, 4), labels: Float32Array.of(0.5, -1), batch: 4 })
})

it('a temperature that is not above 0, and one that is a scale, are refused', () => {
  for (const make of [contrastive, coSent]) {
    const refused = (got: string): InputError => new InputError(`${make.name}: expected a temperature above 0 and of at most 1, got ${got}`)
    for (const temperature of [0, Infinity, NaN]) expect(() => make({ temperature })).toThrow(refused(`${temperature}.`))
    expect(() => make({ temperature: '0.1' as never })).toThrow(refused('"0.1".'))
    expect(() => make({ temperature: 20 })).toThrow(refused('20. The scale of sentence-transformers is 1 / temperature: for 20 give { temperature: 0.05 }.'))
    expect(make({ temperature: 1 }).name).toBe(`${make.name}(1)`)
  }
})
