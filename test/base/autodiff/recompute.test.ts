import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../../src/base/adapter/attached.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { createModel } from '../../../src/base/checkpoint/create.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import type { Model } from '../../../src/base/model.ts'
import { lora } from '../../../src/lora/lora.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { valuesOf } from '../../golden.ts'

const IDS = Int32Array.from({ length: 24 }, (_, i) => (i * 13) % 100)
/** The second row is padded. */
const MASK = Int32Array.from(IDS, (_, i) => (i < 18 ? 1 : 0))
const LAYERS = 8
const MODELS: Readonly<Record<string, { readonly create: () => Promise<Model>; readonly batch: Batch }>> = {
  'an encoder': {
    create: () => createModel(
      { model_type: 'bert', vocab_size: 100, hidden_size: 32, num_hidden_layers: LAYERS, num_attention_heads: 4, intermediate_size: 64, max_position_embeddings: 32 },
      { task: 'sequence-classification', labels: ['a', 'b'] },
    ),
    batch: { ids: IDS, mask: MASK, labels: Int32Array.of(1, 0), batch: 2, length: 12 },
  },
  'a decoder': {
    create: () => createModel({ model_type: 'gpt2', vocab_size: 100, n_positions: 32, n_embd: 32, n_layer: LAYERS, n_head: 4 }),
    batch: { ids: IDS, mask: MASK, labels: IDS, batch: 2, length: 12 },
  },
  'a decoder with rotary positions': {
    create: () => createModel({
      model_type: 'llama', vocab_size: 100, hidden_size: 32, intermediate_size: 48, num_hidden_layers: LAYERS, num_attention_heads: 4,
      num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5,
    }),
    batch: { ids: IDS, mask: MASK, labels: IDS, batch: 2, length: 12 },
  },
}

let model: Model

beforeAll(loadEngine)
afterEach(() => {
  for (const adapter of adaptersOf(model)) detach(adapter)
  model.dispose()
})

/** Loss and gradients of everything attached, one after the other. */
function gradients(batch: Batch, options: { readonly gradientCheckpointing: boolean; readonly training?: boolean; readonly seed?: number }): Record<string, Float32Array> {
  const trainable = Object.assign({}, ...adaptersOf(model).map((adapter) => adapter.trainable)) as Parameters<typeof valueAndGrads>[1]
  const { value, grads } = valueAndGrads(() => model.loss(batch, options), trainable)
  const all: Readonly<Record<string, Tensor>> = { loss: value, ...grads }
  const result = Object.fromEntries(Object.entries(all).map(([name, tensor]) => [name, valuesOf(tensor)]))
  tf.dispose([value, ...Object.values(grads)])
  return result
}

describe.for(Object.entries(MODELS))('layers of %s with gradient checkpointing', ([, { create, batch }]) => {
  it('give bit for bit the same loss and gradients, under dropout too, and leave no tensor', async () => {
    model = await create()
    attach(model, lora({ rank: 4, dropout: 0.2 }))
    moveAll()
    const before = tf.memory().numTensors
    for (const options of [{}, { training: true, seed: 1 }]) {
      expect(gradients(batch, { ...options, gradientCheckpointing: true })).toEqual(gradients(batch, { ...options, gradientCheckpointing: false }))
    }
    expect(gradients(batch, { training: true, seed: 2, gradientCheckpointing: true })).not.toEqual(gradients(batch, { training: true, seed: 1, gradientCheckpointing: true }))
    expect(tf.memory().numTensors).toBe(before)
  })

  it('pass gradients through to what comes before them, and stop where nothing is trained', async () => {
    model = await create()
    const before = attach(model, prompt({ virtualTokens: 3 }), { name: 'before' })
    attach(model, lora({ rank: 4, layers: [2] }), { name: 'inside', train: [] })
    moveAll()
    const plain = gradients(batch, { gradientCheckpointing: false })
    expect(gradients(batch, { gradientCheckpointing: true })).toEqual(plain)
    detach(before)
    expect(gradients(batch, { gradientCheckpointing: true })).toEqual(gradients(batch, { gradientCheckpointing: false }))
  })

  it('keep one tensor each for the backward pass, the last all it needs', async () => {
    model = await create()
    attach(model, lora({ rank: 4 }))
    const held = (recompute: boolean): number => {
      let count = 0
      const { value, grads } = valueAndGrads(() => {
        const before = tf.memory().numTensors
        const loss = model.loss(batch, { training: true, gradientCheckpointing: recompute })
        count = tf.memory().numTensors - before
        return loss
      }, adaptersOf(model)[0]?.trainable ?? {})
      tf.dispose([value, ...Object.values(grads)])
      return count
    }
    // the input of each layer but the last; what layers share, and the head, keep the rest
    const all = held(false)
    expect(held(true)).toBeLessThan(LAYERS - 1 + all / LAYERS + 16)
    expect(all).toBeGreaterThan(3 * held(true))
  })

  it('are free of tensors also when the loss fails', async () => {
    model = await create()
    const adapter = attach(model, lora({ rank: 4 }))
    const before = tf.memory().numTensors
    expect(() => valueAndGrads(() => {
      model.loss(batch, { gradientCheckpointing: true })
      throw new Error('no')
    }, adapter.trainable)).toThrow('no')
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('trains to the same weights', async () => {
  const { create } = MODELS['a decoder'] as { create: () => Promise<Model> }
  const weights: Float32Array[][] = []
  for (const recompute of [false, true]) {
    model = await create()
    const adapter = attach(model, lora({ rank: 4, dropout: 0.1 }))
    await new Trainer({ model, train: { ids: [[1, 2, 3], [4, 5, 6, 7], [8, 9]] }, batchSize: 2, epochs: 2, gradientCheckpointing: recompute }).fit()
    weights.push(Object.values(adapter.trainable).map((variable) => valuesOf(variable)))
    if (recompute) continue
    detach(adapter)
    model.dispose()
  }
  expect(weights[1]).toEqual(weights[0])
})

/** Away from the start, where B is 0 and the gradients of A with it. */
function moveAll(): void {
  for (const { trainable } of adaptersOf(model)) {
    for (const variable of Object.values(trainable)) tf.tidy(() => variable.assign(tf.add(variable, tf.mul(tf.sin(tf.reshape(tf.range(0, variable.size), variable.shape)), 0.05))))
  }
}
