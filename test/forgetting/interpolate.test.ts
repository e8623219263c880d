import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach, type AttachOptions } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach, skipLayers } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { saveAdapter } from '../../src/base/checkpoint/adapter-file.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { layerOf } from '../../src/base/sites.ts'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { houlsby } from '../../src/adapters/presets.ts'
import { attachLike } from '../../src/forgetting/attach-like.ts'
import { interpolate } from '../../src/forgetting/interpolate-adapter.ts'
import { interpolateTensors } from '../../src/forgetting/interpolate.ts'
import { mergeModels } from '../../src/forgetting/merge-models.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { pTuning } from '../../src/prompt/p-tuning.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, BATCH, closeModel, eachTinyModel, forward } from '../manage/models.ts'

const temporary = temporaryFolder()
let model: Model
eachTinyModel((each) => { model = each })

interface Row {
  readonly name: string
  readonly method: () => Method
  readonly options?: AttachOptions
}

const FOLDED: readonly Row[] = [
  { name: 'LoRA', method: () => lora({ rank: 4, alpha: 8 }) },
  {
    name: 'LoRA on everything, rank stabilised, with biases and a head',
    method: () => lora({ targets: 'all-linear', rankStabilized: true, bias: 'lora_only' }),
    options: { train: ['classifier'] },
  },
  { name: 'LoRA on an embedding', method: () => lora({ rank: 3, targets: ['word_embeddings', 'value'] }) },
  { name: 'PiSSA', method: () => lora({ rank: 4, init: 'pissa', targets: ['query', 'word_embeddings'] }) },
  { name: 'DoRA', method: () => dora({ rank: 4, alpha: 8, targets: 'all-linear' }) },
  { name: 'DoRA from PiSSA, on an embedding too', method: () => dora({ rank: 3, init: 'pissa', targets: ['query', 'position_embeddings'] }) },
  { name: '(IA)³', method: () => ia3({ targets: 'all-linear', feedForward: ['output.dense'] }) },
  { name: 'BitFit', method: () => bitFit() },
  { name: 'LayerNorm tuning', method: () => layerNormTuning() },
  { name: 'full fine-tuning', method: () => fullFineTuning() },
]

describe.each(FOLDED)('$name', ({ method, options = {} }) => {
  it.each([0, 0.3, 0.5, 0.9, 1])('at alpha %s is the line between the base’s weights and the merged ones', (alpha) => {
    const adapter = attachTrained(model, 'trained', method(), options)
    const before = Object.fromEntries(Object.entries(adapter.trainable).map(([name, tensor]) => [name, valuesOf(tensor).slice()]))
    const part = interpolate(adapter, alpha, { name: 'part' })
    const merged = merge(model, adapter)
    const mergedPart = merge(model, part)
    for (const [name, tensor] of mergedPart.parts.params) {
      const [base, tuned] = [model, merged].map(({ parts }) => valuesOf(parts.params.get(name) as FrozenWeight))
      const expected = Float64Array.from(base ?? [], (value, i) => (1 - alpha) * value + alpha * (tuned?.[i] ?? NaN))
      expect(largestDifference(valuesOf(tensor), expected), name).toBeLessThan(alpha === 0 ? 3e-7 : 2e-6)
    }
    const line = mergeModels([model, merged], ([base, tuned]) => interpolateTensors(base, tuned, alpha))
    const attached = forward(withAdapters(model, 'part'))
    expect(largestDifference(attached, forward(line))).toBeLessThan(2e-5)
    for (const [name, values] of Object.entries(before)) expect(valuesOf(adapter.trainable[name] as tf.Tensor), name).toEqual(values)
    for (const made of [merged, mergedPart, line]) made.dispose()
  })

  it('at alpha 1 computes to the bit what the adapter does', () => {
    const adapter = attachTrained(model, 'trained', method(), options)
    interpolate(adapter, 1, { name: 'all' })
    expect(forward(withAdapters(model, 'all'))).toEqual(forward(withAdapters(model, 'trained')))
  })
})

describe('an interpolated adapter', () => {
  it.each([
    ['LoRA', () => lora({ targets: 'all-linear' })],
    ['(IA)³', () => ia3()],
    ['a bottleneck adapter', () => houlsby({ reductionFactor: 4 })],
    ['BitFit', () => bitFit()],
  ] as const)('of %s is the base to the bit at alpha 0', (_, method) => {
    const base = forward(model)
    interpolate(attachTrained(model, 'trained', method()), 0, { name: 'none', enabled: true })
    expect(forward(model)).toEqual(base)
  })

  it('of bottlenecks adds alpha times what they add, in float64', () => {
    const adapter = attachTrained(model, 'trained', bottleneck({ parts: ['feed-forward'], reductionFactor: 4, scaling: 'channel', skipLayers: [0, 1] }))
    const part = interpolate(adapter, 0.25, { name: 'quarter' })
    const branch = (made: Adapter, x: readonly number[]): number[] => {
      const tensor = (short: string): readonly (readonly number[])[] => [made.trainable[`${adapter.sites[0]?.name ?? ''}.${short}`]?.arraySync()].flat() as never
      const hidden = tensor('down').map((row, i) => Math.max(0, row.reduce((sum, w, j) => sum + w * (x[j] ?? NaN), Number(tensor('downBias')[i]))))
      return tensor('up').map((row, i) => Number(tensor('scaling')[i]) * row.reduce((sum, w, j) => sum + w * (hidden[j] ?? NaN), Number(tensor('upBias')[i])))
    }
    const x = Array.from({ length: 32 }, (_, i) => Math.sin(i))
    expect(largestDifference(branch(part, x), branch(adapter, x).map((value) => value / 4))).toBeLessThan(1e-7)
    expect(largestDifference(branch(adapter, x), new Float32Array(32))).toBeGreaterThan(1e-3)
  })

  it('has an alpha of its own in each layer', () => {
    const adapter = attachTrained(model, 'trained', lora({ targets: ['query'] }), { train: ['classifier'] })
    const seen: [string, number | undefined][] = []
    const part = interpolate(adapter, (name, layer) => {
      seen.push([name, layer])
      return layer === 1 ? 1 : 0
    }, { name: 'second layer' })
    expect(seen).toContainEqual(['bert.encoder.layer.2.attention.self.query', 2])
    expect(seen).toContainEqual(['classifier.weight', undefined])
    for (const { name } of adapter.sites) {
      const B = valuesOf(part.trainable[`${name}.B`] as tf.Tensor)
      if (layerOf(name) === 1) expect(B).toEqual(valuesOf(adapter.trainable[`${name}.B`] as tf.Tensor))
      else expect(B.every((value) => value === 0)).toBe(true)
    }
    expect(valuesOf(part.trainable['classifier.weight'] as tf.Tensor)).toEqual(valuesOf(model.parts.params.get('classifier.weight') as FrozenWeight))
  })

  it('keeps a head that the checkpoint did not have as trained, unless each place has its own alpha', async () => {
    const headless = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
    expect(headless.parts.initialized).toContain('classifier.weight')
    const adapter = attachTrained(headless, 'trained', lora(), { train: ['classifier'] })
    const head = (made: Adapter): Float32Array => valuesOf(made.trainable['classifier.weight'] as tf.Tensor)
    expect(head(interpolate(adapter, 0.2, { name: 'part' }))).toEqual(head(adapter))
    expect(head(interpolate(adapter, () => 0, { name: 'none' }))).toEqual(valuesOf(headless.parts.params.get('classifier.weight') as FrozenWeight))
    closeModel(headless)
  })

  it('leaves out the layers that the adapter leaves out', () => {
    const adapter = attachTrained(model, 'trained', lora())
    skipLayers(adapter, [0, 2])
    expect(interpolate(adapter, 0.5, { name: 'half' }).skipped).toEqual([0, 2])
  })

  it.each([
    ['LoRA', () => lora()], ['PiSSA', () => lora({ init: 'pissa' })], ['DoRA', () => dora()], ['(IA)³', () => ia3()], ['bottleneck', () => houlsby()],
  ] as const)('of %s computes the same after its files', async (name, method) => {
    const half = interpolate(attachTrained(model, 'trained', method()), 0.5, { name: 'half' })
    const expected = forward(withAdapters(model, 'half'))
    await saveAdapter(half, temporary(name))
    await loadAdapter(model, temporary(name), { name: 'again', enabled: false })
    expect(largestDifference(forward(withAdapters(model, 'again')), expected)).toBeLessThan(2e-6)
  })

  it.each([
    ['prefix', () => prefix({ virtualTokens: 2 })],
    ['prompt', () => prompt({ virtualTokens: 2 })],
    ['pTuning', () => pTuning({ virtualTokens: 2 })],
  ] as const)('cannot be had of %s, and it says why', (type, method) => {
    const adapter = attach(model, method(), { name: 'rows', train: [] })
    const count = tf.memory().numTensors
    expect(() => interpolate(adapter, 0.5, { name: 'half' })).toThrow(`${type} has no counterpart in the base`)
    expect(tf.memory().numTensors).toBe(count)
    expect(adaptersOf(model)).toEqual([adapter])
  })

  it('between two states of a prompt is made of their records', () => {
    const [a, b] = ['a', 'b'].map((name) => attachTrained(model, name, prompt({ virtualTokens: 2 }))) as [Adapter, Adapter]
    const mixed = interpolateTensors(a.trainable, b.trainable, 0.25)
    const between = attachLike(a, mixed, { name: 'between' })
    expect(Object.keys(between.trainable)).toEqual(Object.keys(a.trainable))
    for (const [name, tensor] of Object.entries(mixed)) expect(valuesOf(between.trainable[name] as tf.Tensor)).toEqual(valuesOf(tensor))
    expect(forward(withAdapters(model, 'between'))).not.toEqual(forward(withAdapters(model, 'a')))
    tf.dispose(mixed)
  })

  it('is refused with everything that is wrong', () => {
    const adapter = attachTrained(model, 'trained', lora({ targets: ['query'] }))
    const [first = ''] = Object.keys(adapter.trainable)
    tf.tidy(() => adapter.trainable[first]?.assign(tf.fill(adapter.trainable[first].shape, NaN)))
    const count = tf.memory().numTensors
    expect(() => interpolate(adapter, 1.5, { name: 'half' })).toThrow(
      `interpolate: adapter 'trained' cannot be interpolated:\n  - alpha: expected a number in [0, 1], got 1.5\n  - adapter 'trained': ${first} has numbers that are not finite`,
    )
    expect(tf.memory().numTensors).toBe(count)
  })

  it('leaves no tensors behind but its own', () => {
    const adapter = attachTrained(model, 'trained', dora({ init: 'pissa', targets: 'all-linear' }), { train: ['classifier'] })
    const count = tf.memory().numTensors
    const half = interpolate(adapter, 0.5, { name: 'half', enabled: true })
    tf.dispose(model.forward(BATCH))
    expect(tf.memory().numTensors).toBe(count + Object.keys({ ...half.trainable, ...half.frozen }).length)
    detach(half)
    expect(() => interpolate(adapter, 0.5, { name: 'trained' })).toThrow("already has an adapter called 'trained'")
    expect(tf.memory().numTensors).toBe(count)
  })
})
