// A folder of another kind than was asked for is named as what it is, in one error, with the way out.

import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigJson } from '../src/base/architecture.ts'
import { createModel } from '../src/base/checkpoint/create.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import { CheckpointError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { goldenPath } from './golden.ts'
import { closeModel, tinyModel } from './manage/models.ts'

const temporary = temporaryFolder()
let model: Model
let count = 0

beforeAll(async () => {
  model = await tinyModel()
})
afterAll(() => closeModel(model))

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(CheckpointError)
  return (error as CheckpointError).message
}

async function copyOf(golden: string): Promise<string> {
  const folder = temporary(String(count++))
  await cp(goldenPath(golden), folder, { recursive: true })
  return folder
}

async function withFiles(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = temporary(String(count++))
  await mkdir(folder)
  for (const [name, content] of Object.entries(files)) await writeFile(`${folder}/${name}`, typeof content === 'string' ? content : JSON.stringify(content))
  return folder
}

async function change(path: string, changes: Readonly<Record<string, unknown>>): Promise<void> {
  await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...changes }))
}

describe('as an adapter', () => {
  it('the folder of a model is named so', async () => {
    const folder = await copyOf('lora/base')
    expect(await messageOf(loadAdapter(model, folder))).toBe(`${folder} is the folder of a model, not of an adapter: it has config.json and no adapter_config.json. Load it with loadModel(folder).`)
  })

  it('a folder of something else is listed', async () => {
    const folder = await withFiles({ 'b.txt': '', 'a.txt': '' })
    expect(await messageOf(loadAdapter(model, folder))).toBe(`${folder} is not the folder of an adapter: it has no adapter_config.json. It has a.txt, b.txt.`)
  })

  it('weights in a pickle are to be converted once', async () => {
    const folder = await copyOf('lora_family/dora/adapter')
    await rename(`${folder}/adapter_model.safetensors`, `${folder}/adapter_model.bin`)
    expect(await messageOf(loadAdapter(model, folder))).toBe(`${folder} has its weights in adapter_model.bin, a Python pickle, which can run code when it is read. Convert it once in Python: PeftModel.from_pretrained(model, folder).save_pretrained(folder)`)
    await rm(`${folder}/adapter_model.bin`)
    expect(await messageOf(loadAdapter(model, folder))).toMatch(/^.*: the adapter has no adapter_model\.safetensors\. It has .*adapter_config\.json.*\. Where its weights are in adapter_model\.bin, convert it once/)
  })

  it.each([
    [{ architecture: 'lora', composition_mode: 'add', r: 8 }, 'LoRA'],
    [{ architecture: 'lora', composition_mode: 'scale', r: 1 }, '(IA)³'],
    [{ architecture: 'prefix_tuning' }, 'prefix tuning'],
    [{ architecture: 'prompt_tuning' }, 'prompt tuning'],
    [{ architecture: 'reft' }, 'ReFT'],
    [{ architecture: 'union', configs: [] }, 'union of several methods'],
    [{ architecture: 'other' }, '"other"'],
  ])('AdapterHub\'s %j is named so', async (config, name) => {
    const folder = await withFiles({ 'adapter_config.json': { config, model_type: 'bert', name: 'a' }, 'pytorch_adapter.bin': '' })
    expect(await messageOf(loadAdapter(model, folder))).toBe(
      `${folder}/adapter_config.json: this is AdapterHub's ${name}, whose files are not read here; of AdapterHub's methods, bottleneck adapters are. ` +
        (config.architecture === 'lora'
          ? 'Merge it in Python, model.merge_adapter(name), save the model and load that with loadModel; or train it with HF PEFT, whose files are read.'
          : 'Train a method whose files are read: one of HF PEFT, or a bottleneck adapter.'))
  })
})

describe('as a model', () => {
  it('the folder of an adapter is named so, with its model', async () => {
    const folder = await copyOf('lora_family/dora/adapter')
    await change(`${folder}/adapter_config.json`, { base_model_name_or_path: 'org/base' })
    expect(await messageOf(loadModel(folder))).toBe(`${folder} is the folder of an adapter, not of a model. Load its model first, loadModel("org/base"), then loadAdapter(model, folder).`)
    const hub = await copyOf('adapters/seq_bn/adapter')
    await change(`${hub}/adapter_config.json`, { model_name: 'org/other' })
    expect(await messageOf(loadModel(hub))).toContain('Load its model first, loadModel("org/other"), then')
  })

  it.each([
    [{ quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'fp4' } }, 'bitsandbytes, fp4'],
    [{ quantization_config: { quant_method: 'gptq', bits: 4, group_size: 128 } }, 'GPTQ'],
    [{ quantization_config: { quant_method: 'awq', bits: 4 } }, 'AWQ'],
    [{ quantization_config: { quant_method: 'fp8' } }, 'FP8'],
    [{ quantization_config: { quant_method: 'new-one' } }, '"new-one"'],
    [{ quantization: { group_size: 64, bits: 3 }, quantization_config: { group_size: 64, bits: 3 } }, 'MLX, mode "affine", bits 3, group_size 64; of MLX\'s, affine codes of 4 or 8 bits in groups of 32, 64 or 128 are read'],
    [{ quantization: { group_size: 32, bits: 4, mode: 'mxfp4' } }, 'MLX, mode "mxfp4", bits 4, group_size 32; of MLX\'s, affine codes of 4 or 8 bits in groups of 32, 64 or 128 are read'],
    [{ quantization_config: {} }, 'a scheme it does not name'],
  ])('a quantised checkpoint (%j) is named so, before any of its keys', async (changes, scheme) => {
    const folder = await copyOf('lora/base')
    await change(`${folder}/config.json`, changes)
    expect(await messageOf(loadModel(folder))).toBe(
      `${folder}/config.json: the checkpoint is quantised (${scheme}): its weights are packed and cannot be read here. Load the model it was made from; ` +
        'or unpack it once in Python, AutoModel.from_pretrained(folder).dequantize().save_pretrained(other), where transformers does so for this scheme. ' +
        "The model it was made from is quantised on the way in: loadModel(…, { dtype: 'nf4' }).")
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as ConfigJson
    expect(await messageOf(createModel(config, { task: 'feature-extraction' }))).toContain(`The configuration: the checkpoint is quantised (${scheme}): `)
  })

  it.each([
    ['pytorch_model-00001-of-00002.bin', /^.* has its weights in pytorch_model-00001-of-00002\.bin, a Python pickle, which can run code when it is read\. Convert it once in Python: /],
    ['model-q4.gguf', /^.* has its weights in model-q4\.gguf, GGUF, as llama\.cpp reads it\. Take the repository that it was made from/],
    ['tf_model.h5', /^.* has its weights in tf_model\.h5, Keras' format\. /],
    ['flax_model.msgpack', /^.* has its weights in flax_model\.msgpack, Flax' format\. /],
    ['model.onnx', /^.* has its weights in model\.onnx, ONNX, which holds a program and not a model to train\. /],
  ])('weights in %s are named so, with a config.json and without', async (file, message) => {
    const folder = await copyOf('lora/base')
    await rename(`${folder}/model.safetensors`, `${folder}/${file}`)
    expect(await messageOf(loadModel(folder))).toMatch(message)
    await rm(`${folder}/config.json`)
    expect(await messageOf(loadModel(folder))).toMatch(message)
  })

  it('a folder of something else is listed', async () => {
    const folder = await withFiles({ 'a.txt': '' })
    expect(await messageOf(loadModel(folder))).toBe(`${folder} is not the folder of a model: it has no config.json. It has a.txt.`)
  })
})
