// Files that MLX made, and what it reads in them: test/golden/make_mlx.py.

import { cp, readFile, writeFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { openSafetensors, writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import type { Model } from '../../../src/base/model.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []
afterEach(() => { for (const model of open.splice(0)) model.dispose() })

async function load(folder: string, options: Parameters<typeof loadModel>[1] = {}): Promise<Model> {
  const model = await loadModel(folder, { task: 'causal-lm', ...options })
  open.push(model)
  return model
}

const IDS = Int32Array.from({ length: 20 }, (_, i) => 1 + (i * 5) % 36)
const BATCH = { ids: IDS, batch: 2, length: 10, labels: IDS }
const logits = (model: Model): Float32Array => tf.tidy(() => valuesOf(model.forward(BATCH)))

describe.each(['llama_4bit', 'llama_8bit'])('a checkpoint that MLX has quantised, %s', (name) => {
  const folder = goldenPath(`mlx/${name}`)

  it('is held as it is, embedding and head too, with the numbers that MLX reads', async () => {
    const golden = await readGolden(`mlx/${name}/golden.safetensors`)
    const model = await load(folder)
    const packed = [...model.parts.params].filter(([, weight]) => weight.packed !== undefined)
    expect(packed.map(([key]) => key.replace(/\.weight$/, '')).sort()).toEqual([...golden.names].sort())
    for (const [key, weight] of packed) {
      expect(weight.kind.name).toBe('affine')
      const expected = Float32Array.from(golden.numbers(key.replace(/\.weight$/, '')))
      expect(largestDifference(tf.tidy(() => valuesOf(weight)), expected), key).toBeLessThan(1e-7) // it may add before it rounds
    }
  })

  it('computes and trains as the same numbers in float32 do', async () => {
    const [model, wide] = [await load(folder), await load(folder, { dtype: 'float32' })]
    expect([...wide.parts.params.values()].every(({ kind }) => kind.name === 'float32')).toBe(true)
    expect(largestDifference(logits(model), logits(wide))).toBeLessThan(1e-4)
    const [gradients, expected] = [model, wide].map((each) => {
      const { trainable } = attach(each, lora({ rank: 2, targets: 'all-linear' }), { seed: 3 })
      const { value, grads } = valueAndGrads(() => each.loss(BATCH), trainable)
      const found = Object.entries(grads).map(([key, grad]) => [key, valuesOf(grad)] as const)
      tf.dispose([value, ...Object.values(grads)])
      return found
    })
    for (const [i, [key, grad]] of (gradients ?? []).entries()) expect(largestDifference(grad, expected?.[i]?.[1] as Float32Array), key).toBeLessThan(1e-5)
  })

  it('is saved in the same format, code by code, and loads again', async () => {
    const model = await load(folder)
    await model.save(temporary(name))
    const [before, after] = await Promise.all([folder, temporary(name)].map((each) => openSafetensors(`${each}/model.safetensors`))) as [Awaited<ReturnType<typeof openSafetensors>>, Awaited<ReturnType<typeof openSafetensors>>]
    for (const [key, { dtype }] of before.entries) if (dtype === 'U32') expect((await after.read(key)).data, key).toEqual((await before.read(key)).data)
    await Promise.all([before.close(), after.close()])
    const { quantization } = JSON.parse(await readFile(temporary(name, 'config.json'), 'utf8')) as { quantization: Record<string, unknown> }
    expect(Object.keys(quantization)).toEqual(['group_size', 'bits', 'mode', 'model.layers.1.mlp.down_proj'])
    expect(logits(await load(temporary(name)))).toEqual(logits(model))
  })

  it('is quantised otherwise on request, unpacked where products are skipped, and merges to float32', async () => {
    const [four, some] = [await load(folder, { dtype: 'nf4' }), await load(folder, { skip: ['down_proj'] })]
    const kindOf = (model: Model, key: string): string | undefined => model.parts.params.get(`model.${key}.weight`)?.kind.name
    expect([kindOf(four, 'layers.0.mlp.up_proj'), kindOf(four, 'embed_tokens')]).toEqual(['nf4', 'float32'])
    expect([kindOf(some, 'layers.0.mlp.up_proj'), kindOf(some, 'layers.0.mlp.down_proj')]).toEqual(['affine', 'float32'])
    const merged = merge(some, attach(some, lora({ rank: 2 })))
    open.push(merged)
    expect(kindOf(merged, 'layers.0.self_attn.q_proj')).toBe('float32')
    expect(largestDifference(logits(merged), logits(some))).toBeLessThan(1e-4)
  })
})

describe('a checkpoint of MLX that cannot be read', () => {
  const MODULE = 'model.layers.0.mlp.up_proj'
  type Tensors = Record<string, { dtype: 'U32' | 'F32'; shape: readonly number[]; data: Uint32Array | Float32Array }>

  async function refusal(change: (tensors: Tensors) => void, settings?: object): Promise<string> {
    const folder = temporary(`damaged-${Math.random()}`)
    await cp(goldenPath('mlx/llama_4bit'), folder, { recursive: true })
    const file = await openSafetensors(`${folder}/model.safetensors`)
    const tensors = Object.fromEntries(await Promise.all([...file.entries.keys()].map(async (key) => [key, await file.read(key)]))) as Tensors
    await file.close()
    change(tensors)
    await writeSafetensors(`${folder}/model.safetensors`, Object.entries(tensors).map(([key, tensor]) => ({ name: key, ...tensor })))
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as object
    if (settings !== undefined) await writeFile(`${folder}/config.json`, JSON.stringify({ ...config, quantization: settings, quantization_config: settings }))
    const count = tf.memory().numTensors
    const said = await load(folder).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(tf.memory().numTensors).toBe(count)
    return said.replaceAll(folder, 'FOLDER')
  }
  const one = (problem: string): string => `FOLDER/model.safetensors: quantised weights that cannot be read:\n  - ${problem}`
  const scheme = (what: string): string => `FOLDER/config.json: the checkpoint is quantised (MLX, ${what}; of MLX's, affine codes of 4 or 8 bits in groups of 32, 64 or 128 are read): its weights are packed and cannot be read here. ` +
    "Load the model it was made from; or unpack it once in Python, AutoModel.from_pretrained(folder).dequantize().save_pretrained(other), where transformers does so for this scheme. The model it was made from is quantised on the way in: loadModel(…, { dtype: 'nf4' })."
  const none = (): void => undefined

  it.each<readonly [what: string, change: (tensors: Tensors) => void, settings: object | undefined, message: string]>([
    ['scales of the wrong count', (tensors) => { tensors[`${MODULE}.scales`] = { dtype: 'F32', shape: [128, 3], data: new Float32Array(384) } }, undefined,
      one(`${MODULE}.scales: expected floats [128, 1] beside codes of 4 bits in groups of 64, the file has F32 [128, 3]`)],
    ['offsets that are not there', (tensors) => { Reflect.deleteProperty(tensors, `${MODULE}.biases`) }, undefined,
      one(`${MODULE}.biases: expected floats [128, 1] beside codes of 4 bits in groups of 64, the file has none`)],
    ['scales that are NaN', (tensors) => { (tensors[`${MODULE}.scales`]?.data as Float32Array)[5] = NaN }, undefined,
      `${MODULE}.scales: expected finite numbers, number 5 is NaN; the file is damaged, or the weight it was made from had NaN`],
    ['another mode', none, { group_size: 32, bits: 4, mode: 'mxfp4' }, scheme('mode "mxfp4", bits 4, group_size 32')],
    ['other bits', none, { group_size: 64, bits: 3 }, scheme('mode "affine", bits 3, group_size 64')],
    ['other bits of one module', none, { group_size: 64, bits: 4, [MODULE]: { group_size: 64, bits: 6 } }, scheme('mode "affine", bits 6, group_size 64')],
  ])('is refused before there is a tensor of it: %s', async (_, change, settings, message) => {
    expect(await refusal(change, settings)).toBe(message)
  })

  it('is refused where its settings are not there', async () => {
    const said = await refusal(none, 1 as unknown as object)
    expect(said).toContain('model.embed_tokens.weight: expected bits and a group_size for it in config.json, got {}')
  })
})
