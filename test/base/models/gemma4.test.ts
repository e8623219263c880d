// What Gemma 4 has that other decoders have not.

import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ConfigJson } from '../../../src/base/architecture.ts'
import { fromFloat32, toFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import type { Model } from '../../../src/base/model.ts'
import { architectureOf } from '../../../src/base/models/auto.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { growVocabulary } from '../../../src/grow-vocabulary.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { lora } from '../../../src/lora/lora.ts'
import { prefix } from '../../../src/prefix/prefix.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { writeTokenizer } from '../../grown.ts'
import { closeModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'
import { rewritten } from '../../ties.ts'

const SOURCE = 'relatives/gemma4_text_causal_lm'
const task = 'causal-lm' as const
const temporary = temporaryFolder()
const open: Model[] = []
let tensors = 0

beforeEach(async () => {
  await loadEngine()
  tensors = tf.memory().numTensors
})
afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
  expect(tf.memory().numTensors).toBe(tensors)
})

const load = async (folder: string): Promise<Model> => {
  const model = await loadModel(folder, { task })
  open.push(model)
  return model
}
const logits = (model: Model, ids: readonly number[]): Float32Array =>
  tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(ids), batch: 1, length: ids.length })))

it('takes sizes of heads by number of the layer, with zeros before it or not, and by kind of layer, as older files have them', async () => {
  const ids = [4, 9, 11, 3, 7]
  const expected = logits(await load(goldenPath(SOURCE)), ids)
  const spellings = [
    { per_layer_config: { '01': { head_dim: 8 }, '03': { head_dim: 8 } } },
    { per_layer_config: undefined, global_head_dim: 8, num_global_key_value_heads: null },
  ]
  for (const [i, spelling] of spellings.entries()) {
    expect(logits(await load(await rewritten(SOURCE, temporary(`spelling-${i}`), () => undefined, spelling)), ids)).toEqual(expected)
  }
})

it('leaves unread what files have of keys and values of layers that take those of others', async () => {
  const folder = await rewritten(SOURCE, temporary('spare'), (all) => {
    for (const name of ['k_proj', 'v_proj']) all.set(`model.layers.3.self_attn.${name}.weight`, { shape: [8, 16], data: new Float32Array(128) })
    all.set('model.layers.3.self_attn.k_norm.weight', { shape: [8], data: new Float32Array(8) })
  })
  expect((await load(folder)).parts.ignored.map((key) => key.split('.').slice(2).join('.'))).toEqual(['3.self_attn.k_norm.weight', '3.self_attn.k_proj.weight', '3.self_attn.v_proj.weight'])
})

it('computes with a prefix of HF PEFT what PEFT does: it reaches layers that take keys and values of others by those', async () => {
  const golden = await readGolden('relatives/gemma4_text_prefix/golden.safetensors')
  const model = await load(goldenPath(SOURCE))
  const adapter = await loadAdapter(model, goldenPath('relatives/gemma4_text_prefix/adapter'))
  const batch = golden.batch('input_ids', 'attention_mask')
  const [ours, theirs] = [tf.tidy(() => valuesOf(model.forward(batch))), golden.numbers('logits')]
  const real = (values: ArrayLike<number>): Float32Array => Float32Array.from(values).filter((_, i) => batch.mask?.[Math.floor(i / 29)] === 1)
  expect(largestDifference(real(ours), real(theirs)) / Math.max(...real(theirs).map(Math.abs))).toBeLessThan(1e-5)
  await adapter.save(temporary('prefix'))
  detach(adapter)
  await loadAdapter(model, temporary('prefix'))
  expect(tf.tidy(() => valuesOf(model.forward(batch)))).toEqual(ours)
})

it.each([SOURCE, 'relatives/gemma4_experts_causal_lm'])('%s held in bfloat16 computes as float32 with the rounded weights, its gradients too', async (path) => {
  const folder = await rewritten(path, temporary(`rounded-${path.replace('/', '-')}`), (all) => {
    for (const [name, { shape, data }] of all) if (shape.length > 1) all.set(name, { shape, data: toFloat32({ dtype: 'BF16', shape, data: fromFloat32(data, 'BF16') }) })
  })
  const batch = { ids: Int32Array.of(4, 9, 11, 3, 7), labels: Int32Array.of(4, 9, 11, 3, 7), batch: 1, length: 5 }
  const [exact, held] = await Promise.all((['float32', 'bfloat16'] as const).map(async (dtype) => {
    const model = await loadModel(folder, { task, dtype })
    open.push(model)
    const { trainable } = attach(model, lora({ rank: 2, init: 'gaussian' }), { seed: 1 })
    const { value, grads } = valueAndGrads(() => model.loss(batch), trainable)
    const numbers = [value, ...Object.values(grads)].flatMap((tensor) => [...valuesOf(tensor)])
    tf.dispose([value, ...Object.values(grads)])
    return Float32Array.from(numbers)
  }))
  const [a = new Float32Array(), b = new Float32Array()] = [exact, held]
  expect(largestDifference(a, b) / Math.max(...a.map(Math.abs))).toBeLessThan(0.05) // activations are rounded on their way into products
})

it('refuses to save a prefix that PEFT would leave out of some layers', async () => {
  const model = await load(goldenPath('relatives/gemma4_experts_causal_lm'))
  const adapter = attach(model, prefix({ virtualTokens: 2 }))
  await expect(adapter.save(temporary('narrow'))).rejects.toThrow(
    "HF PEFT's files of a prefix have no place for 'model.layers.0.self_attn' of this model: it has 2 heads of keys, and the layers with the largest heads, of 8, have 1.")
})

it('grows the table of what layers are told with the vocabulary', async () => {
  const folder = await rewritten(SOURCE, temporary('words'), () => undefined)
  await writeTokenizer(folder, 29)
  const model = await load(folder)
  const { model: grown, ids: [id = 0] } = growVocabulary(model, await loadTokenizer(folder), ['new'])
  open.push(grown)
  expect(logits(grown, [5, 7, 2]).filter((_, i) => i % 30 < 29)).toEqual(logits(model, [5, 7, 2]))
  const expected = logits(grown, [5, id, 2])
  await grown.save(temporary('grown'))
  const config = JSON.parse(await readFile(temporary('grown', 'config.json'), 'utf8')) as ConfigJson
  expect([config['vocab_size'], config['vocab_size_per_layer_input']]).toEqual([30, 30])
  expect(logits(await load(temporary('grown')), [5, id, 2])).toEqual(expected)
})

it('names everything that is wrong with its settings', async () => {
  const json = JSON.parse(await readFile(goldenPath(`${SOURCE}/config.json`), 'utf8')) as ConfigJson
  const problems = (settings: ConfigJson): readonly string[] => {
    try {
      architectureOf({ ...json, ...settings })
    } catch (error) {
      return (error as CheckpointError).problems
    }
    return []
  }
  expect(problems({ use_bidirectional_attention: 'vision' })).toEqual([])
  expect(problems({ use_bidirectional_attention: 'all', vocab_size_per_layer_input: 28, enable_moe_block: true })).toEqual([
    'use_bidirectional_attention: expected "vision", got "all", which is not supported',
    'vocab_size_per_layer_input: expected at least vocab_size (29), got 28',
    'num_experts: expected an integer of at least 1 and of at most 16777216, got none',
    'top_k_experts: expected an integer of at least 1 and of at most 16777216, got none',
    'moe_intermediate_size: expected an integer of at least 1 and of at most 16777216, got none',
  ])
  expect(problems({ rope_parameters: { rope_type: 'default', rope_theta: 100 } })).toEqual(['rope_parameters: expected full_attention and sliding_attention, each with settings of its own'])
  expect(problems({ num_kv_shared_layers: 3 })).toEqual(['num_kv_shared_layers: expected a layer below the last 3 for each kind of layer among them to take keys from, layer 1 has none'])
  expect(problems({ per_layer_config: { 3: { head_dim: 8 } } })).toEqual(['per_layer_config: expected layers of one kind in layer_types with the same heads, layer 3 has others than layer 1'])
  expect(problems({ per_layer_config: { 1: { head_dim: 8, hidden_size: 3 }, 3: { head_dim: 8 }, 7: {} } })).toEqual([
    'per_layer_config.1.hidden_size: expected none, got 3, which is not supported',
    'per_layer_config: expected numbers of layers below 4, got "7"',
  ])
})
