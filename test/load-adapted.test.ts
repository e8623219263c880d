// A model, its tokenizer and an adapter from the adapter's own files.

import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { classifyImages } from '../src/answers/classify-images.ts'
import { pfeiffer } from '../src/adapters/presets.ts'
import { createModel } from '../src/base/checkpoint/create.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { loadModel, type LoadOptions } from '../src/base/checkpoint/load.ts'
import { createImageProcessor } from '../src/base/image/processor.ts'
import type { Method } from '../src/base/method.ts'
import type { Model } from '../src/base/model.ts'
import { CheckpointError, InputError, TargetError } from '../src/errors.ts'
import { loadAdapted } from '../src/load-adapted.ts'
import { lora } from '../src/lora/lora.ts'
import { headOnly } from '../src/selective/head.ts'
import { goldenPath } from './golden.ts'
import { startHub } from './hub-server.ts'
import { attachTrained, closeModel, forward } from './manage/models.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

const WORDS = ['<unk>', 'free', 'lunch', 'money']

async function writeTokenizer(folder: string, words: readonly string[]): Promise<void> {
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({
    added_tokens: [], normalizer: null, pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null,
    model: { type: 'WordLevel', vocab: Object.fromEntries(words.map((word, id) => [word, id])), unk_token: '<unk>' },
  }))
}

/** A base of the goldens with a tokenizer. */
async function baseOf(golden: string): Promise<string> {
  const folder = temporary(golden.replaceAll('/', '-'))
  await mkdir(folder, { recursive: true })
  await cp(goldenPath(golden), folder, { recursive: true })
  await writeTokenizer(folder, WORDS)
  return folder
}

/** Attaches a method to a base and saves it. */
async function saved(golden: string, options: LoadOptions, method: Method, into: string, labels?: readonly string[]): Promise<{ readonly logits: Float32Array }> {
  const model = await loadModel(await baseOf(golden), options)
  open.push(model)
  const adapter = attachTrained(model, 'trained', method, { enabled: true, train: model.parts.head.modules, ...(labels === undefined ? {} : { labels }) })
  await adapter.save(temporary(into))
  return { logits: forward(model) }
}

beforeAll(async () => { await mkdir(temporary('.'), { recursive: true }) })

it.each<[string, string, LoadOptions, Method]>([
  ['sequence classification', 'bert/base', { task: 'sequence-classification', labels: ['ham', 'spam'] }, lora()],
  ['several labels a row', 'bert/base', { task: 'sequence-classification', labels: ['a', 'b', 'c', 'd'], problemType: 'multi_label_classification', pooling: 'mean' }, lora()],
  ['sequence classification, in AdapterHub\'s files', 'bert/base', { task: 'sequence-classification', labels: ['ham', 'spam', 'news'] }, pfeiffer({ reductionFactor: 8 })],
  ['a trained head', 'bert/base', { task: 'sequence-classification', labels: ['ham', 'spam'] }, headOnly()],
  ['token classification', 'bert/base', { task: 'token-classification', labels: ['O', 'NAME', 'PLACE'] }, lora()],
  ['question answering', 'bert/base', { task: 'question-answering' }, lora()],
  ['sentence embedding', 'bert/base', { task: 'sentence-embedding', pooling: 'cls', normalize: true }, lora()],
  ['features', 'bert/base', { task: 'feature-extraction' }, lora()],
  ['a masked LM', 'bert/masked_lm', { task: 'masked-lm' }, lora()],
  ['a causal LM', 'gpt2/causal_lm', { task: 'causal-lm' }, lora()],
])('%s comes back in one line: the base, the task, the classes, the tokenizer and the adapter', async (name, golden, options, method) => {
  const { logits } = await saved(golden, options, method, name)
  const { model, tokenizer, adapter } = await loadAdapted(temporary(name), { name: 'again' })
  open.push(model)
  expect(forward(model)).toEqual(logits)
  const { task, labels = [], problemType } = options
  expect([model.parts.task, model.labels, adapter.name, adapter.enabled]).toEqual([task, labels, 'again', true])
  if (problemType !== undefined) expect(model.problem).toBe(problemType)
  expect(tokenizer.encode(['free money']).ids).toEqual([Int32Array.of(1, 3)])
})

it('an adapter of pictures comes back with what reads them, on a base with a head for others', async () => {
  const config = { model_type: 'vit', hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, image_size: 16, patch_size: 8, num_channels: 3 }
  const base = await createModel(config, { task: 'image-classification', labels: ['a', 'b', 'c'] })
  await base.save(temporary('vit'))
  base.dispose()
  await createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 16 }).save(temporary('vit'))
  const labels = ['cherry', 'plum']
  const trained = await loadModel(temporary('vit'), { task: 'image-classification', labels, newHead: true })
  open.push(trained)
  await attach(trained, lora()).save(temporary('fruit'))
  const picture = { data: new Uint8Array(16 * 16 * 3).fill(90), width: 16, height: 16, channels: 3 } as const
  const adapted = await loadAdapted(temporary('fruit'))
  const { model, processor } = adapted
  open.push(model)
  expect(model.labels).toEqual(labels)
  expect(await classifyImages(model, processor, [picture])).toEqual(await classifyImages(trained, processor, [picture]))
  expect(() => adapted.tokenizer).toThrow(new InputError(`loadAdapted: ${temporary('fruit')}, for 'image-classification', reads no texts, and has no tokenizer: take its processor.`))
})

it('an adapter with classes of its own comes back on a base with a head for others', async () => {
  const labels = ['a', 'b', 'c', 'd', 'e']
  const { logits } = await saved('lora/base', { task: 'sequence-classification' }, lora(), 'own', labels)
  const { model } = await loadAdapted(temporary('own'))
  open.push(model)
  expect([model.labels, model.parts.labels.length]).toEqual([labels, 3])
  expect(forward(model)).toEqual(logits)
})

it('the tokenizer is the adapter\'s where it has one', async () => {
  await saved('bert/base', { task: 'feature-extraction' }, lora(), 'words')
  await writeTokenizer(temporary('words'), ['<unk>', 'money', 'free'])
  const { model, tokenizer } = await loadAdapted(temporary('words'))
  open.push(model)
  expect(tokenizer.encode(['free money']).ids).toEqual([Int32Array.of(2, 1)])
})

it('files of PEFT say what they do not say by options', async () => {
  const folder = goldenPath('lora/query_value/adapter')
  const { model } = await loadAdapted(folder, { base: await baseOf('lora/base'), labels: ['x', 'y', 'z'] })
  open.push(model)
  expect([model.parts.task, model.labels]).toEqual(['sequence-classification', ['x', 'y', 'z']])
  await expect(loadAdapted(folder, { offline: true })).rejects.toThrow(/the model that the adapter was trained on cannot be had: There is no folder "base" in .*One that is elsewhere: loadAdapted\(source, \{ base: '…' \}\)\./s)
  await expect(loadAdapted(folder, { base: await baseOf('bert/base') })).rejects.toThrow(
    new InputError("labels: sequence-classification needs the names of its classes, as in labels: ['ham', 'spam']."))

  await cp(folder, temporary('silent'), { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  const write = (changed: Record<string, unknown>): Promise<void> => writeFile(temporary('silent', 'adapter_config.json'), JSON.stringify({ ...config, ...changed }))
  await write({ base_model_name_or_path: null })
  await expect(loadAdapted(temporary('silent'))).rejects.toThrow(new CheckpointError(
    `${temporary('silent')}: its adapter_config.json does not name the model that the adapter was trained on (base_model_name_or_path: null). Name it: loadAdapted(source, { base: '…' }).`))
  await write({ task_type: null })
  await expect(loadAdapted(temporary('silent'))).rejects.toThrow(new CheckpointError(
    `${temporary('silent')}: its files do not say what the model is for, or not as a task that is here (task_type: null). Say it: loadAdapted(source, { task }), ` +
      'with one of feature-extraction, sentence-embedding, sequence-classification, image-classification, image-embedding, image-text, token-classification, question-answering, masked-lm, causal-lm, seq2seq-lm.'))
})

it('a base that is not where the adapter was trained any more is named, with the option for another', async () => {
  await saved('bert/base', { task: 'feature-extraction' }, lora(), 'moved')
  const [old, now] = [temporary('bert-base'), temporary('elsewhere')]
  await rename(old, now)
  await expect(loadAdapted(temporary('moved'))).rejects.toThrow(new CheckpointError(
    `${temporary('moved')}: the model that the adapter was trained on cannot be had: ${old}: there is no such folder. One that is elsewhere: loadAdapted(source, { base: '…' }).`))
  const { model } = await loadAdapted(temporary('moved'), { base: now })
  open.push(model)
  expect(model.parts.source).toBe(now)
})

it('base and adapter come from the Hub, each at its revision', async () => {
  const { logits } = await saved('bert/base', { task: 'sequence-classification', labels: ['ham', 'spam'] }, lora(), 'for-hub')
  const path = temporary('for-hub', 'adapter_config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')) as object, base_model_name_or_path: 'org/base', revision: 'v1' }))
  const filesIn = async (folder: string): Promise<Record<string, Buffer>> =>
    Object.fromEntries(await Promise.all((await readdir(folder)).map(async (file) => [file, await readFile(join(folder, file))] as const)))
  const [first, second] = ['a'.repeat(40), 'b'.repeat(40)]
  const hub = await startHub({
    'org/base': { refs: { main: second, v1: first }, commits: { [first]: await filesIn(temporary('bert-base')), [second]: { 'README.md': Buffer.from('gone') } } },
    'org/adapter': { refs: { main: first }, commits: { [first]: await filesIn(temporary('for-hub')) } },
  })
  try {
    const { model, tokenizer } = await loadAdapted('org/adapter', { endpoint: hub.endpoint, cacheFolder: temporary('cache'), token: '' })
    open.push(model)
    expect([model.labels, model.parts.source, forward(model)]).toEqual([['ham', 'spam'], 'org/base', logits])
    expect(tokenizer.vocabSize).toBe(WORDS.length)
  } finally {
    await hub.close()
  }
})

it('nothing of the model stays where the adapter cannot be loaded', async () => {
  await saved('bert/base', { task: 'sequence-classification', labels: ['ham', 'spam'] }, lora(), 'fails')
  const base = await baseOf('distilbert/base')
  const count = tf.memory().numTensors
  await expect(loadAdapted(temporary('fails'), { base })).rejects.toThrow(TargetError)
  expect(tf.memory().numTensors).toBe(count)
})
