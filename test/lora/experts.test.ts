// LoRA on stacks of experts: PEFT's target_parameters. Its numbers are held against PEFT's in test/base/models/decoders.test.ts.

import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { openCheckpoint } from '../../src/base/checkpoint/checkpoint.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { normal, randomStream } from '../../src/base/random.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { dora } from '../../src/lora/dora.ts'
import { lora } from '../../src/lora/lora.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()

const BATCH = { ids: Int32Array.from({ length: 12 }, (_, i) => 1 + ((i * 7) % 28)), batch: 2, length: 6 }
const logitsOf = (model: Model): Float32Array => tf.tidy(() => valuesOf(model.forward(BATCH)))
const modelOf = (type: string): Promise<Model> => loadModel(goldenPath(`relatives/${type}_causal_lm`), { task: 'causal-lm' })

describe.each(['mixtral', 'gpt_oss'])('%s', (type) => {
  it('goes into files as PEFT writes them, key for key and bit for bit', async () => {
    const model = await modelOf(type)
    const folder = goldenPath(`relatives/${type}_lora/adapter`)
    const adapter = await loadAdapter(model, folder)
    expect(adapter.origin.warnings).toEqual([])
    const saved = temporary(`${type}-saved`)
    await adapter.save(saved)
    const [before, after] = [await openCheckpoint(`${folder}/adapter_model.safetensors`), await openCheckpoint(`${saved}/adapter_model.safetensors`)]
    expect([...after.entries.keys()].sort()).toEqual([...before.entries.keys()].sort())
    for (const name of before.entries.keys()) expect(await after.read(name)).toEqual(await before.read(name))
    const config = JSON.parse(await readFile(`${saved}/adapter_config.json`, 'utf8')) as Record<string, string[]>
    expect([...(config['target_modules'] ?? [])].sort()).toEqual(['o_proj', 'q_proj', 'v_proj'])
    expect([...(config['target_parameters'] ?? [])].sort()).toEqual(type === 'mixtral' ? ['down_proj', 'gate.weight', 'gate_up_proj'] : ['down_proj'])
    const expected = logitsOf(model)
    model.dispose()
    const again = await modelOf(type)
    await loadAdapter(again, saved)
    expect(logitsOf(again)).toEqual(expected)
    await Promise.all([before.close(), after.close()])
    again.dispose()
  })

  it('starts equal to the base, changes what it gives when its tensors do, and merges into the stacks', async () => {
    const model = await modelOf(type)
    const base = logitsOf(model)
    const adapter = attach(model, lora({ rank: 2, targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }))
    expect(Object.keys(adapter.trainable)).toHaveLength(8)
    expect(logitsOf(model)).toEqual(base)
    for (const [name, variable] of Object.entries(adapter.trainable)) {
      tf.tidy(() => { variable.assign(tf.tensor(normal(randomStream(1, name), variable.size, 0, 0.2), variable.shape)) })
    }
    const adapted = logitsOf(model)
    expect(largestDifference(adapted, base)).toBeGreaterThan(0.1)
    const merged = merge(model, adapter)
    expect(largestDifference(logitsOf(merged), adapted)).toBeLessThan(1e-4)
    for (const each of [merged, model]) each.dispose()
  })
})

it('says what it does not do, and which stacks there are', async () => {
  const model = await modelOf('mixtral')
  expect(() => attach(model, lora({ targetParameters: ['experts.up_proj'] }))).toThrow("'experts.up_proj'; the model has experts.gate_up_proj, experts.down_proj")
  expect(() => attach(model, lora({ dropout: 0.1, init: 'pissa', targetParameters: ['down_proj'] }))).toThrow(/dropout: expected 0, got 0.1[^]*init: expected 'kaiming' or 'gaussian'/)
  expect(() => dora({ targetParameters: ['down_proj'] })).toThrow('dora: targetParameters: expected none')
  model.dispose()
})

it('writes the modules of a text by their names, which PEFT would take for those of every layer beside experts', async () => {
  const model = await modelOf('mixtral')
  const folder = temporary('text')
  await attach(model, lora({ targets: String.raw`.*\.layers\.0\..*q_proj` })).save(folder)
  model.dispose()
  const { target_modules: names } = JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as Record<string, unknown>
  expect(names).toEqual(['0.self_attn.q_proj'])
})

it('writes layers without experts, beside experts, by their parameters: PEFT would take their names for those of the experts', async () => {
  const config = {
    model_type: 'qwen3_moe', vocab_size: 29, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 6, intermediate_size: 20,
    moe_intermediate_size: 6, num_experts: 3, num_experts_per_tok: 2, mlp_only_layers: [1], max_position_embeddings: 32,
  }
  const model = await createModel(config, { task: 'causal-lm', seed: 3 })
  const folder = temporary('dense')
  const adapter = attach(model, lora({ rank: 2, targets: ['q_proj', 'gate_proj', 'down_proj'] }))
  for (const [name, variable] of Object.entries(adapter.trainable)) {
    tf.tidy(() => { variable.assign(tf.tensor(normal(randomStream(1, name), variable.size, 0, 0.2), variable.shape)) })
  }
  await adapter.save(folder)
  const expected = logitsOf(model)
  detach(adapter)
  expect(JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8'))).toMatchObject({ target_modules: ['q_proj'], target_parameters: ['gate_proj.weight', 'down_proj.weight'] })
  await loadAdapter(model, folder)
  expect(logitsOf(model)).toEqual(expected)
  model.dispose()
})
