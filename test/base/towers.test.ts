import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { joinBatches, padBatch, takeRows, type Batch } from '../../src/base/batch.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { KvCache } from '../../src/base/generate/cache.ts'
import type { Model } from '../../src/base/model.ts'
import { normal, randomStream } from '../../src/base/random.ts'
import { CheckpointError, InputError, TargetError } from '../../src/errors.ts'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { lora, type LoraOptions } from '../../src/lora/lora.ts'
import { forwardPerRow } from '../../src/manage/per-row.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { lwf } from '../../src/forgetting/lwf.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { accumulatedGrads } from '../../src/training/accumulate.ts'
import { prepareBatches, type Examples } from '../../src/training/batches.ts'
import { withLayersDropped } from '../../src/training/adapter-drop.ts'
import { predict } from '../../src/training/predict.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { largestDifference, numberOf, valuesOf } from '../golden.ts'
import { relativeDifference } from './ops/forms.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { PIXELS, TEXT_ALONE, tinyTowers } from './towers.ts'
import type { Around } from '../../src/base/pass.ts'

beforeAll(loadEngine)

const folder = temporaryFolder()
const ROWS = 6
const pixels = Array.from({ length: ROWS }, (_, row) => normal(randomStream(row, 'picture'), PIXELS, 0, 1))
const ids = [[1, 2, 3], [4], [5, 6], [7, 8, 9, 10], [11], [12, 13]]
const decoderIds = [[3, 2], [1, 2, 3], [4], [5, 6], [7, 8, 9], [2]]
const EXAMPLES: Readonly<Record<string, Examples>> = {
  pictures: { pixels, labels: [0, 1, 2, 0, 1, 2] },
  pairs: { ids, pixels, labels: [0, 1, 2, 0, 1, 2] },
  translator: { ids, decoderIds, tokenLabels: decoderIds.map((row) => row.map((id) => id % 3)) },
}

let model: Model
afterEach(() => model.dispose())

function start(family: string): { readonly examples: Examples; readonly batches: Batch[]; readonly whole: Batch } {
  model = tinyTowers(family)
  const examples = EXAMPLES[family] as Examples
  const of = (batchSize: number): Batch[] => [...prepareBatches(examples, { batchSize }).epoch(0)]
  return { examples, batches: of(2), whole: of(ROWS)[0] as Batch }
}

describe.each(['pictures', 'pairs', 'translator'])('a family that takes more than token ids: %s', (family) => {
  it('trains, in batches of several and accumulated, and leaves its base as it was', async () => {
    const { examples, whole } = start(family)
    const before = tf.tidy(() => valuesOf(model.forward(whole)))
    const adapter = attach(model, lora({ rank: 2 }))
    const [losses, tokens]: [number[], number[]] = [[], []]
    const count = tf.memory().numTensors
    await new Trainer({ model, train: examples, evaluate: examples, batchSize: 2, accumulate: 3, epochs: 3, learningRate: 0.05 }).fit({
      onEvent: (event) => {
        if (event.type === 'evaluate') losses.push(event['loss'] ?? NaN)
        if (event.type === 'step') tokens.push(event.tokens)
      },
    })
    expect(tf.memory().numTensors).toBe(count)
    expect(losses).toHaveLength(3)
    expect(losses[2]).toBeLessThan(losses[0] ?? NaN)
    const rows = [...(examples.ids ?? []), ...(examples.decoderIds ?? [])]
    expect(tokens).toEqual(new Array(3).fill(rows.reduce((sum, { length }) => sum + length, 0)))
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(whole))), before)).toBeGreaterThan(1e-3)
    detach(adapter)
    expect(tf.tidy(() => valuesOf(model.forward(whole)))).toEqual(before)
  })

  it('has for several batches the gradients of one with all their rows, with gradient checkpointing too', () => {
    const { batches, whole } = start(family)
    const { trainable } = attach(model, lora({ rank: 2, targets: 'all-linear' }))
    shake(trainable)
    const one = valueAndGrads(() => model.loss(whole), trainable)
    const several = accumulatedGrads(model, batches, trainable, () => ({ gradientCheckpointing: true }))
    expect(numberOf(several.value)).toBeCloseTo(numberOf(one.value), 5)
    for (const [name, grad] of Object.entries(one.grads)) {
      expect(Math.max(...valuesOf(grad).map(Math.abs)), name).toBeGreaterThan(0)
      expect(relativeDifference(valuesOf(several.grads[name] as tf.Tensor), valuesOf(grad)), name).toBeLessThan(1e-5)
    }
    tf.dispose([one.grads, several.grads])
  })

  it('gives each row of a batch what it gives the row alone, each with its own adapter', () => {
    const { whole } = start(family)
    for (const name of ['one', 'other']) shake(attach(model, lora({ rank: 2 }), { name, enabled: false }).trainable)
    const names = ['one', null, 'other', 'other', 'one', null]
    const mixed = tf.tidy(() => valuesOf(forwardPerRow(model, whole, names)))
    const width = mixed.length / ROWS
    names.forEach((name, row) => {
      const alone = tf.tidy(() => valuesOf(forwardPerRow(model, takeRows(whole, [row]), [name])))
      expect(largestDifference(mixed.slice(row * width, (row + 1) * width), alone), `${row}`).toBeLessThan(1e-5)
    })
  })

  it('merges, after a comparison on a batch of its own', () => {
    const { whole } = start(family)
    const adapter = attach(model, lora({ rank: 2, targets: 'all-linear' }), { train: [] })
    shake(adapter.trainable)
    const merged = merge(model, adapter)
    expect(largestDifference(tf.tidy(() => valuesOf(merged.forward(whole))), tf.tidy(() => valuesOf(model.forward(whole))))).toBeLessThan(1e-4)
    merged.dispose()
  })

  it.each([['bottleneck', bottleneck({ activation: 'gelu' })], ['prefix', prefix({ virtualTokens: 2 })], ['prompt', prompt({ virtualTokens: 2, init: 'normal' })], ['layer norms', layerNormTuning()]])(
    'is adapted by %s, every tensor of which gets a gradient', (_, method) => {
      const { whole } = start(family)
      const { trainable } = attach(model, method)
      shake(trainable)
      const { value, grads } = valueAndGrads(() => model.loss(whole), trainable)
      for (const [name, grad] of Object.entries(grads)) expect(Math.max(...valuesOf(grad).map(Math.abs)), name).toBeGreaterThan(0)
      tf.dispose([value, grads])
    })

  it('has Fisher information, of each row by itself', async () => {
    const { examples } = start(family)
    const adapter = attach(model, lora({ rank: 2 }))
    shake(adapter.trainable)
    const information = await diagonalFisher(model, adapter.trainable, examples, { kind: 'empirical' })
    for (const [name, values] of Object.entries(information)) expect(Math.max(...valuesOf(values)), name).toBeGreaterThan(0)
    tf.dispose(information)
  })

  it('resumes a training on the same rows alone', async () => {
    const { examples } = start(family)
    attach(model, lora({ rank: 2 }))
    const options = { model, batchSize: 2, checkpoints: { folder: folder(family) } }
    await new Trainer({ ...options, train: examples, maxSteps: 2 }).fit()
    await new Trainer({ ...options, train: examples, maxSteps: 2 }).fit()
    const changed = Object.fromEntries(Object.entries(examples).map(([name, rows]) => [name, name === 'pixels' || name === 'decoderIds' ? [...rows as number[][]].reverse() : rows]))
    const other = family === 'translator' ? { ...changed, tokenLabels: [...(examples.tokenLabels ?? [])].reverse() } : changed
    await expect(new Trainer({ ...options, train: other, maxSteps: 2 }).fit()).rejects.toThrow(CheckpointError)
  })
})

describe('towers', () => {
  const chosen = (options: LoraOptions): string[] => {
    const adapter = attach(model, lora(options), { name: JSON.stringify(options), enabled: false, train: [] })
    return adapter.sites.map(({ name }) => name.replace(/^base\./, ''))
  }

  it('are known at every site, and nowhere else', () => {
    start('translator')
    for (const { name, tower } of model.parts.sites) expect(tower, name).toBe(/^base\.(\w+)\./.exec(name)?.[1])
    expect(new Set(model.parts.sites.map(({ tower }) => tower))).toEqual(new Set(['encoder', 'decoder', undefined]))
  })

  it('have layers of their own: a number is that of every tower, unless one is named', () => {
    start('translator')
    expect(chosen({ targets: ['q'], layers: [1] })).toEqual(['encoder.layers.1.self.q', 'decoder.layers.1.self.q', 'decoder.layers.1.cross.q'])
    expect(chosen({ targets: ['q'], layers: [1], tower: 'decoder' })).toEqual(['decoder.layers.1.self.q', 'decoder.layers.1.cross.q'])
    expect(chosen({ tower: 'encoder' })).toEqual(['encoder.layers.0.self.q', 'encoder.layers.0.self.v', 'encoder.layers.1.self.q', 'encoder.layers.1.self.v'])
  })

  it('come back from the files of an adapter that is in one of them', async () => {
    const { whole } = start('translator')
    const adapter = attach(model, lora({ rank: 2, layers: [1], tower: 'decoder' }), { name: 'saved' })
    shake(adapter.trainable)
    const outputs = tf.tidy(() => valuesOf(model.forward(whole)))
    await adapter.save(folder('decoder'))
    detach(adapter)
    const again = await loadAdapter(model, folder('decoder'))
    expect(again.sites.map(({ name }) => name)).toEqual(['decoder.layers.1.self.q', 'decoder.layers.1.self.v', 'decoder.layers.1.cross.q', 'decoder.layers.1.cross.v'].map((name) => `base.${name}`))
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(whole))), outputs)).toBeLessThan(1e-6)
  })

  it('that the model does not have are errors, with those that it has', () => {
    start('pairs')
    expect(() => attach(model, lora({ tower: 'decoder' }))).toThrow(new TargetError("tower: expected one of text, vision, got 'decoder'."))
    expect(() => attach(model, lora({ targets: ['cross.q'], tower: 'text' }))).toThrow("target 'cross.q' matches no linear module")
    expect(() => attach(model, layerNormTuning({ tower: 'encoder' }))).toThrow("tower: expected one of text, vision, got 'encoder'.")
  })

  it('are left out layer by layer together', () => {
    const { whole } = start('pairs')
    const adapter = attach(model, lora({ rank: 2 }), { train: [] })
    shake(adapter.trainable)
    const before = tf.tidy(() => valuesOf(model.forward(whole)))
    const counts = new Set<number>()
    for (let step = 0; step < 8; step++) {
      const { model: shallow, idle } = withLayersDropped(model, { seed: 1, step })
      const names = Object.entries(adapter.trainable).filter(([, variable]) => idle.has(variable)).map(([name]) => name)
      const layers = new Set(names.map((name) => /layers\.(\d)/.exec(name)?.[1]))
      counts.add(layers.size)
      expect(names).toHaveLength(layers.size * 2 * 2 * 2) // A and B of two products in two towers
      if (layers.size > 0) expect(tf.tidy(() => valuesOf(shallow.forward(whole)))).not.toEqual(before)
    }
    expect(counts).toEqual(new Set([0, 1]))
  })
})

describe('what does not fit', () => {
  it('is told for every array of a batch at once', () => {
    start('translator')
    expect(() => model.forward({ ids: Int32Array.of(1, 20), decoderIds: Int32Array.of(1, -1), pixels: new Float32Array(1), batch: 1, length: 2 })).toThrow(new InputError(
      'The batch does not fit the model:',
      [
        "ids: expected token ids below 20, as this model's own tokenizer gives them; got ids[1] = 20",
        "decoder: ids: expected token ids below 20, as this model's own tokenizer gives them; got ids[1] = -1",
        'pixels: expected none; the model takes ids, mask, decoderIds, decoderMask',
      ],
    ))
    expect(TEXT_ALONE.check({ pixels: new Float32Array(3), batch: 1, length: 1 })).toEqual([
      'ids: expected an Int32Array, got undefined', 'pixels: expected none; the model takes ids, mask, typeIds',
    ])
  })

  it('is found in the rows before a training begins', () => {
    const { examples } = start('pictures')
    attach(model, lora())
    const wrong = { ...examples, pixels: pixels.map((row, i) => (i === 3 ? row.slice(1) : row)) }
    expect(() => new Trainer({ model, train: wrong })).toThrow('train: row 3: pixels: expected 1 × 3 × 4 × 4 = 48 numbers, got 47')
  })

  it('is a start from a table where the model has none', () => {
    start('pictures')
    expect(() => attach(model, prompt({ virtualTokens: 2, init: 'vocabulary' }))).toThrow("prompt: init: expected 'normal', got \"vocabulary\": at 'base.vision.rows' the model looks nothing up in a table.")
  })
})

it('learning without forgetting leaves the padding of a decoder out', () => {
  const { whole } = start('translator')
  const { trainable } = attach(model, lora({ rank: 2 }))
  shake(trainable)
  const teacher = withAdapters(model, [])
  const guard = lwf({ teacher: (batch) => teacher.forward(batch) })
  const values = [whole, padBatch(whole, { length: 4, decoderLength: 6 }, { tokenLabels: true })].map((batch) => {
    const { value, grads } = guard.penalty?.({ model, trainable, batches: [batch] }) ?? {}
    tf.dispose(grads)
    return numberOf(value)
  })
  expect(values[0]).toBeGreaterThan(1e-3)
  expect(values[1]).toBeCloseTo(values[0] ?? NaN, 5)
})

it('a tagger of what a decoder is given has a class for each of its tokens, whatever the padding', async () => {
  start('translator')
  const { classes } = await predictTokens(model, { ids, decoderIds }, { batchSize: 4 })
  expect(classes.map(({ length }) => length)).toEqual(decoderIds.map(({ length }) => length))
  for (const [row, own] of classes.entries()) {
    const alone = await predictTokens(model, { ids: ids.slice(row, row + 1), decoderIds: decoderIds.slice(row, row + 1) })
    expect(alone.classes).toEqual([own])
  }
})

it('an encoder-decoder with a cache gives the logits of whole texts, and runs its encoder once', () => {
  start('translator')
  const [read, written] = [{ ids: Int32Array.of(1, 2, 3, 4, 0, 0), mask: Int32Array.of(1, 1, 1, 1, 0, 0), batch: 2, length: 3 }, [[5, 6, 7, 8, 9], [9, 8, 3, 2, 1]]]
  const decoderIds = (from: number, to: number): Int32Array => Int32Array.from(written.flatMap((row) => row.slice(from, to)))
  const runs = { encoder: 0, keys: 0 }
  const counted = (name: string, of: keyof typeof runs): [string, Around<tf.Tensor2D, tf.Tensor2D>] => [name, (x, next) => {
    runs[of] += 1
    return next(x)
  }]
  const linear = new Map([counted('base.encoder.layers.0.self.q', 'encoder'), counted('base.decoder.layers.1.cross.k', 'keys')])
  const { wiring } = model.attached
  const before = tf.memory().numTensors
  const cache = new KvCache()
  for (const [from, to] of [[0, 2], [2, 3], [3, 5]] as const) {
    model.attached = { ...model.attached, wiring: { ...wiring, handlers: { ...wiring.handlers, linear } } }
    const logits = tf.tidy(() => valuesOf(model.forward({ ...read, decoderIds: decoderIds(from, to) }, { cache })))
    model.attached = { ...model.attached, wiring }
    const whole = tf.tidy(() => model.forward({ ...read, decoderIds: decoderIds(0, to) }).arraySync()) as number[][][]
    expect(largestDifference(logits, whole.flatMap((row) => row[to - 1] ?? []))).toBeLessThan(2e-6)
  }
  expect(runs).toEqual({ encoder: 1, keys: 1 })
  cache.dispose()
  expect(tf.memory().numTensors).toBe(before)
})

it('a classifier of pictures gives its answers by predict', async () => {
  const { whole } = start('pictures')
  const { logits, classes } = await predict(model, { pixels }, { batchSize: 4 })
  expect(largestDifference(logits, tf.tidy(() => valuesOf(model.forward(joinBatches([whole])))))).toBeLessThan(1e-5)
  expect([...classes].every((label, row) => logits[row * 3 + label] === Math.max(...logits.slice(row * 3, row * 3 + 3)))).toBe(true)
})

/** Trained tensors away from a start at which some gradients are 0. */
function shake(trainable: Readonly<Record<string, tf.Variable>>): void {
  Object.values(trainable).forEach((variable, i) => tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', i + 1)))))
}
