// A model small enough to compute by hand: one layer of zeros, so that logits = head · rmsnorm(embedding).

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach, disable } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { writeSafetensors, openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { combine } from '../../src/manage/combine.ts'
import { interpolate } from '../../src/forgetting/interpolate-adapter.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { valuesOf } from '../golden.ts'
import { closeModel } from '../manage/models.ts'

const temporary = temporaryFolder()
const open: Model[] = []
let folders = 0

afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

type Rows = readonly (readonly number[])[]
const E: Rows = [[1, 0], [0, 1], [1, 1], [1, -1]]
const H: Rows = [[2, 0], [0, 3], [1, 2], [0, 1]]
const MOVED: Rows = E.map((row) => row.map((value) => 2 * value + 1))
const BASE = [1, 1, 2, 0]

async function write(file: string, tensors: Readonly<Record<string, Rows | readonly number[]>>): Promise<void> {
  const listed = Object.entries(tensors).map(([name, rows]) => {
    const [first] = rows
    const shape = typeof first === 'number' ? [rows.length] : [rows.length, first?.length ?? 0]
    return { name, dtype: 'F32' as const, shape, data: Float32Array.from(rows.flatMap((row) => row)) }
  })
  await writeSafetensors(file, listed, { format: 'pt' })
}

/** LLaMA and those that compute as it does, with these tensors of words. */
async function toy(type: string, words: Readonly<Record<string, Rows>>, config: object = {}): Promise<Model> {
  const folder = temporary(`model ${folders++}`)
  await mkdir(folder)
  await writeFile(join(folder, 'config.json'), JSON.stringify({
    model_type: type, vocab_size: 4, hidden_size: 2, intermediate_size: 2, num_hidden_layers: 1, num_attention_heads: 1,
    num_key_value_heads: 1, max_position_embeddings: 16, tie_word_embeddings: true, sliding_window: null, head_dim: 2, ...config,
  }))
  const zeros = [[0, 0], [0, 0]]
  const attention = Object.fromEntries(['q', 'k', 'v', 'o'].map((name) => [`self_attn.${name}_proj.weight`, zeros]))
  const biases = type === 'qwen2' ? Object.fromEntries(['q', 'k', 'v'].map((name) => [`self_attn.${name}_proj.bias`, [0, 0]])) : {}
  const norms = type === 'qwen3' ? { 'self_attn.q_norm.weight': [1, 1], 'self_attn.k_norm.weight': [1, 1] } : {}
  const mlp = Object.fromEntries(['gate', 'up', 'down'].map((name) => [`mlp.${name}_proj.weight`, zeros]))
  const layer = { ...attention, ...biases, ...norms, ...mlp, 'input_layernorm.weight': [1, 1], 'post_attention_layernorm.weight': [1, 1] }
  const tensors = Object.fromEntries(Object.entries(layer).map(([name, rows]) => [`model.layers.0.${name}`, rows]))
  await write(join(folder, 'model.safetensors'), { ...words, 'model.norm.weight': [1, 1], ...tensors })
  const model = await loadModel(folder, { task: 'causal-lm' })
  open.push(model)
  return model
}

const tied = (type = 'llama'): Promise<Model> => toy(type, { 'model.embed_tokens.weight': E })

/** A LoRA of zeros at q_proj, with what is given besides. */
async function adapterFile(tensors: Readonly<Record<string, Rows>>, settings: object = {}, plain = true): Promise<string> {
  const folder = temporary(`adapter ${folders++}`)
  await mkdir(folder)
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({
    peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 1, lora_alpha: 1, target_modules: ['q_proj'], bias: 'none', ...settings,
  }))
  const zero = { 'model.layers.0.self_attn.q_proj.lora_A.weight': [[0, 0]], 'model.layers.0.self_attn.q_proj.lora_B.weight': [[0], [0]] }
  const all = { ...(plain ? zero : {}), ...tensors }
  await write(join(folder, 'adapter_model.safetensors'), Object.fromEntries(Object.entries(all).map(([name, rows]) => [`base_model.model.${name}`, rows])))
  return folder
}

function logits(model: Model, id = 2): number[] {
  return tf.tidy(() => [...valuesOf(model.forward({ ids: Int32Array.of(id), batch: 1, length: 1 }))])
}

function expectLogits(model: Model, expected: readonly number[], id = 2): void {
  const found = logits(model, id)
  expect(found).toHaveLength(expected.length)
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i] ?? NaN, 4))
}

describe.each(['llama', 'mistral', 'qwen2', 'qwen3'])('the head of %s', (type) => {
  it('is what the file says', async () => {
    expectLogits(await toy(type, { 'model.embed_tokens.weight': E, 'lm_head.weight': H }), [2, 3, 3, 1])
    expectLogits(await toy(type, { 'lm_head.weight': E }), BASE)
    expectLogits(await toy(type, { 'model.embed_tokens.weight': E, 'lm_head.weight': E }), BASE)
  })

  it('moves as PEFT moves it', async () => {
    const model = await tied(type)
    const cases: readonly (readonly [Readonly<Record<string, Rows>>, object, readonly number[]])[] = [
      [{ 'model.embed_tokens.weight': MOVED }, { modules_to_save: ['embed_tokens'] }, BASE],
      [{ 'model.embed_tokens.weight': MOVED, 'lm_head.weight': H }, { modules_to_save: ['embed_tokens', 'lm_head'] }, [2, 3, 3, 1]],
      [{ 'model.embed_tokens.weight': MOVED, 'lm_head.weight': MOVED }, { modules_to_save: ['embed_tokens'], ensure_weight_tying: true }, [4, 4, 6, 2]],
      [{ 'lm_head.weight': H }, { modules_to_save: ['lm_head'] }, [2, 3, 3, 1]],
      [{ 'model.embed_tokens.weight': E, 'lm_head.weight': E }, {}, BASE],
      [{ 'model.embed_tokens.weight': [...E, [3, 4]], 'lm_head.weight': [...E, [3, 4]] }, {}, [...BASE, 7]],
      [{ 'model.embed_tokens.weight': [...E, [3, 4]], 'lm_head.weight': [...H, [1, 1]] }, { modules_to_save: ['lm_head'], ensure_weight_tying: true }, [2, 3, 3, 1, 2]],
      [{ 'model.embed_tokens.weight': E.slice(0, 3), 'lm_head.weight': E.slice(0, 3) }, {}, [1, 1, 2]],
    ]
    for (const [tensors, settings, expected] of cases) {
      const adapter = await loadAdapter(model, await adapterFile(tensors, settings))
      expectLogits(model, expected)
      const merged = merge(model, adapter)
      expectLogits(merged, expected)
      merged.dispose()
      detach(adapter)
      expectLogits(model, BASE)
    }
  })
})

const TIED_LORA = {
  'model.embed_tokens.base_layer.weight': E, 'model.embed_tokens.lora_embedding_A': [[0, 0, 1, 0]], 'model.embed_tokens.lora_embedding_B': [[1], [0]],
  'lm_head.base_layer.weight': E, 'lm_head.lora_A.weight': [[1, 0]], 'lm_head.lora_B.weight': [[0], [0], [1], [0]],
}

describe('a LoRA that keeps table and head one', () => {
  it('moves both by one pair, and stays one when it is trained, merged and saved', async () => {
    const model = await tied()
    const settings = { target_modules: ['embed_tokens'], ensure_weight_tying: true }
    const adapter = await loadAdapter(model, await adapterFile(TIED_LORA, settings, false))
    const expected = [1.2649, 0.6325, 3.1623, 0.6325]
    expectLogits(model, expected)
    expect(Object.keys(adapter.trainable)).toEqual(['model.embed_tokens.A', 'model.embed_tokens.B'])
    const { grads, value } = valueAndGrads(
      () => model.loss({ ids: Int32Array.of(2, 1, 3), labels: Int32Array.of(2, 1, 3), batch: 1, length: 3 }), adapter.trainable)
    // By differences: the loss on both sides of each tensor's first value that moves both places.
    for (const [name, variable] of Object.entries(adapter.trainable)) {
      const before = valuesOf(variable).slice()
      const at = before.findIndex((each) => each !== 0)
      const lossWith = (step: number): number => {
        const moved = before.slice()
        moved[at] = (moved[at] ?? 0) + step
        tf.tidy(() => variable.assign(tf.tensor(moved, variable.shape)))
        return tf.tidy(() => model.loss({ ids: Int32Array.of(2, 1, 3), labels: Int32Array.of(2, 1, 3), batch: 1, length: 3 }).dataSync()[0] ?? NaN)
      }
      const slope = (lossWith(1e-2) - lossWith(-1e-2)) / 2e-2
      tf.tidy(() => variable.assign(tf.tensor(before, variable.shape)))
      expect(valuesOf(grads[name] as tf.Tensor)[at]).toBeCloseTo(slope, 3)
    }
    tf.dispose([value, grads])
    const merged = merge(model, adapter)
    expectLogits(merged, expected)
    expect([merged.parts.ties.size, merged.parts.notes]).toEqual([1, []])
    merged.dispose()
    await adapter.save(temporary('tied lora'))
    detach(adapter)
    await loadAdapter(model, temporary('tied lora'))
    expectLogits(model, expected)
  })

  it('is had by an option, whichever of the two is named', async () => {
    const model = await tied()
    for (const target of ['embed_tokens', 'lm_head']) {
      const adapter = attach(model, lora({ targets: [target], rank: 1, ensureWeightTying: true }))
      expect(Object.keys(adapter.trainable)).toEqual(['model.embed_tokens.A', 'model.embed_tokens.B'])
      detach(adapter)
    }
    expect(() => attach(model, lora({ targets: ['lm_head'], rank: 1, ensureWeightTying: true, init: 'pissa' }))).toThrow(
      "lora: ensureWeightTying: expected init 'kaiming' or 'gaussian' beside it where 'model.embed_tokens' and 'lm_head' are one tensor, got \"pissa\". " +
        'Start them plainly, or let each have its own update.')
  })

  it('needs one scale for both', async () => {
    const model = await tied()
    expect(() => attach(model, lora({ targets: ['lm_head'], rank: 1, alphaPattern: { lm_head: 3 }, ensureWeightTying: true }))).toThrow(
      "lora: ensureWeightTying: rankPattern and alphaPattern give 'lm_head' and 'model.embed_tokens' different scales; name both in them, or neither.")
  })

  it('merges behind an adapter that has parted the two', async () => {
    const model = await tied()
    await loadAdapter(model, await adapterFile({ 'lm_head.weight': H }, { modules_to_save: ['lm_head'] }), { name: 'a' })
    await loadAdapter(model, await adapterFile(TIED_LORA, { target_modules: ['embed_tokens'], ensure_weight_tying: true }, false), { name: 'b' })
    const expected = logits(model)
    const merged = merge(model, adaptersOf(model))
    expectLogits(merged, expected)
    merged.dispose()
  })

  it('cannot be combined', async () => {
    const model = await tied()
    await loadAdapter(model, await adapterFile(TIED_LORA, { target_modules: ['embed_tokens'], ensure_weight_tying: true }, false), { name: 'a' })
    expect(() => combine(model, [{ adapter: 'a' }], { kind: 'cat', name: 'b' })).toThrow(
      "combine: these cannot be combined:\n  - 'a' ties the updates of table and head (ensureWeightTying), which a combination does not",
    )
  })
})

describe('tables in an adapter\'s file', () => {
  it('are trained here as one tensor and written as two', async () => {
    const model = await tied()
    const adapter = attach(model, lora({ targets: ['q_proj'], rank: 1 }), { train: ['embed_tokens'] })
    tf.tidy(() => adapter.trainable['model.embed_tokens.weight']?.assign(tf.tensor(MOVED.flat(), [4, 2])))
    expectLogits(model, [4, 4, 6, 2])
    await adapter.save(temporary('trained'))
    const file = await openSafetensors(join(temporary('trained'), 'adapter_model.safetensors'))
    expect([...file.entries.keys()]).toEqual(expect.arrayContaining(['base_model.model.model.embed_tokens.weight', 'base_model.model.lm_head.weight']))
    await file.close()
  })

  it('let the words of a resized vocabulary in while the adapter is enabled', async () => {
    const model = await tied()
    const grown = { 'model.embed_tokens.weight': [...E, [3, 4]], 'lm_head.weight': [...E, [3, 4]] }
    const adapter = await loadAdapter(model, await adapterFile(grown), { name: 'a' })
    const norm = Math.sqrt(12.5)
    expectLogits(model, [3, 4, 7, -1, 25].map((value) => value / norm), 4)
    expect(() => interpolate(adapter, 0.5, { name: 'b' })).toThrow('it has 5 words and the base 4: there is nothing between the two; merge it')
    expect(() => combine(model, [{ adapter: 'a' }], { kind: 'cat', name: 'b' })).toThrow(
      "'a' has 5 words and the model 4; merge it and attach the others to the merged model")
    disable(adapter)
    expect(() => logits(model, 4)).toThrow('ids: expected token ids below 4')
    const merged = merge(model, adapter)
    expectLogits(merged, [3, 4, 7, -1, 25].map((value) => value / norm), 4)
    await merged.save(temporary('grown'))
    merged.dispose()
    const again = await loadModel(temporary('grown'), { task: 'causal-lm' })
    open.push(again)
    expect(again.parts.architecture.text?.vocabSize).toBe(5)
    expectLogits(again, [3, 4, 7, -1, 25].map((value) => value / norm), 4)
  })

  it('are refused where they are not the model\'s, do not agree, or are not all there', async () => {
    const model = await tied()
    const refused = async (tensors: Readonly<Record<string, Rows>>, settings: object, message: string): Promise<void> => {
      await expect(loadAdapter(model, await adapterFile(tensors, settings))).rejects.toThrow(`The adapter does not fit the model:\n  - ${message}`)
    }
    await refused({ 'model.embed_tokens.weight': MOVED }, {}, "unexpected: model.embed_tokens.weight, which is not the model's own: the adapter was made for another base")
    await refused({ 'model.embed_tokens.weight': MOVED, 'lm_head.weight': H }, { modules_to_save: ['embed_tokens'], ensure_weight_tying: true },
      'lm_head.weight and model.embed_tokens.weight are one tensor (ensure_weight_tying), but differ in the file')
    await refused({ 'model.embed_tokens.weight': [...E, [3, 4]], 'lm_head.weight': [...E, [3, 5]] }, {},
      'model.embed_tokens.weight: the file has another model.embed_tokens.weight too, and the two are one tensor')
    await refused({ 'model.embed_tokens.weight': [...E, [3, 4]] }, { modules_to_save: ['embed_tokens'] },
      'lm_head.weight: the adapter has 5 words and the model 4, and this is not in the file; save it in PEFT with ' +
        'save_pretrained(…, save_embedding_layers=True)')
  })

})
