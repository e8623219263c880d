import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { CheckpointError, InputError } from '../../src/errors.ts'
import { attend } from '../../src/base/ops/attention.ts'
import { Pass } from '../../src/base/pass.ts'
import type { AttentionSite } from '../../src/base/sites.ts'
import { NO_HANDLERS } from '../../src/base/trace.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { prefixFromText } from '../../src/prefix/from-text.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { differentiate, numbers } from '../base/ops/forms.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../golden.ts'
import type { AttentionCall } from '../../src/base/ops/attention-call.ts'

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
})

afterEach(() => {
  for (const adapter of adaptersOf(model)) detach(adapter)
  model.dispose()
})

const site = (layer: number): string => `bert.encoder.layer.${layer}.attention.self`

describe('a prefix starts', () => {
  it('as N(0, 1), or as zeros', () => {
    const normal = attach(model, prefix({ virtualTokens: 20 }), { train: [] })
    const values = Object.values(normal.trainable).flatMap((variable) => [...valuesOf(variable)])
    expect(values).toHaveLength(3 * 2 * 20 * 32)
    expect(values.reduce((sum, x) => sum + x, 0) / values.length).toBeCloseTo(0, 1)
    expect(values.reduce((sum, x) => sum + x * x, 0) / values.length).toBeCloseTo(1, 1)
    const zeros = attach(model, prefix({ virtualTokens: 2, init: 'zeros' }), { name: 'zeros', train: [] })
    for (const variable of Object.values(zeros.trainable)) expect(valuesOf(variable).every((x) => x === 0)).toBe(true)
  })

  it('through a network, with rows of zeros when asked', () => {
    const { trainable } = attach(model, prefix({ virtualTokens: 2, init: 'zeros', reparametrization: { hiddenSize: 5 } }))
    expect(trainable['embedding']?.shape).toEqual([2, 32])
    expect(trainable['hiddenWeight']?.shape).toEqual([5, 32])
    expect(trainable[`${site(1)}.valueWeight`]?.shape).toEqual([32, 5])
    expect(valuesOf(trainable[`${site(1)}.valueBias`] as tf.Variable).every((x) => x === 0)).toBe(true)
  })

  it('from the keys and values of a text, which are those transformers computes', async () => {
    const golden = await readGolden('prefix/text.safetensors')
    const other = attach(model, prefix({ virtualTokens: 2 }), { name: 'other', train: [] }) // takes no part
    const count = tf.memory().numTensors
    const init = await prefixFromText(model, golden.numbers('input_ids'))
    expect(tf.memory().numTensors).toBe(count)
    detach(other)
    const { trainable } = attach(model, prefix({ init }), { train: [] })
    for (const layer of [0, 1, 2]) {
      for (const kind of ['key', 'value']) {
        const rows = trainable[`${site(layer)}.${kind}`] as tf.Variable
        expect(rows.shape).toEqual([5, 32])
        expect(largestDifference(valuesOf(rows), golden.numbers(`${kind}/${layer}`))).toBeLessThan(1e-5)
      }
    }
  })
})

it('beside a bias by positions and sinks a prefix has a bias of 0, and the bias its gradient', () => {
  const [B, T, H, D, P] = [2, 3, 2, 4, 2]
  const text = { q: numbers([B, T, H, D], 1), k: numbers([B, T, H, D], 2), v: numbers([B, T, H, D], 3), sinks: numbers([H], 4) }
  const [key, value, bias, dy] = [numbers([P, H * D], 5), numbers([P, H * D], 6), numbers([1, H, T, T], 7), numbers([B, T, H, D], 8)]
  const site: AttentionSite = { kind: 'attention', name: 'self', heads: H, kvHeads: H, headSize: D, cross: false }
  const own = differentiate(({ key: k, value: v, ...call }) => {
    const handler = prefix({ virtualTokens: P }).attention?.(site, { key: k, value: v })
    return handler?.({ ...call, scale: 0.5, causal: true } as unknown as AttentionCall, attend, new Pass({ param: () => bias, handlers: NO_HANDLERS, training: false, seed: 0 })) ?? tf.zeros([1])
  }, { ...text, key, value, bias }, dy)
  const before = (rows: tf.Tensor, x: tf.Tensor): tf.Tensor => tf.concat([tf.tile(tf.reshape(rows, [1, P, H, D]), [B, 1, 1, 1]), x], 1)
  const whole = { ...text, k: before(key, text.k), v: before(value, text.v), bias: tf.pad(bias, [[0, 0], [0, 0], [0, 0], [P, 0]]) }
  const joined = differentiate((call) => attend({ ...call, scale: 0.5, causal: true } as unknown as AttentionCall), whole, dy)
  const texts = (name: string, shape: number[], axis: number): Float32Array => tf.tidy(() => {
    const size = [...shape]
    size[axis] = (size[axis] ?? 0) - P
    return tf.slice(tf.tensor(joined.grads[name] ?? [], shape), shape.map((_, i) => (i === axis ? P : 0)), size).dataSync<'float32'>()
  })
  const { q, sinks } = joined.grads
  const expected = { q: q ?? [], sinks: sinks ?? [], k: texts('k', [B, P + T, H, D], 1), bias: texts('bias', [1, H, T, P + T], 3) }
  expect(largestDifference(own.y, joined.y)).toBeLessThan(1e-6)
  for (const [name, grad] of Object.entries(expected)) expect(largestDifference(own.grads[name] ?? [], grad), name).toBeLessThan(1e-6)
})

describe('what cannot be', () => {
  it('is named all at once', async () => {
    const init = await prefixFromText(model, [3, 4, 5])
    expect(() => prefix({ virtualTokens: 0.5, init, reparametrization: { hiddenSize: 0 } })).toThrow(
      new InputError('prefix: the options cannot be used:', [
        'virtualTokens: expected an integer of at least 1, got 0.5',
        'virtualTokens: init has rows for 3 tokens, got 0.5; leave virtualTokens out',
        'reparametrization.hiddenSize: expected an integer of at least 1, got 0',
        'init: the rows of a text cannot be put through a network; leave reparametrization out',
      ]),
    )
  })

  it('rows of another model', async () => {
    const other = await loadModel(goldenPath('bert/odd_sizes'))
    const init = await prefixFromText(other, [3, 4, 5])
    other.dispose()
    expect(() => attach(model, prefix({ init }))).toThrow(`prefix: init has no rows for '${site(0)}' of this model`)
  })

  it('a text outside the vocabulary', async () => {
    await expect(prefixFromText(model, [3, 99])).rejects.toThrow("ids: expected token ids below 37, as this model's own tokenizer gives them; got ids[1] = 99")
  })

  it('to merge it', () => {
    expect(() => merge(model, attach(model, prefix()))).toThrow(`prefix at '${site(0)}' cannot be folded into a weight.`)
  })

  it('more virtual tokens than the positions leave room for', () => {
    attach(model, prefix({ virtualTokens: 20 }))
    const batch = (length: number): { ids: Int32Array; batch: number; length: number } => ({ ids: new Int32Array(length).fill(5), batch: 1, length })
    tf.tidy(() => { expect(model.forward(batch(4)).shape).toEqual([1, 3]) })
    expect(() => model.forward(batch(5))).toThrow(
      /5 tokens and 20 .* before them, more than the 24 positions of the model; truncate the batch to 4 tokens, or take fewer/,
    )
  })

  it('as many virtual tokens as there are positions', () => {
    expect(() => attach(model, prefix({ virtualTokens: 24 }))).toThrow(
      new InputError('prefix: virtualTokens: expected fewer than the 24 positions of the model, so that a text has room, got 24.'),
    )
  })

  it('a file of another model', async () => {
    const folder = temporary('other')
    await cp(goldenPath('prefix/direct/adapter'), folder, { recursive: true })
    const path = join(folder, 'adapter_config.json')
    const json = JSON.parse(await readFile(path, 'utf8')) as object
    await writeFile(path, JSON.stringify({ ...json, num_virtual_tokens: 5 }))
    await expect(loadAdapter(model, folder)).rejects.toThrow(
      new CheckpointError('prompt_embeddings: expected [5, 192] (virtual tokens, layers × 2 × width), the file has [4, 192]; was it made for another model?'),
    )
    await writeFile(path, JSON.stringify({ ...json, num_virtual_tokens: null, num_transformer_submodules: 2 }))
    await expect(loadAdapter(model, folder)).rejects.toThrow(
      new CheckpointError(`${path} cannot be used as a prefix:`, [
        'num_transformer_submodules: expected 1, got 2, which is not supported; it is of an encoder-decoder model',
        'num_virtual_tokens: expected an integer of at least 1, got none',
      ]),
    )
  })
})
