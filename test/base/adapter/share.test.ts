import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Adapter } from '../../../src/base/adapter/adapter.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../../src/base/adapter/attached.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { withHead } from '../../../src/base/checkpoint/with-head.ts'
import type { Task } from '../../../src/base/architecture.ts'
import type { Method } from '../../../src/base/method.ts'
import type { Model } from '../../../src/base/model.ts'
import { bottleneck } from '../../../src/adapters/bottleneck.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { lora } from '../../../src/lora/lora.ts'
import { ia3 } from '../../../src/lora/ia3.ts'
import { prefix } from '../../../src/prefix/prefix.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { bitFit } from '../../../src/selective/bitfit.ts'
import { shareAdapter } from '../../../src/base/adapter/share.ts'
import { prepareBatches } from '../../../src/training/batches.ts'
import { trainTasks } from '../../../src/training/multi-task.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const TAGS = ['noun', 'verb', 'other', 'x', 'y']
const GENRES = ['a', 'b', 'c']
const batch = { ids: Int32Array.of(5, 9, 11, 4), batch: 1, length: 4 }
const logits = (model: Model): Float32Array => tf.tidy(() => valuesOf(model.forward(batch)))

let count: number
let words: Model
let genre: Model
let tags: Model
beforeEach(async () => {
  words = await loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm', dropout: false })
  count = tf.memory().numTensors
  genre = await withHead(words, { task: 'sequence-classification', labels: GENRES, pooling: 'mean' })
  tags = await withHead(words, { task: 'token-classification', labels: TAGS })
})
afterEach(() => {
  for (const model of [genre, tags, words]) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** Moves what is not the head's. */
function disturb({ trainable }: Adapter): void {
  for (const [i, [name, variable]] of Object.entries(trainable).entries()) {
    if (!name.startsWith('classifier')) tf.tidy(() => { variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.2, 'float32', i + 1))) })
  }
}

describe('a shared adapter', () => {
  it.each<[string, () => Method]>([
    ['LoRA', () => lora({ rank: 2 })], ['(IA)³', () => ia3()], ['bottleneck', () => bottleneck()], ['prefix', () => prefix({ virtualTokens: 2 })],
    ['prompt', () => prompt({ virtualTokens: 2 })], ['BitFit', () => bitFit()],
  ])('computes with the tensors of the first, %s, and with a head of its own', async (_, make) => {
    const first = attach(genre, make())
    const shared = shareAdapter(first, tags)
    const own = Object.entries(shared.trainable).filter(([, variable]) => !Object.values(first.trainable).includes(variable)).map(([name]) => name)
    expect(own).toEqual(['classifier.weight', 'classifier.bias'].filter((name) => name in shared.trainable))
    disturb(first)
    await shared.save(temporary('shared'))
    const alone = await loadModel(goldenPath('bert/masked_lm'), { task: 'token-classification', labels: TAGS })
    const loaded = await loadAdapter(alone, temporary('shared'))
    expect(largestDifference(logits(tags), logits(alone))).toBeLessThan(1e-6)
    detach(loaded)
    alone.dispose()
  })

  it('is freed with the last that has it, in any order', () => {
    const before = tf.memory().numTensors
    for (const order of [[0, 1], [1, 0]] as const) {
      const both = [attach(genre, lora())] as Adapter[]
      both.push(shareAdapter(both[0] as Adapter, tags, { name: 'of genre' }))
      detach(both[order[0]] as Adapter)
      expect(logits(order[0] === 0 ? tags : genre).every(Number.isFinite)).toBe(true)
      detach(both[order[1]] as Adapter)
      expect(tf.memory().numTensors).toBe(before)
    }
    expect(before).toBeGreaterThan(count)
  })

  it('learns by the training of each model, and the head of the other stays', async () => {
    const first = attach(genre, lora({ rank: 2 }))
    const shared = shareAdapter(first, tags)
    const [head] = [first.trainable['classifier.weight'] as tf.Variable].map((variable) => valuesOf(variable).slice())
    const before = logits(genre)
    await new Trainer({ model: tags, train: { ids: [[5, 9, 11, 4]], tokenLabels: [[0, 1, 2, 0]] }, epochs: 3, learningRate: 1e-2 }).fit()
    expect(largestDifference(logits(genre), before)).toBeGreaterThan(0)
    expect(valuesOf(first.trainable['classifier.weight'] as tf.Variable)).toEqual(head)
    expect(shared.enabled).toBe(true)
  })

  it('goes on from its files: one of them brings the shared tensors, each its head', async () => {
    const first = attach(genre, lora({ rank: 2 }))
    const shared = shareAdapter(first, tags)
    for (const [i, variable] of [...Object.values(first.trainable), ...Object.values(shared.trainable)].entries()) {
      tf.tidy(() => { variable.assign(tf.randomNormal(variable.shape, 0, 0.2, 'float32', i + 1)) })
    }
    const expected = [logits(genre), logits(tags)]
    await first.save(temporary('genre'))
    await shared.save(temporary('tags'))
    for (const adapter of [first, shared]) detach(adapter)

    const loaded = await loadAdapter(genre, temporary('genre'))
    const saved = await loadAdapter(tags, temporary('tags'), { name: 'saved', enabled: false })
    const again = shareAdapter(loaded, tags)
    for (const [name, variable] of Object.entries(again.trainable)) variable.assign(saved.trainable[name] as tf.Variable)
    detach(saved)
    expect([logits(genre), logits(tags)]).toEqual(expected)
    await new Trainer({ model: tags, train: { ids: [[5, 9, 11, 4]], tokenLabels: [[0, 1, 2, 0]] }, epochs: 2, learningRate: 1e-2 }).fit()
    expect(largestDifference(logits(genre), expected[0] ?? [])).toBeGreaterThan(0)
  })

  it('is refused where the body is another, the adapter gone, or its name taken, and nothing is left behind', async () => {
    const first = attach(genre, lora())
    const other = await loadModel(goldenPath('bert/masked_lm'), { task: 'token-classification', labels: TAGS })
    expect(() => shareAdapter(first, other)).toThrow('expected a model of the same body, as withHead(adapter.model, …) gives it')
    other.dispose()
    shareAdapter(first, tags)
    const before = tf.memory().numTensors
    expect(() => shareAdapter(first, tags)).toThrow("already has an adapter called 'default'")
    expect(tf.memory().numTensors).toBe(before)
    expect(logits(genre).every(Number.isFinite)).toBe(true)
    detach(first)
    expect(() => shareAdapter(first, tags, { name: 'b' })).toThrow('is not attached to its model any more')
  })
})

it.each<[string, Task, Task]>([
  ...['roberta', 'distilbert', 'albert', 'deberta-v2', 'mpnet', 'relatives/modernbert', 'relatives/nomic_bert', 'relatives/electra']
    .map((family) => [`${family}${family.includes('/') ? '_' : '/'}masked_lm`, 'masked-lm', 'token-classification'] as [string, Task, Task]),
  ['gpt2/causal_lm', 'causal-lm', 'sequence-classification'], ['llama/causal_lm', 'causal-lm', 'token-classification'], ['relatives/mixtral_causal_lm', 'causal-lm', 'sequence-classification'],
  ['bart/seq2seq', 'seq2seq-lm', 'sequence-classification'], ['vit/image_classification', 'image-classification', 'image-embedding'], ['bert/base', 'sentence-embedding', 'sequence-classification'],
  ['bert/sequence_classification', 'sequence-classification', 'feature-extraction'],
])('%s: what a head of %s shares with one of %s is what its own files give', async (name, task, other) => {
  const before = tf.memory().numTensors
  const options = { task: other, ...(other.endsWith('classification') ? { labels: GENRES } : {}), ...(other === 'image-embedding' ? { pooling: 'mean' as const } : {}) }
  const first = await loadModel(goldenPath(name), { task })
  const second = await withHead(first, options)
  const adapter = attach(first, lora({ rank: 2 }))
  const shared = shareAdapter(adapter, second)
  disturb(adapter)
  await shared.save(temporary('of a family'))
  const alone = await loadModel(goldenPath(name), options)
  const loaded = await loadAdapter(alone, temporary('of a family'))
  const example = first.parts.architecture.example()
  const outputs = [second, alone].map((model) => tf.tidy(() => valuesOf(model.forward(example))))
  expect(largestDifference(outputs[0] ?? [], outputs[1] ?? [NaN])).toBeLessThan(1e-5)
  for (const each of [adapter, shared, loaded]) detach(each)
  for (const each of [first, second, alone]) each.dispose()
  expect(tf.memory().numTensors).toBe(before)
})

it('three tasks of different kinds take the steps of torch’s AdamW on the sum of their losses in float64', async () => {
  const golden = await readGolden('tasks.safetensors')
  const rows = (name: string, what = 'ids'): number[][] => {
    const [length = 1] = golden.shape(`${what}/${name}`).slice(1)
    const values = Array.from(golden.numbers(`${what}/${name}`))
    return Array.from({ length: values.length / length }, (_, i) => values.slice(i * length, (i + 1) * length))
  }
  const first = attach(genre, lora({ rank: 4, alpha: 8, targets: ['query', 'value'] }))
  const adapters = { genre: first, tags: shareAdapter(first, tags), words: shareAdapter(first, words) }
  expect(Object.keys(adapters.words.trainable).some((name) => name.startsWith('cls'))).toBe(false)
  const named = (name: string): tf.Variable => {
    const [head, own] = name.split('/')
    return (own === undefined ? first.trainable[head as string] : adapters[head as 'genre'].trainable[own]) as tf.Variable
  }
  const trained = golden.names.filter((name) => name.startsWith('start/')).map((name) => name.slice('start/'.length))
  const ours = (name: string): string => name.replace(/lora_([AB])\.weight$/, '$1')
  for (const name of trained) tf.tidy(() => { named(ours(name)).assign(tf.tensor(golden.numbers(`start/${name}`), [...golden.shape(`start/${name}`)])) })
  const batchSize = 4
  const before = tf.memory().numTensors
  const losses: number[][] = []
  let cost
  for await (const event of trainTasks({
    tasks: [
      { name: 'genre', model: genre, adapters: ['default'], train: prepareBatches({ ids: rows('genre'), labels: Array.from(golden.numbers('labels/genre')) }, { batchSize }) },
      { name: 'tags', model: tags, adapters: ['default'], weight: 0.5, train: prepareBatches({ ids: rows('tags'), tokenLabels: rows('tags', 'labels') }, { batchSize }) },
      { name: 'words', model: words, adapters: ['default'], weight: 2, train: prepareBatches({ ids: rows('words'), tokenLabels: rows('words', 'labels') }, { batchSize }) },
    ],
    steps: 5, learningRate: 0.01, weightDecay: 0, maxGradNorm: Infinity, schedule: () => () => 1,
  })) {
    losses.push(Object.values(event.losses))
    cost = event.cost
  }
  expect(tf.memory().numTensors).toBe(before)
  expect(cost).toMatchObject({ tokens: 5 * 3 * 4 * 7 })
  expect(cost?.operations).toBeGreaterThan(0)
  expect(largestDifference(Float32Array.from(losses.flat()), golden.numbers('losses') as Float32Array)).toBeLessThan(1e-4)
  for (const name of trained) expect(largestDifference(valuesOf(named(ours(name))), golden.numbers(`end/${name}`) as Float32Array), name).toBeLessThan(1e-4)
})

it('tasks without a model, and adapters that their model does not have, are said at once', async () => {
  attach(genre, lora())
  const train = { ids: [[5, 9]], labels: [0] }
  await expect(trainTasks({ tasks: [{ name: 'one', adapters: ['default'], train }, { name: 'two', model: tags, adapters: ['default'], train }], steps: 1 }).next()).rejects.toThrow(
    /task one: expected a model, its own or that of all tasks, got none\n.*task two: no adapter default; the model has none/)
})
