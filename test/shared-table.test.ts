// The table of words of encoder-decoders, which both stacks have and mostly the head, in files: transformers keeps it once, by a name of its own.

import { readFile } from 'node:fs/promises'
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

it.each(BASES)('the table of %s that is trained in full has each of its copies in the file, which PEFT cannot tie there, and is one tensor when it is read', async (base, prefix) => {
  const model = await open(base)
  const adapter = attach(model, lora({ rank: 2 }), { train: ['lm_head'] })
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
  const adapter = attach(model, lora({ rank: 2 }))
  const folder = temporary('resized')
  await adapter.save(folder)
  detach(adapter)
  const path = join(folder, 'adapter_model.safetensors')
  const opened = await openSafetensors(path)
  const tensors = await Promise.all([...opened.entries.keys()].map(async (name) => ({ name, ...await opened.read(name) })))
  await opened.close()
  const [words, width] = [model.limits?.vocabSize ?? 0, model.parts.architecture.hiddenSize]
  const table = { name: `base_model.model.${prefix}shared.weight`, dtype: 'F32' as const, shape: [words + 3, width], data: new Float32Array((words + 3) * width).fill(0.5) }
  await writeSafetensors(path, [...tensors, table], { format: 'pt' })
  await loadAdapter(model, folder)
  expect(logits(model)).toHaveLength(3 * (words + 3))
})
