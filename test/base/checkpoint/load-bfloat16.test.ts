// Models whose frozen matrices are held as bfloat16. What they must compute is what the same model in float32 computes with
// its weights rounded: saving such a model rounds them, and loading the files in float32 is that model.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { BFLOAT16 } from '../../../src/base/engine/bfloat16.ts'
import { FLOAT32 } from '../../../src/base/engine/float32.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { openSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import { loadModel, type LoadOptions } from '../../../src/base/checkpoint/load.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import type { Model } from '../../../src/base/model.ts'
import { nativeInstructionSets, useNative } from '../../../src/base/engine/native.ts'
import { pfeiffer } from '../../../src/adapters/presets.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { dora } from '../../../src/lora/dora.ts'
import { ia3 } from '../../../src/lora/ia3.ts'
import { lora } from '../../../src/lora/lora.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { prefix } from '../../../src/prefix/prefix.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { AdamW } from '../../../src/training/adamw.ts'
import { goldenPath, largestDifference, valuesOf } from '../../golden.ts'
import { BATCH, forward } from '../../manage/models.ts'

// Products of bfloat16 numbers round what they multiply: bfloat16.test.ts and ops/linear.test.ts say how much.
vi.mock('../../../src/base/engine/native.ts', async (original) => ({ ...(await original<object>()), hasBfloat16Products: () => false }))

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
})

afterEach(() => rm(folder, { recursive: true }))

const half = (source: string, options: LoadOptions = {}): Promise<Model> => loadModel(source, { ...options, dtype: 'bfloat16' })

const parametersOf = (model: Model): Record<string, Float32Array> =>
  tf.tidy(() => Object.fromEntries([...model.parts.params].map(([name, weight]) => [name, valuesOf(weight).slice()])))

const MODELS: readonly (readonly [source: string, options: LoadOptions])[] = [
  ['bert/sequence_classification', { task: 'sequence-classification' }],
  ['bert/masked_lm', { task: 'masked-lm' }],
  ['roberta/base', {}],
  ['distilbert/base', {}],
  ['gpt2/causal_lm', { task: 'causal-lm' }],
  ['gpt2/odd_sizes', {}],
  ['llama/tied', { task: 'causal-lm' }],
  ['llama/odd_sizes', {}],
]

describe.each(MODELS)('%s in bfloat16', (source, options) => {
  it.each(['composed', ...nativeInstructionSets().filter((set) => !['amx', 'avx512bf16'].includes(set))])('computes what its rounded weights give in float32, saved and loaded (%s)', async (form) => {
    const model = await half(goldenPath(source), options)
    await model.save(folder)
    const wide = await loadModel(folder, options)
    useNative(form === 'composed' ? undefined : form)
    try {
      for (const [batch, length] of [[1, 3], [5, 7]] as const) { // few rows and many
        const ids = Int32Array.from({ length: batch * length }, (_, i) => 1 + ((i * 11) % 28))
        const [got, expected] = [model, wide].map((each) => tf.tidy(() => valuesOf(each.forward({ ids, batch, length }))))
        expect(largestDifference(got ?? [], expected ?? [])).toBeLessThan(1e-5)
      }
    } finally {
      useNative(nativeInstructionSets()[0])
    }
    for (const each of [model, wide]) each.dispose()
  })

  it('holds weights and embeddings so and all else in float32, and frees every tensor', async () => {
    const before = tf.memory().numTensors
    const model = await half(goldenPath(source), options)
    expect(tf.memory().numTensors).toBe(before + model.parts.params.size)
    for (const [name, { kind, size, bytes }] of model.parts.params) {
      const part = model.parts.specs.get(name)?.part
      const isHalf = part === 'weight' || part === 'embedding'
      expect(kind, name).toBe(isHalf ? BFLOAT16 : FLOAT32)
      expect(bytes, name).toBe((isHalf ? 2 : 4) * size)
    }
    model.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is saved in BF16, and comes back bit for bit', async () => {
    const model = await half(goldenPath(source), options)
    await model.save(folder)
    const file = await openSafetensors(join(folder, 'model.safetensors'))
    const keyOf = (name: string): string => name.replace('predictions.decoder.bias', 'predictions.bias') // as tied heads have it
    for (const [name, { kind }] of model.parts.params) expect(file.entries.get(keyOf(name))?.dtype, name).toBe(kind === BFLOAT16 ? 'BF16' : 'F32')
    await file.close()
    const again = await half(folder, options)
    expect(parametersOf(again)).toEqual(parametersOf(model))
    for (const each of [model, again]) each.dispose()
  })
})

const METHODS = {
  lora: () => lora({ rank: 4, alpha: 8, targets: 'all-linear' }),
  pissa: () => lora({ rank: 4, init: 'pissa' }),
  'lora on an embedding': () => lora({ rank: 3, targets: ['position_embeddings'], bias: 'all' }),
  dora: () => dora({ rank: 4, alpha: 8 }),
  ia3: () => ia3(),
  pfeiffer: () => pfeiffer({ reductionFactor: 4 }),
  prefix: () => prefix({ virtualTokens: 3 }),
  prompt: () => prompt({ virtualTokens: 2, init: 'vocabulary' }),
  'full fine-tuning': () => fullFineTuning(),
}
const MERGEABLE = new Set(['lora', 'pissa', 'lora on an embedding', 'dora', 'ia3', 'full fine-tuning'])

describe.each(Object.entries(METHODS))('%s on a base in bfloat16', (name, method) => {
  it('learns in float32, leaves the base as it was, and comes back from its files', async () => {
    const model = await half(goldenPath('lora/base'), { task: 'sequence-classification' })
    const wide = parametersOf(model)
    const before = tf.memory().numTensors
    const adapter = attach(model, method())
    const losses: number[] = []
    const optimizer = new AdamW(adapter.trainable, { learningRate: 1e-2 })
    for (let step = 0; step < 8; step++) {
      const { value, grads } = valueAndGrads(() => model.loss(BATCH), adapter.trainable)
      losses.push(value.dataSync()[0] ?? NaN)
      optimizer.step(grads)
      tf.dispose([value, ...Object.values(grads)])
    }
    expect(losses.at(-1)).toBeLessThan(losses[0] ?? NaN)
    expect(parametersOf(model)).toEqual(wide)
    await adapter.save(folder)
    const adapted = forward(model)
    detach(adapter)
    const again = await loadAdapter(model, folder)
    expect(largestDifference(forward(model), adapted)).toBeLessThan(1e-5)
    detach(again)
    optimizer.dispose()
    expect(tf.memory().numTensors).toBe(before)
    model.dispose()
  })

  it.runIf(MERGEABLE.has(name))('merges to the nearest bfloat16 of the sum, which saves and loads', async () => {
    const model = await half(goldenPath('lora/base'), { task: 'sequence-classification' })
    const adapter = attach(model, method())
    for (const variable of Object.values(adapter.trainable)) tf.tidy(() => variable.assign(tf.mul(tf.add(variable, 0.01), 1.1)))
    const merged = merge(model, adapter)
    for (const [key, { kind }] of merged.parts.params) expect(kind, key).toBe(model.parts.params.get(key)?.kind)
    await merged.save(folder)
    const again = await half(folder, { task: 'sequence-classification' })
    expect(parametersOf(again)).toEqual(parametersOf(merged))
    detach(adapter)
    for (const each of [model, merged, again]) each.dispose()
  })
})

it('refuses a dtype that it does not have', async () => {
  await expect(loadModel(goldenPath('bert/base'), { dtype: 'float16' as 'float32' })).rejects.toThrow(
    'loadModel: dtype: expected float32, bfloat16, int8, nf4, got "float16".',
  )
})
