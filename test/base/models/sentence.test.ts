import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Pooling } from '../../../src/base/architecture.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { contrastive } from '../../../src/base/tasks/similarity.ts'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2'
const task = 'sentence-embedding'
const tokens = {
  ids: Int32Array.of(5, 6, 7, 8, 9, 1), mask: Int32Array.of(1, 1, 0, 0, 1, 1), batch: 2, length: 3,
}

let folder: string
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-')) })
afterEach(async () => { await rm(folder, { recursive: true }) })

async function embedding(source: string, options: { pooling?: Pooling; normalize?: boolean } = {}): Promise<Float32Array> {
  const model = await loadModel(source, { task, offline: true, ...options })
  const batch = source === MINILM ? (await readGolden('minilm.safetensors')).batch('input_ids', 'attention_mask') : tokens
  const vectors = tf.tidy(() => valuesOf(model.forward(batch)).slice())
  model.dispose()
  return vectors
}

/** A model with modules.json and a pooling beside it. */
async function withModules(modules: unknown, pooling: unknown = {}): Promise<string> {
  await cp(goldenPath('bert/base'), folder, { recursive: true })
  await mkdir(join(folder, '1_Pooling'))
  await writeFile(join(folder, 'modules.json'), JSON.stringify(modules))
  await writeFile(join(folder, '1_Pooling/config.json'), JSON.stringify(pooling))
  return folder
}

const module = (path: string, kind: string): object => ({ idx: 0, name: '0', path, type: `sentence_transformers.models.${kind}` })
const STEPS = [module('', 'Transformer'), module('1_Pooling', 'Pooling')]

describe('sentence embedding', () => {
  it('of the real all-MiniLM-L6-v2 pools and normalises as its files say', async () => {
    const golden = await readGolden('objectives.safetensors')
    expect(largestDifference(await embedding(MINILM), golden.numbers('minilm/mean'))).toBeLessThan(1e-6)
  })

  it('takes the first token where it is asked to', async () => {
    const golden = await readGolden('objectives.safetensors')
    expect(largestDifference(await embedding(MINILM, { pooling: 'cls', normalize: false }), golden.numbers('minilm/cls'))).toBeLessThan(1e-4)
  })

  it('finds first and last tokens beside padding on either side', async () => {
    const model = await loadModel(goldenPath('bert/base'))
    const rows = tf.tidy(() => valuesOf(model.forward(tokens)).slice())
    model.dispose()
    const row = (i: number): number[] => [...rows.subarray(i * 32, (i + 1) * 32)]
    expect([...(await embedding(goldenPath('bert/base'), { pooling: 'cls' }))]).toEqual([...row(0), ...row(4)])
    expect([...(await embedding(goldenPath('bert/base'), { pooling: 'last' }))]).toEqual([...row(1), ...row(5)])
  })

  it('is the mean where the files say nothing, and can be had of a decoder', async () => {
    const plain = await embedding(goldenPath('gpt2/base'))
    expect(plain).toEqual(await embedding(goldenPath('gpt2/base'), { pooling: 'mean', normalize: false }))
  })

  it.each([
    ['older files', { pooling_mode_mean_tokens: false, pooling_mode_lasttoken: true }],
    ['newer files', { pooling_mode: 'lasttoken' }],
  ])('reads the pooling of %s', async (_, pooling) => {
    expect(await embedding(await withModules(STEPS, pooling))).toEqual(await embedding(goldenPath('bert/base'), { pooling: 'last' }))
  })

  it.each([
    ['a step it does not have', [...STEPS, module('2_Dense', 'Dense')], {}, /Pooling and Normalize behind the Transformer; also there:\n {2}- sentence_transformers.models.Dense/],
    ['a pooling it does not have', STEPS, { pooling_mode_max_tokens: true }, /expected one way of pooling, mean, cls, lasttoken; got "pooling_mode_max_tokens"/],
    ['two poolings at once', STEPS, { pooling_mode: ['mean', 'cls'] }, /got "mean" and "cls"/],
    ['something else than modules', { a: 1 }, {}, /expected a list of modules, each with a path and a type/],
  ])('refuses %s', async (_, modules, pooling, message) => {
    const source = await withModules(modules, pooling)
    await expect(loadModel(source, { task })).rejects.toThrow(CheckpointError)
    await expect(loadModel(source, { task })).rejects.toThrow(message)
  })

  it('refuses poolings of another task, and classification its own', async () => {
    await expect(loadModel(goldenPath('bert/base'), { task, pooling: 'pooler' })).rejects.toThrow(
      "pooling: expected 'mean' or 'cls' or 'last' for sentence-embedding, got 'pooler'.")
    await expect(loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'], pooling: 'cls' })).rejects.toThrow(
      "pooling: expected 'pooler' or 'mean' for classification, got 'cls'.")
  })

  it('comes back from its files with the same embeddings', async () => {
    const model = await loadModel(goldenPath('bert/base'), { task, pooling: 'cls', normalize: true })
    const vectors = tf.tidy(() => valuesOf(model.forward(tokens)).slice())
    await model.save(folder)
    model.dispose()
    expect(await embedding(folder)).toEqual(vectors)
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({ architectures: ['BertModel'] })
  })
})

const { loss: contrastiveLoss } = contrastive().parts

describe('contrastive loss', () => {
  it('has the value and the gradient of float64', async () => {
    const golden = await readGolden('objectives.safetensors')
    const vectors = tf.variable(tf.tensor2d(golden.numbers('contrastive/vectors') as Float32Array, [10, 6]))
    const labels = Int32Array.from(golden.numbers('contrastive/labels'))
    const { value, grads } = valueAndGrads(() => contrastiveLoss(vectors, { labels }).sum, { vectors })
    const mean = (tensor: tf.Tensor): Float32Array => valuesOf(tensor).map((x) => x / labels.length)
    expect(largestDifference(mean(value), golden.numbers('contrastive/loss'))).toBeLessThan(1e-5)
    expect(largestDifference(mean(grads['vectors'] ?? value), golden.numbers('contrastive/grad'))).toBeLessThan(1e-5)
    tf.dispose([vectors, value, ...Object.values(grads)])
  })

  it('reaches a LoRA through pooling and length: its gradient is the slope of the loss', async () => {
    const model = await loadModel(goldenPath('gpt2/base'), { task, normalize: true })
    const adapter = attach(model, lora({ rank: 4, init: 'gaussian' }), { seed: 5 })
    const batch = { ids: Int32Array.from({ length: 28 }, (_, i) => 1 + ((i * 11) % 31)), batch: 4, length: 7, labels: Int32Array.of(0, 1) }
    const count = tf.memory().numTensors
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    const norm = Math.sqrt(Object.values(grads).reduce((sum, grad) => valuesOf(grad).reduce((part, x) => part + x * x, sum), 0))
    const start = Object.entries(adapter.trainable).map(([name, variable]) => [name, variable, variable.clone()] as const)
    const at = (distance: number): number => tf.tidy(() => {
      for (const [name, variable, from] of start) variable.assign(tf.add(from, tf.mul(grads[name] ?? NaN, distance / norm)))
      return valuesOf(model.loss(batch))[0] ?? NaN
    })
    const step = 3e-3
    expect(Math.abs((at(step) - at(-step)) / (2 * step) / norm - 1)).toBeLessThan(2e-3)
    tf.dispose([value, ...Object.values(grads), ...start.map(([, , from]) => from)])
    expect(tf.memory().numTensors).toBe(count)
    detach(adapter)
    model.dispose()
  })

  it('refuses labels that leave nothing to choose from, that point nowhere, and class weights', () => {
    const loss = (labels: Int32Array | undefined, options = {}) => (): unknown => tf.tidy(() => contrastiveLoss(tf.ones([4, 3]), labels === undefined ? {} : { labels }, options).sum)
    expect(loss(Int32Array.of(0, 1, 2, 3))).toThrow(new InputError('labels: expected one for each of the first texts, with others behind them; got 4 for 4 texts.'))
    expect(loss(Int32Array.of(0, 2))).toThrow('labels: expected 0 to 1')
    expect(loss(undefined)).toThrow('The loss needs labels')
    expect(loss(Int32Array.of(0, 1), { classWeights: [1, 1] })).toThrow('labelSmoothing, classWeights: expected none; the model has no classes that exclude each other.')
  })
})
