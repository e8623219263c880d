import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { takeRows, type Batch } from '../../src/base/batch.ts'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { Model } from '../../src/base/model.ts'
import { layerOf } from '../../src/base/sites.ts'
import { lwf } from '../../src/forgetting/lwf.ts'
import { lora } from '../../src/lora/lora.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { attachLike } from '../../src/forgetting/attach-like.ts'
import { headOnly } from '../../src/selective/head.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import type { BatchSource } from '../../src/training/batches.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import { Trainer } from '../../src/training/trainer.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { MODELS } from '../contract-rows.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const BERT = {
  model_type: 'bert', vocab_size: 37, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 48, max_position_embeddings: 16,
  type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0,
}
const IDS = Array.from({ length: 12 }, (_, row) => Array.from({ length: 3 + (row * 5) % 9 }, (_, i) => 1 + (row * 7 + i * 3) % 36))
const ROWS = { ids: IDS, labels: IDS.map((_, row) => row % 2) }
const SETTINGS = { epochs: 3, batchSize: 4, learningRate: 1e-3 } as const

const folder = temporaryFolder()
let opened: Model[] = []
afterEach(() => {
  for (const model of opened) model.dispose()
  opened = []
})

async function bert(config: object = {}): Promise<Model> {
  const model = await createModel({ ...BERT, ...config }, { task: 'sequence-classification', labels: ['a', 'b'], seed: 3 })
  opened.push(model)
  return model
}

function weightsOf({ trainable }: Adapter): Readonly<Record<string, Float32Array>> {
  return Object.fromEntries(Object.entries(trainable).map(([name, variable]) => [name, valuesOf(variable)]))
}

/** What is trained, and what is said. */
async function trained(model: Model, adapter: Adapter, options: Partial<TrainerOptions>): Promise<{ readonly weights: Readonly<Record<string, Float32Array>>; readonly events: readonly TrainerEvent[] }> {
  const events: TrainerEvent[] = []
  await new Trainer({ model, train: ROWS, ...SETTINGS, ...options }).fit({ onEvent: (event) => events.push(event) })
  return { weights: weightsOf(adapter), events }
}

/** The layers whose weights are asked for, in each epoch. */
function layersByEpoch(model: Model, steps = 3): { readonly seen: number[][]; readonly onEvent: (event: TrainerEvent) => void } {
  const seen: Set<number>[] = [new Set()]
  const { params } = model.parts
  const get = params.get.bind(params)
  vi.spyOn(params as Map<string, FrozenWeight>, 'get').mockImplementation((name: string) => {
    const layer = name.includes('relative_attention_bias') ? undefined : layerOf(name) // T5's is for all layers
    if (layer !== undefined) seen.at(-1)?.add(layer)
    return get(name)
  })
  return {
    get seen() { return seen.map((layers) => [...layers].sort((a, b) => a - b)) },
    onEvent: (event) => { if (event.type === 'step' && event.step % steps === 0) seen.push(new Set()) },
  }
}

function expectSame(a: Readonly<Record<string, Float32Array>>, b: Readonly<Record<string, Float32Array>>, tolerance = 1e-5): void {
  expect(Object.keys(a)).toEqual(Object.keys(b))
  for (const [name, values] of Object.entries(a)) expect(largestDifference(values, b[name] ?? new Float32Array()), name).toBeLessThan(tolerance)
}

/** Pairs of a batch's rows, others in each epoch, without the padding that both have. */
function inPairs(batch: Batch): BatchSource {
  const orders = [[0, 1, 2, 3], [2, 0, 3, 1], [3, 0, 1, 2]]
  return {
    count: 2,
    * epoch(epoch) {
      for (const index of [0, 1]) {
        const rows = Int32Array.from(orders[epoch] ?? []).slice(2 * index, 2 * index + 2)
        yield { ...trimmed(takeRows(batch, rows)), rows, epoch, index }
      }
    },
  }
}

function trimmed(batch: Batch): Batch {
  const { mask, batch: B, length: T } = batch
  if (mask === undefined) return batch
  const longest = Math.max(...Array.from({ length: B }, (_, row) => mask.subarray(row * T, (row + 1) * T).lastIndexOf(1) + 1))
  const cut = <V extends Int32Array | Float32Array>(values: V): V => values.filter((_, i) => i % T < longest) as V
  return { ...batch, ...Object.fromEntries((['ids', 'mask', 'typeIds', 'labels'] as const).flatMap((name) => {
    const values = batch[name]
    return values?.length === B * T ? [[name, cut(values)]] : []
  })), length: longest }
}

/** Their first layers run again where rows are padded, have the weights of the last, or leave keys for the last. */
const ANEW = /question answering|ALBERT|Gemma 4/

describe('each family learns the same with what its lower layers give kept:', () => {
  it.each(MODELS.filter(({ name }) => !/held in/.test(name)))('$name', async ({ name, load, batch }) => {
    const loaded = await load()
    opened.push(loaded)
    const model = new Model({ ...loaded.parts, dropout: false })
    const last = Math.max(...model.parts.sites.map(({ name }) => layerOf(name) ?? 0))
    const towers = new Set(model.parts.sites.map(({ tower }) => tower))
    const method = lora({ rank: 2, targets: 'all-linear', layers: [last], ...(towers.has('text') ? { tower: 'text' } : towers.has('decoder') ? { tower: 'decoder' } : {}) })
    const learn = async (cacheFrozen: boolean, onEvent: (event: TrainerEvent) => void): Promise<Readonly<Record<string, Float32Array>>> => {
      const adapter = attach(model, method, { seed: 1 })
      await new Trainer({ model, train: inPairs(batch), epochs: 3, learningRate: 1e-3, cacheFrozen }).fit({ onEvent })
      const weights = weightsOf(adapter)
      detach(adapter)
      return weights
    }
    const expected = await learn(false, () => undefined)
    const layers = layersByEpoch(model, 2)
    expectSame(await learn(true, layers.onEvent), expected)
    if (!ANEW.test(name)) expect(layers.seen[2]).not.toContain(0)
  })
})

it('from the second epoch on, layers below all that is trained do not run', async () => {
  const model = await bert()
  const adapter = attach(model, lora({ layers: [2, 3] }), { seed: 1 })
  const plain = await trained(model, adapter, {})
  detach(adapter)
  const again = attach(model, lora({ layers: [2, 3] }), { seed: 1 })
  const layers = layersByEpoch(model)
  await new Trainer({ model, train: ROWS, ...SETTINGS, cacheFrozen: true }).fit({ onEvent: layers.onEvent })
  expect(layers.seen.slice(0, 3)).toEqual([[0, 1, 2, 3], [2, 3], [2, 3]])
  expectSame(weightsOf(again), plain.weights)
})

it.each([
  ['a file', { memory: 0 }],
  ['a file, rounded', { memory: 0, dtype: 'bfloat16' }],
  ['memory, rounded', { dtype: 'bfloat16' }],
  ['half in memory, half in a file', { memory: 6000 }],
] as const)('keeps rows in %s', async (_, cacheFrozen) => {
  const model = await bert()
  const plain = attach(model, lora({ layers: [3] }), { seed: 1 })
  const expected = await trained(model, plain, {})
  detach(plain)
  const adapter = attach(model, lora({ layers: [3] }), { seed: 1 })
  const layers = layersByEpoch(model)
  await new Trainer({ model, train: ROWS, ...SETTINGS, cacheFrozen }).fit({ onEvent: layers.onEvent })
  expect(layers.seen.slice(1, 3)).toEqual([[3], [3]])
  expectSame(weightsOf(adapter), expected.weights, 'dtype' in cacheFrozen ? 3e-3 : 1e-5)
})

it('a head alone is trained without a layer being run from the second epoch on, and evaluations read what is kept too', async () => {
  const model = await bert()
  const plain = attach(model, headOnly())
  const options = { evaluate: ROWS }
  const expected = await trained(model, plain, options)
  detach(plain)
  const adapter = attach(model, headOnly())
  const layers = layersByEpoch(model)
  const events: TrainerEvent[] = []
  await new Trainer({ model, train: ROWS, ...SETTINGS, ...options, cacheFrozen: true }).fit({
    onEvent: (event) => { events.push(event); layers.onEvent(event) },
  })
  expect(layers.seen.slice(1)).toEqual([[], [], []])
  expectSame(weightsOf(adapter), expected.weights)
  const losses = (of: readonly TrainerEvent[]): number[] => of.flatMap((event) => (event.type === 'evaluate' ? [event.loss ?? NaN] : []))
  expect(largestDifference(Float32Array.from(losses(events)), Float32Array.from(losses(expected.events)))).toBeLessThan(1e-5)
})

it.each(['another model', 'a copy of the adapter'] as const)('the teacher of lwf, %s, answers from what is kept', async (kind) => {
  const found = []
  for (const cacheFrozen of [false, true]) {
    const model = await bert()
    const adapter = attach(model, lora({ layers: [3] }), { seed: 1 })
    const before = kind === 'another model' ? await bert({ initializer_range: 0.05 }) : model
    if (kind !== 'another model') attachLike(adapter, adapter.trainable, { name: 'before', enabled: false })
    const teacher = kind === 'another model' ? before : withAdapters(model, ['before'])
    const layers = layersByEpoch(before)
    const { weights } = await trained(model, adapter, { guards: [lwf({ teacher: (batch) => teacher.forward(batch) })], cacheFrozen })
    if (cacheFrozen && kind === 'another model') expect(layers.seen).toEqual([[0, 1, 2, 3]]) // the epoch is not noted
    found.push(weights)
  }
  expectSame(found[1] ?? {}, found[0] ?? {})
})

it('says before the first step that there is nothing to keep, and where what is trained begins', async () => {
  const model = await bert()
  const adapter = attach(model, lora())
  const { events } = await trained(model, adapter, { cacheFrozen: true, epochs: 1 })
  expect(events[0]).toMatchObject({
    type: 'warning', step: 0,
    text: 'cacheFrozen: nothing can be kept, because no layer lies below what is trained, which begins at bert.encoder.layer.0.attention.self.query. ' +
      'To keep what the lower layers give, attach to the upper ones alone, as in lora({ layers: [6, 7, 8] }).',
  })
  detach(adapter)
  const virtual = attach(model, prompt({ virtualTokens: 2 }))
  const { events: ofPrompt } = await trained(model, virtual, { cacheFrozen: true, epochs: 1 })
  expect(ofPrompt[0]).toMatchObject({ type: 'warning', text: expect.stringContaining('which begins at bert.embeddings.tokens') as string })
})

it('refuses to keep what dropout makes another in each step, and says how to turn it off; that of methods stays', async () => {
  const model = await bert({ hidden_dropout_prob: 0.1 })
  const adapter = attach(model, lora({ layers: [3], dropout: 0.5 }), { seed: 1 })
  await expect(trained(model, adapter, { cacheFrozen: true })).rejects.toThrow(/^cacheFrozen: dropout is drawn in layers that do not change.*loadModel\(…, { dropout: false }\)/)
  detach(adapter)
  const without = new Model({ ...model.parts, dropout: false })
  const found = []
  for (const cacheFrozen of [false, true]) {
    const again = attach(without, lora({ layers: [3], dropout: 0.5 }), { seed: 1 })
    found.push((await trained(without, again, { cacheFrozen })).weights)
    detach(again)
  }
  expectSame(found[1] ?? {}, found[0] ?? {})
})

it('goes on from a checkpoint in the middle of an epoch with the weights of a training without a break', async () => {
  const found = []
  for (const isBroken of [false, true]) {
    const model = await bert()
    const adapter = attach(model, lora({ layers: [3] }), { seed: 1 })
    const options = { model, train: ROWS, ...SETTINGS, cacheFrozen: true, ...(isBroken ? { checkpoints: { folder: folder('broken'), every: 1 } } : {}) }
    if (isBroken) for await (const event of new Trainer(options).run()) if (event.type === 'checkpoint' && event.step === 4) break
    await new Trainer(options).fit()
    found.push(weightsOf(adapter))
  }
  expectSame(found[1] ?? {}, found[0] ?? {})
})

it('says at the second epoch that rows which are made anew are never read, and keeps no more of them', async () => {
  const model = await bert()
  attach(model, lora({ layers: [3] }))
  let made = 0
  const train: BatchSource = {
    count: 2,
    * epoch(epoch) {
      for (const index of [0, 1]) yield { ids: Int32Array.from([1, 2, 3, (made += 1) % 37]), labels: Int32Array.of(1), batch: 1, length: 4, rows: Int32Array.of(index), epoch, index }
    },
  }
  const texts: string[] = []
  await new Trainer({ model, train, epochs: 3, cacheFrozen: true }).fit({ onEvent: (event) => { if (event.type === 'warning') texts.push(`${event.step} ${event.text}`) } })
  expect(texts.filter((text) => text.includes('cacheFrozen'))).toEqual([expect.stringMatching(/^2 cacheFrozen: no row of the second epoch was there in the first/)])
})

it('batches that outlive a training are as others again: nothing is read for them, and nothing is left', async () => {
  const model = await bert()
  attach(model, lora({ layers: [3] }), { seed: 1 })
  const batch = { ids: Int32Array.from(IDS[3] ?? []), labels: Int32Array.of(1), batch: 1, length: IDS[3]?.length ?? 0, rows: Int32Array.of(0), epoch: 0, index: 0 }
  await new Trainer({ model, train: { count: 1, epoch: () => [batch] }, epochs: 2, cacheFrozen: true }).fit()
  const before = tf.memory().numTensors
  const layers = layersByEpoch(model)
  model.loss(batch).dispose()
  expect(layers.seen).toEqual([[0, 1, 2, 3]])
  expect(tf.memory().numTensors).toBe(before)
})

it('names every option that is wrong', async () => {
  const model = await bert()
  attach(model, lora())
  const options = { model, train: ROWS, adapterDrop: true, cacheFrozen: { memory: -1, dtype: 'int8', folder: 3, limit: 1 } }
  expect(() => new Trainer(options as unknown as TrainerOptions)).toThrow(/limit.*memory.*at least 0, got -1.*dtype.*got "int8".*folder.*adapterDrop/s)
})

it('leaves no tensor behind, also where a training is left in its middle', async () => {
  const model = await bert()
  const adapter = attach(model, lora({ layers: [3] }))
  await trained(model, adapter, { epochs: 1 })
  const before = tf.memory().numTensors
  await trained(model, adapter, { cacheFrozen: true })
  for await (const event of new Trainer({ model, train: ROWS, ...SETTINGS, cacheFrozen: { memory: 0 } }).run()) if (event.type === 'step') break
  expect(tf.memory().numTensors).toBe(before)
})
