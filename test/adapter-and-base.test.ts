// An adapter whose tensors fit a model that it does not belong to: without a word the answers would be others.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { merge } from '../src/base/adapter/merge.ts'
import { loadModel, type LoadOptions } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import { CheckpointError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { goldenPath } from './golden.ts'
import { attachTrained, closeModel, forward } from './manage/models.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const BASE = goldenPath('lora/base')
const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

async function load(source = BASE, options: LoadOptions = {}): Promise<Model> {
  const model = await loadModel(source, { task: 'sequence-classification', labels: ['ham', 'news', 'spam'], ...options })
  open.push(model)
  return model
}

function kept(model: Model): Model {
  open.push(model)
  return model
}

it('an adapter is refused on a model that makes one vector of a row in another way', async () => {
  const folder = temporary('pooling')
  await attachTrained(await load(BASE, { pooling: 'mean' }), 'a', lora(), { enabled: true }).save(folder)
  await expect(loadAdapter(await load(), folder)).rejects.toThrow(new CheckpointError(
    `${folder}: the adapter was trained with pooling 'mean', and the model has 'pooler'. Load the model with { pooling: 'mean' }.`))
})

it('a classifier that pools in its own way still does when it was saved, and can be told another', async () => {
  const model = await load(BASE, { pooling: 'mean' })
  await model.save(temporary('mean'))
  expect(forward(await load(temporary('mean')))).toEqual(forward(model))
  expect((await load(temporary('mean'), { pooling: 'pooler' })).parts.pooling).toBe('pooler')
})

it('an adapter that was merged into a model is refused on it, in memory and from its files', async () => {
  const [model, folder, into] = [await load(), temporary('twice'), temporary('merged')]
  const adapter = attachTrained(model, 'a', lora(), { enabled: true, train: ['classifier'] })
  await adapter.save(folder)
  const merged = kept(merge(model, adapter))
  await merged.save(into)
  for (const [each, source] of [[merged, BASE], [await load(into), into]] as const) {
    const before = forward(each)
    await expect(loadAdapter(each, folder)).rejects.toThrow(new CheckpointError(
      `${folder}: this adapter was merged into the model (${source}) before, and would count twice. The model answers with it as it is.`))
    expect(forward(each)).toEqual(before)
  }
  const other = attachTrained(model, 'b', lora())
  await other.save(temporary('other'))
  expect((await loadAdapter(merged, temporary('other'), { name: 'b' })).enabled).toBe(true)
})

it('an adapter of a merged model is refused on the base without what was merged, and fits the merged one from its files', async () => {
  const [model, folder, into] = [await load(), temporary('second'), temporary('first')]
  const merged = kept(merge(model, attachTrained(model, 'a', lora(), { enabled: true })))
  const second = attachTrained(merged, 'b', lora(), { enabled: true })
  const right = forward(merged)
  await second.save(folder)
  await expect(loadAdapter(await load(), folder)).rejects.toThrow(new CheckpointError(
    `${folder}: the adapter was trained on a model that had other adapters merged into it, and this one (${BASE}) has not. ` +
    'Save that model, merge(model, adapter).save(folder), and load it from there: loadModel(folder), or loadAdapted(source, { base: folder }).'))
  detach(second)
  await merged.save(into)
  const again = await load(into)
  await loadAdapter(again, folder)
  expect(forward(again)).toEqual(right)
})

it('an adapter of a merged model names the folder that this was saved to, and says where it was not', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const [model, folder, into] = [await load(), temporary('of-merged'), temporary('merged-base')]
  const merged = kept(merge(model, attachTrained(model, 'a', lora(), { enabled: true })))
  const second = attachTrained(merged, 'b', lora(), { enabled: true })
  const right = forward(merged)
  const baseIn = async (): Promise<unknown> => (JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>)['base_model_name_or_path']
  await second.save(folder)
  expect([await baseIn(), warn.mock.calls]).toEqual([BASE, [[`save of 'b': its base, ${BASE} with what was merged into it, is in memory alone. ` +
    'Save that before, await model.save(folder): then the adapter names the folder, and loadAdapted finds it.']]])
  detach(second)
  await merged.save(into)
  const third = attachTrained(merged, 'b', lora(), { enabled: true })
  await third.save(folder)
  expect([await baseIn(), warn.mock.calls.length]).toEqual([into, 1])
  const again = await load(String(await baseIn()))
  await loadAdapter(again, folder)
  expect(forward(again)).toEqual(right)
  warn.mockRestore()
})

it('a model that is saved with an adapter beside it says that the adapter is not in it', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const model = await load()
  await model.save(temporary('bare'))
  const adapter = attach(model, lora(), { name: 'spam' })
  await merge(model, adapter).save(temporary('both'))
  expect(warn.mock.calls).toEqual([])
  await model.save(temporary('bare'))
  expect(warn.mock.calls).toEqual([["save: this saves the model without what is attached to it, 'spam'. The adapter by itself: adapter.save(folder); " +
    'both in one: merge(model, adapter).save(folder).']])
  warn.mockRestore()
})

it('an adapter of another model of the Hub says so, of a copy or a folder it does not; a name that is none is refused', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const source = 'sentence-transformers/all-MiniLM-L6-v2'
  const [model, folder] = [await load(source, { offline: true }), temporary('of-another')]
  await attachTrained(model, 'a', lora(), { enabled: false }).save(folder)
  const path = join(folder, 'adapter_config.json')
  const config = JSON.parse(await readFile(path, 'utf8')) as object
  const told = async (base: string): Promise<unknown[]> => {
    await writeFile(path, JSON.stringify({ ...config, base_model_name_or_path: base }))
    detach(await loadAdapter(model, folder, { name: 'b' }))
    return warn.mock.calls.splice(0).flat() as unknown[]
  }
  expect(await told('org/other-MiniLM')).toEqual([`loadAdapter: ${folder} was trained on org/other-MiniLM, and the model is ${source}: its tensors fit, and what they do there is chance. On its own: await loadAdapted("${folder}").`])
  for (const base of [source, 'org/all-MiniLM-L6-v2-int8', '/models/other', './other', 'test']) expect(await told(base)).toEqual([])
  for (const name of ['', ' ', 5]) expect(() => attach(model, lora(), { name: name as string })).toThrow(`attach: expected a text as the adapter's name, got ${JSON.stringify(name)}.`)
  warn.mockRestore()
})
