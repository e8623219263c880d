import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import { createModel } from '../../../src/base/checkpoint/create.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { InputError } from '../../../src/errors.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const GPT2 = { model_type: 'gpt2', vocab_size: 400, n_positions: 32, n_embd: 64, n_layer: 4, n_head: 4, initializer_range: 0.03 }
const LLAMA = {
  model_type: 'llama', vocab_size: 100, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 4,
  num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5, tie_word_embeddings: false,
}
const temporary = temporaryFolder()
const batch = { ids: Int32Array.from({ length: 16 }, (_, i) => (i * 13) % 100), batch: 2, length: 8 }

beforeAll(loadEngine)

function values(model: Model, name: string): Float32Array {
  return valuesOf(model.parts.params.get(name) as FrozenWeight)
}

function deviation(numbers: Float32Array): number {
  return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length)
}

describe('createModel', () => {
  it("draws GPT-2's weights as transformers does: projections into the residual stream smaller by the root of their number", async () => {
    const model = await createModel(GPT2)
    expect(deviation(values(model, 'transformer.wte.weight'))).toBeCloseTo(0.03, 3)
    expect(deviation(values(model, 'transformer.h.2.attn.c_attn.weight'))).toBeCloseTo(0.03, 3)
    expect(deviation(values(model, 'transformer.h.2.attn.c_proj.weight'))).toBeCloseTo(0.03 / Math.sqrt(8), 3)
    expect(deviation(values(model, 'transformer.h.3.mlp.c_proj.weight'))).toBeCloseTo(0.03 / Math.sqrt(8), 3)
    expect(new Set(values(model, 'transformer.h.0.mlp.c_fc.bias'))).toEqual(new Set([0]))
    expect(new Set(values(model, 'transformer.ln_f.weight'))).toEqual(new Set([1]))
    model.dispose()
  })

  it('draws all projections of other families alike', async () => {
    const model = await createModel(LLAMA)
    expect(deviation(values(model, 'model.layers.1.mlp.down_proj.weight'))).toBeCloseTo(0.02, 3)
    expect(values(model, 'lm_head.weight')).toHaveLength(6400)
    model.dispose()
  })

  it('makes the same model of the same seed, and another one of another', async () => {
    const [one, same, other] = [await createModel(GPT2, { seed: 1 }), await createModel(GPT2, { seed: 1 }), await createModel(GPT2, { seed: 2 })]
    const name = 'transformer.h.0.attn.c_attn.weight'
    expect(values(same, name)).toEqual(values(one, name))
    expect(values(other, name)).not.toEqual(values(one, name))
    for (const model of [one, same, other]) model.dispose()
  })

  it.for([['gpt2', GPT2], ['llama', LLAMA]] as const)('saves a %s as a checkpoint that loads and computes the same', async ([name, config]) => {
    const model = await createModel(config)
    const before = model.forward(batch).dataSync()
    await model.save(temporary(name))
    const loaded = await loadModel(temporary(name), { task: 'causal-lm' })
    expect(loaded.forward(batch).dataSync()).toEqual(before)
    for (const each of [model, loaded]) each.dispose()
  })

  it('guesses every token alike before any training', async () => {
    const model = await createModel(GPT2)
    expect(model.loss({ ...batch, labels: batch.ids }).dataSync()[0]).toBeCloseTo(Math.log(400), 0)
    model.dispose()
  })

  it('has everything to train, and gives its memory back', async () => {
    const before = tf.memory().numTensors
    const model = await createModel(GPT2)
    const adapter = attach(model, fullFineTuning())
    expect(Object.keys(adapter.trainable)).toEqual([...model.parts.params.keys()])
    detach(adapter)
    model.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('says what a configuration lacks', async () => {
    await expect(createModel({ ...GPT2, n_embd: undefined })).rejects.toThrow('n_embd')
    await expect(createModel(GPT2, { task: 'masked-lm' })).rejects.toThrow(InputError)
  })
})
