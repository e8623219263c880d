import { readdir, readFile, writeFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Batch } from '../../src/base/batch.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import type { Task } from '../../src/base/tasks/task.ts'
import { bottleneck, dora, exportOnnx, lora, prefix, prompt } from '../../src/index.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { runOnnx } from './runtime.ts'

const folderFor = temporaryFolder()
const open: Model[] = []
async function load(folder: string, options: LoadOptions): Promise<Model> {
  const model = await loadModel(goldenPath(folder), options)
  open.push(model)
  return model
}
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** Rows with padding. */
function rows(batch: number, length: number, vocabSize: number): Batch {
  const ids = Int32Array.from({ length: batch * length }, (_, i) => (i * 7 + 3) % vocabSize)
  const mask = Int32Array.from({ length: batch * length }, (_, i) => (i % length < length - Math.floor(i / length) ? 1 : 0))
  return { ids, mask, batch, length }
}

/** How far the numbers of the graph are from the model's own, over real tokens, at sizes that it was not recorded at. */
async function farthest(model: Model, folder: string, output = 0): Promise<number> {
  let most = 0
  for (const [batch, length] of [[1, 1], [1, 9], [4, 6]] as const) {
    const given = rows(batch, length, model.limits?.vocabSize ?? 0)
    const own = tf.tidy(() => (model.parts.task === 'question-answering' ? tf.unstack(model.forward(given), 2)[output] as tf.Tensor : model.forward(given)))
    const theirs = Object.values(await runOnnx(folder, given))[output]
    expect(theirs?.dims).toEqual(own.shape)
    const isByToken = own.shape[1] === length
    const each = own.size / (isByToken ? batch * length : batch)
    own.dataSync().forEach((value, i) => {
      if (!isByToken || given.mask?.[Math.floor(i / each)] === 1) most = Math.max(most, Math.abs(value - Number(theirs?.data[i])))
    })
    own.dispose()
  }
  return most
}

const CASES: readonly (readonly [folder: string, task: Task])[] = [
  ['bert/sequence_classification', 'sequence-classification'], ['bert/token_classification', 'token-classification'],
  ['bert/question_answering', 'question-answering'], ['bert/masked_lm', 'masked-lm'], ['bert/base', 'feature-extraction'],
  ['relatives/camembert_sequence_classification', 'sequence-classification'], ['distilbert/sequence_classification', 'sequence-classification'],
  ['albert/masked_lm', 'masked-lm'], ['mpnet/base', 'feature-extraction'],
]

describe('a model in ONNX gives the numbers that it gives here', () => {
  it.each(CASES)('%s', async (folder, task) => {
    const model = await load(folder, { task })
    await exportOnnx(model, folderFor(folder))
    expect(await farthest(model, folderFor(folder))).toBeLessThan(1e-4)
  })

  it('the ends of answers too, and vectors of sentences beside those of their tokens', async () => {
    const reader = await load('bert/question_answering', { task: 'question-answering' })
    await exportOnnx(reader, folderFor('reader'))
    expect(await farthest(reader, folderFor('reader'), 1)).toBeLessThan(1e-4)
    const encoder = await load('bert/base', { task: 'sentence-embedding', pooling: 'mean' })
    await exportOnnx(encoder, folderFor('sentences'))
    expect(await farthest(encoder, folderFor('sentences'), 1)).toBeLessThan(1e-4)
  })

  it.each<readonly [string, () => Method]>([
    ['lora', () => lora({ rank: 2 })], ['dora', () => dora({ rank: 2 })], ['bottleneck', () => bottleneck()],
    ['prefix', () => prefix({ virtualTokens: 2 })], ['prompt', () => prompt({ virtualTokens: 2 })],
  ])('with what is attached: %s', async (name, method) => {
    const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
    attachTrained(model, name, method())
    await exportOnnx(model, folderFor(name))
    expect(await farthest(model, folderFor(name))).toBeLessThan(1e-4)
  })
})

it('the folder holds the settings and what goes along, and nothing is left in memory', async () => {
  const model = await load('bert/sequence_classification', { task: 'sequence-classification' })
  const before = [tf.memory().numTensors, tf.getBackend(), tf.engine().backendNames()]
  await exportOnnx(model, folderFor('whole'))
  expect([tf.memory().numTensors, tf.getBackend(), tf.engine().backendNames()]).toEqual(before)
  expect((await readdir(folderFor('whole'), { recursive: true })).sort()).toEqual(['config.json', 'onnx', join('onnx', 'model.onnx')])
  expect(JSON.parse(await readFile(folderFor('whole', 'config.json'), 'utf8'))).toMatchObject({ model_type: 'bert', architectures: ['BertForSequenceClassification'] })
})

describe('what cannot be exported is told before anything is written', () => {
  async function refused(folder: string, options: LoadOptions): Promise<string> {
    const model = await load(folder, options)
    const out = folderFor('kept', folder)
    await mkdir(join(out, 'onnx'), { recursive: true })
    await writeFile(join(out, 'onnx', 'model.onnx'), 'old')
    const message = await exportOnnx(model, out).then(() => 'nothing', (error: unknown) => (error as Error).message)
    expect(await readdir(out, { recursive: true })).toEqual(['onnx', join('onnx', 'model.onnx')])
    expect(await readFile(join(out, 'onnx', 'model.onnx'), 'utf8')).toBe('old')
    expect(tf.getBackend()).toBe('tensorflow')
    return message
  }

  it('weights that are quantised', async () => {
    expect(await refused('quantised/bert_int8', { task: 'feature-extraction' })).toBe(
      `exportOnnx: the weights of the model (${goldenPath('quantised/bert_int8')}) are held as int8, which has no form in ONNX here. ` +
      "Load the model with its weights in float32, load the adapter onto it, and export that: loadModel(source, { dtype: 'float32' }).")
  })

  it('numbers that depend on the length in ways of their own', async () => {
    expect(await refused('llama/rope_dynamic', { task: 'feature-extraction' })).toBe(
      'exportOnnx: these operations of the model depend on the size of a batch in a way that a graph here cannot follow:\n' +
      '  - numbers [3] that the model makes in JavaScript: they follow no rule that is known here at batch_size 2 and sequence_length 8; ' +
      'batch_size 3 and sequence_length 15; batch_size 5 and sequence_length 16')
  })

  it('models that read pictures, or two texts', async () => {
    expect(await refused('bart/base', { task: 'feature-extraction' })).toBe("exportOnnx: a model for 'feature-extraction' of the family Bart cannot be exported: only those that read one text can.")
  })
})
