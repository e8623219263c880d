// The names of the classes that an adapter was trained for, in its files.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { AttachOptions } from '../../../src/base/adapter/attach.ts'
import { adapterNamed } from '../../../src/base/adapter/named.ts'
import { loadModel, type LoadOptions } from '../../../src/base/checkpoint/load.ts'
import { readTensors, writeTensors } from '../../../src/base/checkpoint/named-tensors.ts'
import type { Model } from '../../../src/base/model.ts'
import type { Method } from '../../../src/base/method.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { pfeiffer } from '../../../src/adapters/presets.ts'
import { lora } from '../../../src/lora/lora.ts'
import { withAdapters } from '../../../src/manage/active.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { predict } from '../../../src/training/predict.ts'
import { goldenPath } from '../../golden.ts'
import { attachTrained, closeModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []
let folder: string
beforeEach(() => { folder = temporary(`adapter-${open.length}`) })
afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

async function load(options: LoadOptions = {}): Promise<Model> {
  const model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification', newHead: options.labels?.length === 2, ...options }) // its own has three classes
  open.push(model)
  return model
}

/** Saves an adapter that was trained on a model of these classes, and what it gives. */
async function saved(model: Model, method: Method = lora(), options: AttachOptions = { train: ['classifier'] }): Promise<Float32Array> {
  await attachTrained(model, 'first', method, options).save(folder)
  return (await predict(model, rows, { adapter: 'first' })).logits
}

const rows = { ids: [[1, 2, 3], [4, 5], [6]] }
const weights = (): string => join(folder, 'adapter_model.safetensors')

it('an adapter comes back with its names on a model that has the same', async () => {
  const logits = await saved(await load({ labels: ['ham', 'spam'] }))
  const model = await load({ labels: ['ham', 'spam'] })
  await loadAdapter(model, folder)
  expect([model.labels, (await predict(model, rows)).logits]).toEqual([['ham', 'spam'], logits])
  expect((await readTensors(weights())).metadata).toEqual({
    format: 'pt', task: 'sequence-classification', id2label: '{"0":"ham","1":"spam"}', problem_type: 'single_label_classification', pooling: 'pooler',
  })
})

it('an adapter of the same classes in another order is refused, with both and the ways out', async () => {
  const logits = await saved(await load({ labels: ['ham', 'spam'] }))
  const model = await load({ labels: ['spam', 'ham'] })
  await expect(loadAdapter(model, folder)).rejects.toThrow(new CheckpointError(
    `${weights()}: the adapter was trained for { labels: ["ham","spam"] }, and the model has { labels: ["spam","ham"] }: the order differs, and each would stand for another. ` +
      'Load the model with { labels: ["ham","spam"] }; or give the adapter a head of its own, loadAdapter(model, source, { labels: ["ham","spam"] }).',
  ))
  await loadAdapter(model, folder, { labels: ['ham', 'spam'] })
  expect([model.labels, (await predict(model, rows)).logits]).toEqual([['ham', 'spam'], logits])
})

it('labels that are given beside a trained head may rename its classes, and may not exchange them', async () => {
  const logits = await saved(await load({ labels: ['ham', 'spam'] }))
  const model = await load({ labels: ['a', 'b', 'c'] })
  const refused = (labels: string[], moved: string[]): Promise<void> => expect(loadAdapter(model, folder, { labels })).rejects.toThrow(new CheckpointError(
    `${weights()}: the adapter's head was trained for the same classes in another order, and each would stand for another. Leave \`labels\` out, or give them as they are there:`, moved))
  await refused(['Spam', 'ham '], ['"Spam" is class 1 there, and class 0 in `labels`', '"ham " is class 0 there, and class 1 in `labels`'])
  await refused(['junk', 'ham'], ['"ham" is class 0 there, and class 1 in `labels`'])
  const renamed = await loadAdapter(model, folder, { labels: ['wanted', 'junk'] })
  expect([renamed.labels, (await predict(model, rows)).logits]).toEqual([['wanted', 'junk'], logits])
})

it('a checkpoint\'s own head keeps the order of its classes, unless it is made anew', async () => {
  const first = await load({ labels: ['neg', 'neutral', 'pos'] })
  await first.save(folder)
  const again = (labels: string[], newHead = false): Promise<Model> => loadModel(folder, { task: 'sequence-classification', labels, newHead })
  await expect(again(['pos', 'neutral', 'neg'])).rejects.toThrow(new CheckpointError(
    `${join(folder, 'config.json')}: the head was trained for the same classes in another order, and each would stand for another. Leave \`labels\` out, give them as they are there, or ask for a newHead:`,
    ['"pos" is class 2 there, and class 0 in `labels`', '"neg" is class 0 there, and class 2 in `labels`']))
  open.push(await again(['bad', 'neutral', 'good']), await again(['pos', 'neutral', 'neg'], true))
  expect(open.slice(-2).map(({ labels }) => labels)).toEqual([['bad', 'neutral', 'good'], ['pos', 'neutral', 'neg']])
})

it.each<[string, Method, AttachOptions]>([
  ['a LoRA', lora(), {}], ['a bottleneck, in AdapterHub\'s files', pfeiffer({ reductionFactor: 8 }), {}], ['a full fine-tuning', fullFineTuning(), {}],
])('%s with a head for other classes than the model\'s has them of its own when it is loaded', async (_, method, options) => {
  const first = await load()
  const logits = await saved(first, method, { ...options, labels: ['a', 'b', 'c', 'd', 'e'] })
  const model = await load({ labels: ['ham', 'spam'] })
  const adapter = await loadAdapter(model, folder, { name: 'topic', enabled: false })
  expect([model.labels, adapter.labels, withAdapters(model, 'topic').labels]).toEqual([['ham', 'spam'], ['a', 'b', 'c', 'd', 'e'], ['a', 'b', 'c', 'd', 'e']])
  expect((await predict(model, rows, { adapter: 'topic' })).logits).toEqual(logits)
})

it('an adapter without a head is refused where the model has other classes, unless they are said to mean the same', async () => {
  await saved(await load({ labels: ['neg', 'neutral', 'pos'] }), lora(), { train: [] })
  const model = await load({ labels: ['A', 'B', 'C'] })
  await expect(loadAdapter(model, folder)).rejects.toThrow(new CheckpointError(
    `${weights()}: the adapter was trained for { labels: ["neg","neutral","pos"] }, and the model has { labels: ["A","B","C"] }: the adapter has no head of its own. ` +
      'Load the model with { labels: ["neg","neutral","pos"] }; or, where they mean the same in this order, loadAdapter(model, source, { labels: ["A","B","C"] }).',
  ))
  await loadAdapter(model, folder, { labels: ['A', 'B', 'C'] })
  expect(model.labels).toEqual(['A', 'B', 'C'])
})

it('an adapter brings what its outputs are to each other', async () => {
  await saved(await load({ labels: ['x', 'y'], problemType: 'multi_label_classification' }))
  const model = await load({ labels: ['x', 'y'] })
  await loadAdapter(model, folder)
  expect([model.problem, model.parts.problem]).toEqual(['multi_label_classification', 'single_label_classification'])
  await saved(await load({ labels: ['x', 'y', 'z'], problemType: 'regression' }), lora(), { train: [] })
  await expect(loadAdapter(await load({ labels: ['x', 'y', 'z'] }), folder)).rejects.toThrow("was trained for { labels: [\"x\",\"y\",\"z\"], problemType: 'regression' }, and the model has")
})

it('files without names, as PEFT writes them, load as the model says, or with a head of their own where labels are given', async () => {
  const logits = await saved(await load({ labels: ['ham', 'spam'] }))
  await writeTensors(weights(), (await readTensors(weights())).tensors)
  const model = await load({ labels: ['spam', 'ham'] })
  await loadAdapter(model, folder)
  expect((await predict(model, rows)).logits).toEqual(logits)
  const other = await load({ labels: ['a', 'b', 'c'] })
  await expect(loadAdapter(other, folder)).rejects.toThrow(
    '\n  - classifier.weight: expected [3, 32], the file has [2, 32]; give the adapter its own classes, loadAdapter(model, source, { labels }) with 2 names\n')
  await loadAdapter(other, folder, { labels: ['ham', 'spam'] })
  expect([other.labels, (await predict(other, rows)).logits]).toEqual([['ham', 'spam'], logits])
  expect(adapterNamed(other, 'default').labels).toEqual(['ham', 'spam'])
})

it.each<[Record<string, string>, string]>([
  [{ task: 'poetry' }, 'task, in its metadata: expected one that this library has, got "poetry"'],
  [{ task: 'sequence-classification', id2label: '{"0":' }, 'id2label, in its metadata, is no JSON: '],
  [{ task: 'sequence-classification', id2label: '{"1":"a"}' }, 'id2label: expected the ids 0, 1 … up to 0, got "1"'],
  [{ task: 'sequence-classification', id2label: '{"0":"a"}', problem_type: 'x' }, 'problem_type: expected \'regression\', \'single_label_classification\' or \'multi_label_classification\', got "x"'],
])('damaged metadata are refused: %j', async (metadata, problem) => {
  await saved(await load({ labels: ['ham', 'spam'] }))
  await writeTensors(weights(), (await readTensors(weights())).tensors, metadata)
  const error: unknown = await loadAdapter(await load({ labels: ['ham', 'spam'] }), folder).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(CheckpointError)
  expect((error as Error).message).toContain(problem)
  expect((error as Error).message).toContain(weights())
})

it('names are written anew with the adapter, and its settings are those of before', async () => {
  await saved(await load({ labels: ['ham', 'spam'] }))
  const config = await readFile(join(folder, 'adapter_config.json'), 'utf8')
  expect(config).not.toContain('ham')
  await writeFile(join(folder, 'adapter_config.json'), config)
  const model = await load({ labels: ['x', 'y'] })
  const adapter = await loadAdapter(model, folder)
  await adapter.save(folder)
  expect((await readTensors(weights())).metadata['id2label']).toBe('{"0":"ham","1":"spam"}')
})
