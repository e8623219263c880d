// The table of words of encoder-decoders, which both stacks have and mostly the head, in files: transformers keeps it once, by a name of its own.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { merge } from '../src/base/adapter/merge.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { openSafetensors, writeSafetensors } from '../src/base/checkpoint/safetensors.ts'
import type { Model } from '../src/base/model.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { goldenPath, valuesOf } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const models: Model[] = []
const BASES = [['t5/tied', ''], ['bart/seq2seq', 'model.']] as const

afterEach(() => {
  for (const model of models.splice(0)) model.dispose()
})

async function open(base: string): Promise<Model> {
  const model = await loadModel(goldenPath(base), { task: 'seq2seq-lm' })
  models.push(model)
  return model
}

function logits(model: Model): Float32Array {
  return tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.of(5, 6, 7, 2), decoderIds: Int32Array.of(2, 6, 7), batch: 1, length: 4 })))
}

async function tablesIn(file: string): Promise<string[]> {
  const opened = await openSafetensors(file)
  await opened.close()
  return [...opened.entries.keys()].filter((key) => /shared|embed_tokens|lm_head/.test(key)).sort()
}

async function json(file: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
}

it.each(BASES)('%s is saved with its table once, beside a head that is another tensor too, which transformers sees in the file: config.json ties as before', async (base, prefix) => {
  const model = await open(base)
  const [plain, apart] = [temporary('plain'), temporary('apart')]
  await model.save(plain)
  expect(await tablesIn(join(plain, 'model.safetensors'))).toEqual([`${prefix}shared.weight`])
  const adapter = attach(model, lora({ targets: ['lm_head'], init: 'gaussian' }))
  for (const variable of Object.values(adapter.trainable)) variable.assign(tf.ones(variable.shape))
  const merged = merge(model, adapter)
  models.push(merged)
  await merged.save(apart)
  expect(await tablesIn(join(apart, 'model.safetensors'))).toEqual(['lm_head.weight', `${prefix}shared.weight`])
  expect(await json(join(apart, 'config.json'))).toMatchObject({ tie_word_embeddings: true })
  const again = await loadModel(apart, { task: 'seq2seq-lm' })
  models.push(again)
  expect(logits(again)).toEqual(logits(merged))
})

const WITH_BIASES = BASES.flatMap(([base, prefix]) => (['none', 'all'] as const).map((bias) => [base, prefix, bias] as const))

it.each(WITH_BIASES)('the table of %s (%s) that is trained in full beside biases (%s) has each of its copies in the file, which PEFT cannot tie there, and is one tensor when it is read', async (base, prefix, bias) => {
  const model = await open(base)
  const adapter = attach(model, lora({ rank: 2, bias }), { train: ['lm_head'] })
  for (const variable of Object.values(adapter.trainable)) variable.assign(tf.randomNormal(variable.shape, 0, 0.1, 'float32', 1))
  const [expected, names] = [logits(model), Object.keys(adapter.trainable)]
  const folder = temporary('adapter')
  await adapter.save(folder)
  detach(adapter)
  expect(await tablesIn(join(folder, 'adapter_model.safetensors'))).toEqual(
    ['lm_head', `${prefix}decoder.embed_tokens`, `${prefix}encoder.embed_tokens`].map((name) => `base_model.model.${name}.weight`).sort())
  expect(await json(join(folder, 'adapter_config.json'))).not.toHaveProperty('ensure_weight_tying')
  const again = await loadAdapter(model, folder)
  expect(logits(model)).toEqual(expected)
  expect(Object.keys(again.trainable)).toEqual(names)
})

it.each(BASES)('an adapter of %s that brings the table of a resized vocabulary under its own name, as PEFT writes it, is read', async (base, prefix) => {
  const model = await open(base)
  const folder = await savedLora(model, 'resized')
  const words = model.limits?.vocabSize ?? 0
  await addTables(folder, model, { [`${prefix}shared`]: 0.5 }, {}, words + 3)
  await loadAdapter(model, folder)
  expect(logits(model)).toHaveLength(3 * (words + 3))
})

/** The folder of a LoRA that is not attached any more. */
async function savedLora(model: Model, name: string): Promise<string> {
  const [adapter, folder] = [attach(model, lora({ rank: 2 })), temporary(name)]
  await adapter.save(folder)
  detach(adapter)
  return folder
}

/** Tables of one number each, in the file of an adapter, and settings. */
async function addTables(folder: string, model: Model, tables: Readonly<Record<string, number>>, settings: object, words = model.limits?.vocabSize ?? 0): Promise<void> {
  const path = join(folder, 'adapter_model.safetensors')
  const opened = await openSafetensors(path)
  const tensors = await Promise.all([...opened.entries.keys()].map(async (name) => ({ name, ...await opened.read(name) })))
  await opened.close()
  const { hiddenSize: width } = model.parts.architecture
  const added = Object.entries(tables).map(([name, value]) =>
    ({ name: `base_model.model.${name}.weight`, dtype: 'F32' as const, shape: [words, width], data: new Float32Array(words * width).fill(value) }))
  await writeSafetensors(path, [...tensors, ...added], { format: 'pt' })
  const config = join(folder, 'adapter_config.json')
  await writeFile(config, JSON.stringify({ ...await json(config), ...settings }))
}

it.each(BASES)('a table of %s that PEFT trained by the module that all share is read as that of all', async (base, prefix) => {
  const model = await open(base)
  const folder = await savedLora(model, 'by-shared')
  const tables = Object.fromEntries(['lm_head', `${prefix}shared`, `${prefix}encoder.embed_tokens`, `${prefix}decoder.embed_tokens`].map((name) => [name, 0.25]))
  await addTables(folder, model, tables, { modules_to_save: ['shared'], ensure_weight_tying: true })
  const read = await loadAdapter(model, folder)
  const [trained, ...others] = Object.entries(read.trainable).filter(([name]) => name.endsWith('.weight'))
  expect(others).toEqual([])
  expect([...valuesOf(trained?.[1] as tf.Tensor)].every((value) => value === 0.25)).toBe(true)
})

it.each(BASES)("a module of %s that tables share, trained in full without them, is left out with a warning: PEFT's model takes the tables", async (base, prefix) => {
  const model = await open(base)
  const folder = await savedLora(model, 'shared-alone')
  const plain = logits(model)
  await addTables(folder, model, { [`${prefix}shared`]: 0.25 }, { modules_to_save: ['shared'] })
  const read = await loadAdapter(model, folder)
  expect(read.origin.warnings).toEqual([expect.stringContaining("shared', which PEFT's model does not look at")])
  expect(logits(model)).toEqual(plain)
})

it('tables of BART that differ in a file which asks for ties are each their own, as PEFT reads them', async () => {
  const model = await open('bart/seq2seq')
  const folder = await savedLora(model, 'apart')
  await addTables(folder, model, { 'model.encoder.embed_tokens': 0.25, 'model.decoder.embed_tokens': 0.5 }, { modules_to_save: ['embed_tokens'], ensure_weight_tying: true })
  const read = await loadAdapter(model, folder)
  expect(Object.entries(read.trainable).filter(([name]) => name.endsWith('.weight')).map(([name, table]) => [name, valuesOf(table)[0]])).toEqual([
    ['model.encoder.embed_tokens.weight', 0.25], ['model.decoder.embed_tokens.weight', 0.5],
  ])
})
