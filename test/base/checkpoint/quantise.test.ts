import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { fromFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { openSafetensors, writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import { NF4_CODES } from '../../../src/base/engine/nf4-codes.ts'
import { withoutRounding } from '../../../src/base/engine/rounded-rows.ts'
import type { Model } from '../../../src/base/model.ts'
import { normal, randomStream } from '../../../src/base/random.ts'
import { lora } from '../../../src/lora/lora.ts'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { goldenPath, largestDifference, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const LLAMA = goldenPath('llama/causal_lm')
const temporary = temporaryFolder()
const open: Model[] = []
afterEach(() => { for (const model of open.splice(0)) model.dispose() })

async function load(folder: string, options: Parameters<typeof loadModel>[1]): Promise<Model> {
  const model = await loadModel(folder, { task: 'causal-lm', ...options })
  open.push(model)
  return model
}

const kinds = (model: Model): Record<string, string> =>
  Object.fromEntries([...model.parts.params].map(([name, { kind }]) => [name, kind.name]))
const packedOf = (model: Model): string[] => Object.entries(kinds(model)).flatMap(([name, kind]) => (kind === 'nf4' || kind === 'int8' ? [name] : []))
const BATCH = { ids: Int32Array.from({ length: 20 }, (_, i) => 1 + (i * 5) % 28), batch: 2, length: 10, labels: Int32Array.from({ length: 20 }, (_, i) => 1 + (i * 5) % 28) }
/** Exact to the weights: int8 products would round what they multiply too. */
const logits = (model: Model): Float32Array => withoutRounding(() => tf.tidy(() => valuesOf(model.forward(BATCH))))

/** LoRA with numbers in both of its tensors. */
function adapted(model: Model): ReturnType<typeof attach> {
  const adapter = attach(model, lora({ rank: 2, targets: 'all-linear' }))
  for (const [name, variable] of Object.entries(adapter.trainable)) {
    tf.tidy(() => { variable.assign(tf.tensor(normal(randomStream(1, name), variable.size, 0, 0.2), variable.shape)) })
  }
  return adapter
}

describe.each(['nf4', 'int8'] as const)('a model loaded as %s', (dtype) => {
  it('has the products of its layers quantised, and all else as the file has it', async () => {
    const model = await load(LLAMA, { dtype })
    const products = Object.keys(kinds(model)).filter((name) => /layers\.\d+\..*_proj\.weight$/.test(name))
    expect(products.length).toBeGreaterThan(10)
    expect(packedOf(model)).toEqual(products)
  })

  it('leaves the products in float32 that are to be skipped, and says when there are none of a name', async () => {
    const [all, some] = [await load(LLAMA, { dtype }), await load(LLAMA, { dtype, skip: ['down_proj'] })]
    expect(packedOf(some)).toEqual(packedOf(all).filter((name) => !name.includes('down_proj')))
    await all.save(temporary(`all-${dtype}`))
    expect(packedOf(await load(temporary(`all-${dtype}`), { skip: ['down_proj'] }))).toEqual(packedOf(some))
    await expect(load(LLAMA, { dtype, skip: ['dwn_proj'] })).rejects.toThrow("target 'dwn_proj' matches no product of a layer")
  })

  it('keeps embeddings and heads of a bfloat16 file in bfloat16', async () => {
    const file = await openSafetensors(`${LLAMA}/model.safetensors`)
    const tensors = await Promise.all([...file.entries].map(async ([name, { shape }]) =>
      ({ name, shape, dtype: 'BF16' as const, data: fromFloat32((await file.read(name)).data as Float32Array, 'BF16') })))
    await file.close()
    await mkdir(temporary(dtype))
    await writeSafetensors(temporary(dtype, 'model.safetensors'), tensors)
    await cp(`${LLAMA}/config.json`, temporary(dtype, 'config.json'))
    expect(kinds(await load(temporary(dtype), { dtype }))['model.embed_tokens.weight']).toBe('bfloat16')
  })

  it('is saved in the format of bitsandbytes, names what is not quantised, and loads again as it is', async () => {
    const model = await load(LLAMA, { dtype, skip: ['k_proj'] })
    await model.save(temporary(`saved-${dtype}`))
    const config = JSON.parse(await readFile(temporary(`saved-${dtype}`, 'config.json'), 'utf8')) as { dtype: string; quantization_config: { quant_method: string; llm_int8_skip_modules: string[] } }
    expect(config.dtype).toBe('float32')
    expect(config.quantization_config.quant_method).toBe('bitsandbytes')
    expect(config.quantization_config.llm_int8_skip_modules).toContain('model.layers.0.self_attn.k_proj')
    expect(config.quantization_config.llm_int8_skip_modules).toContain('lm_head')
    expect(config.quantization_config.llm_int8_skip_modules).not.toContain('model.layers.0.self_attn.q_proj')
    const again = await load(temporary(`saved-${dtype}`), {})
    expect(kinds(again)).toEqual(kinds(model))
    expect(logits(again)).toEqual(logits(model))
    const wide = await load(temporary(`saved-${dtype}`), { dtype: 'float32' })
    expect(packedOf(wide)).toEqual([])
    expect(largestDifference(logits(wide), logits(model))).toBeLessThan(1e-4)
    await wide.save(temporary(`wide-${dtype}`))
    expect(await readFile(temporary(`wide-${dtype}`, 'config.json'), 'utf8')).not.toContain('quantization')
  })

  it('merges to float32, exact to what it computes with', async () => {
    const model = await load(LLAMA, { dtype })
    const merged = merge(model, adapted(model))
    open.push(merged)
    expect(packedOf(merged)).toEqual([])
    expect(largestDifference(logits(merged), logits(model))).toBeLessThan(1e-3)
    expect(merged.parts.notes).toEqual([])
  })

  it('merges to its own kind on request, and says what that cost', async () => {
    const model = await load(LLAMA, { dtype })
    const merged = merge(model, adapted(model), { dtype })
    open.push(merged)
    expect(kinds(merged)).toEqual(kinds(model))
    expect(merged.parts.notes).toEqual([expect.stringMatching(/^merge: \d+ weights were quantised again: their numbers are off by [\d.e-]+ % of their size on the mean, by [\d.e-]+ % at most\.$/)])
  })

  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors
    const model = await load(LLAMA, { dtype })
    const clone = [...model.parts.params.values()].map((weight) => weight.clone())
    logits(model)
    open.pop()?.dispose()
    expect(clone.map(({ isDisposed }) => isDisposed)).not.toContain(true)
    for (const weight of clone) weight.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('a model that is not quantised is not merged into one that is, and says how to have it', async () => {
  const model = await load(LLAMA, {})
  const adapter = adapted(model)
  expect(() => merge(model, adapter, { dtype: 'nf4' })).toThrow("merge: dtype: expected none for a model that is not quantised, got 'nf4'. Save the merged model, and load it so: loadModel(folder, { dtype: 'nf4' }).")
  open.push(merge(model, adapter, { dtype: 'float32' }))
})

it('a saved quantised model names the modules that its task is without, which go along as they are', async () => {
  const model = await load(goldenPath('bert/base'), { task: 'feature-extraction', dtype: 'nf4' })
  await model.save(temporary('features'))
  const config = JSON.parse(await readFile(temporary('features', 'config.json'), 'utf8')) as { quantization_config: { llm_int8_skip_modules: string[] } }
  expect(config.quantization_config.llm_int8_skip_modules).toContain('pooler.dense')
})

it('scales of NF4 are quantised too unless that is declined', async () => {
  const [nested, single] = [await load(LLAMA, { dtype: 'nf4' }), await load(LLAMA, { dtype: 'nf4', doubleQuantization: false })]
  const scales = (model: Model): boolean[] => [...model.parts.params.values()].flatMap(({ packed }) => (packed === undefined ? [] : [packed.scales instanceof Float32Array]))
  expect(new Set(scales(nested))).toEqual(new Set([false]))
  expect(new Set(scales(single))).toEqual(new Set([true]))
})

it('a dtype that there is not is an error that names those there are', async () => {
  await expect(loadModel(LLAMA, { dtype: 'int4' as 'int8' })).rejects.toThrow('loadModel: dtype: expected float32, bfloat16, int8, nf4, got "int4".')
})

describe('a quantised file that is damaged', () => {
  const NAME = 'model.layers.0.mlp.up_proj.weight'
  const STATE = `${NAME}.quant_state.bitsandbytes__nf4`
  type Tensors = Record<string, { dtype: 'F32' | 'U8' | 'I8'; shape: readonly number[]; data: Float32Array | Uint8Array | Int8Array }>

  async function changed(golden: string, change: (tensors: Tensors) => void): Promise<string> {
    const folder = temporary(`damaged-${Math.random()}`)
    await cp(goldenPath(golden), folder, { recursive: true })
    const file = await openSafetensors(`${folder}/model.safetensors`)
    const tensors = Object.fromEntries(await Promise.all([...file.entries.keys()].map(async (name) => [name, await file.read(name)]))) as Tensors
    await file.close()
    change(tensors)
    await writeSafetensors(`${folder}/model.safetensors`, Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor })), { format: 'pt' })
    return folder
  }

  /** What loading it says: of problems with its quantised weights alone, the problem. */
  async function said(folder: string): Promise<string> {
    const message = await loadModel(folder, { task: 'causal-lm' }).then(() => 'nothing', (error: unknown) => (error as Error).message)
    return message.replaceAll(folder, 'FOLDER').replace('FOLDER/model.safetensors: quantised weights that cannot be read:\n  - ', '')
  }

  const drop = (tensors: Tensors, name: string): void => { Reflect.deleteProperty(tensors, name) }

  const state = (tensors: Tensors, changes: object): void => {
    const old = JSON.parse(Buffer.from(tensors[STATE]?.data as Uint8Array).toString()) as object
    const data = Uint8Array.from(Buffer.from(JSON.stringify({ ...old, ...changes })))
    tensors[STATE] = { dtype: 'U8', shape: [data.length], data }
  }

  it.each<readonly [what: string, change: (tensors: Tensors) => void, message: string]>([
    ['scales that are NaN', (tensors) => { (tensors[`${NAME}.nested_absmax`]?.data as Float32Array)[0] = NaN }, `${NAME}.nested_absmax: expected finite numbers, number 0 is NaN; the file is damaged, or the weight it was made from had NaN`],
    ['scales of the wrong count', (tensors) => { tensors[`${NAME}.absmax`] = { dtype: 'U8', shape: [3], data: new Uint8Array(3) } }, `${NAME}.absmax: expected U8 of 128 numbers, the file has U8 [3]`],
    ['scales of the wrong type', (tensors) => { tensors[`${NAME}.absmax`] = { dtype: 'F32', shape: [128], data: new Float32Array(128) } }, `${NAME}.absmax: expected U8 of 128 numbers, the file has F32 [128]`],
    ['codes that end too early', (tensors) => { tensors[NAME] = { dtype: 'U8', shape: [100, 1], data: new Uint8Array(100) } }, `${NAME}: expected 4096 bytes of codes for [128, 64], the file has 100`],
    ['blocks that end beyond the tensor', (tensors) => { state(tensors, { blocksize: 4096 }) }, `${NAME}.absmax: expected U8 of 2 numbers, the file has U8 [128]`],
    ['another shape than the model has', (tensors) => { state(tensors, { shape: [64, 128] }) }, `The checkpoint does not fit the model:\n  - ${NAME}: expected [128, 64], the file has [64, 128]`],
    ['an unknown quant_type', (tensors) => { state(tensors, { quant_type: 'nf5' }) }, `${NAME}: expected quant_type nf4, got "nf5". Quantise the model it was made from again: loadModel(…, { dtype: 'nf4' })`],
    ['a state that is no JSON', (tensors) => { tensors[STATE] = { dtype: 'U8', shape: [2], data: Uint8Array.of(1, 2) } }, `${STATE}: expected a JSON object as bytes`],
    ['a state without a block size', (tensors) => { state(tensors, { blocksize: 0 }) }, `${STATE}: expected a shape and a blocksize, got [128,64] and 0`],
    ['a code book of its own', (tensors) => { (tensors[`${NAME}.quant_map`]?.data as Float32Array)[3] = 0.5 }, `${NAME}.quant_map: expected the 16 numbers of NF4, got ${Array.from(NF4_CODES, (code, i) => (i === 3 ? 0.5 : code)).join(', ')}`],
    ['scales that are not there', (tensors) => { drop(tensors, `${NAME}.nested_quant_map`) }, `${NAME}: expected ${NAME}.nested_quant_map beside it`],
  ])('is refused: %s', async (_, change, message) => {
    const folder = await changed('quantised/llama_nf4', change)
    const before = tf.memory().numTensors
    expect(await said(folder)).toBe(message)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is refused where scales that are not quantised are 0, or below, but not where the numbers are', async () => {
    const name = 'transformer.h.0.mlp.c_fc.weight'
    const at = (scale: number) => (tensors: Tensors): void => { (tensors[`${name}.absmax`]?.data as Float32Array)[3] = scale }
    for (const scale of [0, -1]) {
      expect(await said(await changed('quantised/gpt2_nf4', at(scale)))).toBe(`${name}.absmax: expected scales above 0, number 3 is ${scale} and its codes are not those of zeros; the file is damaged`)
    }
    const zeros = await changed('quantised/gpt2_nf4', (tensors) => { at(0)(tensors); (tensors[name]?.data as Uint8Array).fill(0x77, 3 * 32, 4 * 32) })
    const model = await load(zeros, {})
    expect(tf.tidy(() => valuesOf(model.parts.params.get(name)?.float32() as tf.Tensor)).slice(3 * 64, 4 * 64)).toEqual(new Float32Array(64))
  })

  it.each<readonly [what: string, change: (tensors: Tensors) => void, message: string]>([
    ['scales of the wrong count', (tensors) => { tensors['transformer.h.0.mlp.c_fc.SCB'] = { dtype: 'F32', shape: [2], data: new Float32Array(2) } }, 'transformer.h.0.mlp.c_fc.SCB: expected F32 of 256 numbers, the file has F32 [2]'],
    ['scales of 0', (tensors) => { (tensors['transformer.h.0.mlp.c_fc.SCB']?.data as Float32Array)[7] = 0 }, 'transformer.h.0.mlp.c_fc.SCB: expected scales above 0, number 7 is 0 and its codes are not those of zeros; the file is damaged'],
    ['no scales', (tensors) => { drop(tensors, 'transformer.h.0.mlp.c_fc.SCB') }, 'transformer.h.0.mlp.c_fc.weight: expected its scales in transformer.h.0.mlp.c_fc.SCB beside a weight of I8 [256, 64]'],
    ['scales that are infinite', (tensors) => { (tensors['transformer.h.0.mlp.c_fc.SCB']?.data as Float32Array)[7] = Infinity }, 'transformer.h.0.mlp.c_fc.SCB: expected finite numbers, number 7 is Infinity; the file is damaged, or the weight it was made from had NaN'],
    ['another order of the rows', (tensors) => { (tensors['transformer.h.0.mlp.c_fc.weight_format']?.data as Uint8Array)[0] = 2 }, 'transformer.h.0.mlp.c_fc.weight_format: expected 0, rows one behind the other, got 2'],
  ])('is refused in int8: %s', async (_, change, message) => {
    expect(await said(await changed('quantised/gpt2_int8', change))).toBe(message)
  })

  it('is refused where the settings speak of a scheme that is not read', async () => {
    const folder = temporary('gptq')
    await cp(LLAMA, folder, { recursive: true })
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as object
    await writeFile(`${folder}/config.json`, JSON.stringify({ ...config, quantization_config: { quant_method: 'gptq', bits: 4 } }))
    expect(await said(folder)).toBe('FOLDER/config.json: the checkpoint is quantised (GPTQ): its weights are packed and cannot be read here. Load the model it was made from; ' +
      'or unpack it once in Python, AutoModel.from_pretrained(folder).dequantize().save_pretrained(other), where transformers does so for this scheme. ' +
      "The model it was made from is quantised on the way in: loadModel(…, { dtype: 'nf4' }).")
  })
})
