// Ids of another tokenizer fit a model's table and mean other words there.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, it, vi, type MockInstance } from 'vitest'
import { classify } from '../../../src/answers/classify.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { adaptersOf } from '../../../src/base/adapter/attached.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { generateText } from '../../../src/base/generate/text.ts'
import type { Model } from '../../../src/base/model.ts'
import type { Task } from '../../../src/base/tasks/task.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { datasetOf } from '../../../src/data/dataset.ts'
import { lora } from '../../../src/lora/lora.ts'
import { evaluate } from '../../../src/training/measure.ts'
import { predict } from '../../../src/training/predict.ts'
import { streamBatches, type StreamedBatches } from '../../../src/training/stream-batches.ts'
import { Trainer } from '../../../src/training/trainer.ts'
import { goldenPath } from '../../golden.ts'
import { closeModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const open: Model[] = []
let warn: MockInstance<typeof console.warn>
interface Vocabulary { readonly model: { readonly vocab: Record<string, number> } }

beforeAll(async () => {
  for (const [name, golden] of [['encoder', 'answers/tagger'], ['writer', 'llama/causal_lm']] as const) {
    await cp(goldenPath(golden), inFolder(name), { recursive: true })
    await cp(join(goldenPath('answers/pieces'), 'tokenizer.json'), join(inFolder(name), 'tokenizer.json'))
  }
  await written('mixed', (vocab) => { // each has the id of its neighbour
    const ids = Object.values(vocab)
    for (const [i, token] of Object.keys(vocab).entries()) if (!token.startsWith('[')) vocab[token] = ids[(i ^ 1) < ids.length ? i ^ 1 : i] ?? NaN
  })
  await written('longer', (vocab) => { vocab['newcomer'] = Object.keys(vocab).length })
})
afterEach(() => {
  warn.mockRestore()
  for (const model of open.splice(0)) closeModel(model)
})

async function written(name: string, change: (vocab: Record<string, number>) => void): Promise<void> {
  await cp(goldenPath('answers/pieces'), inFolder(name), { recursive: true })
  const json = JSON.parse(await readFile(join(inFolder(name), 'tokenizer.json'), 'utf8')) as Vocabulary
  change(json.model.vocab)
  await writeFile(join(inFolder(name), 'tokenizer.json'), JSON.stringify(json))
}

async function load(task: Task, name = 'encoder'): Promise<Model> {
  warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const model = await loadModel(inFolder(name), { task, ...(task === 'causal-lm' ? {} : { labels: ['ham', 'spam'], newHead: true }) })
  open.push(model)
  return model
}

const told = (name: string): readonly unknown[] => warn.mock.calls.flat().filter((text) => String(text).startsWith('The tokenizer')).map((text) => String(text).replace(/\d+ (tokens|have)/g, 'n $1').replaceAll(inFolder(name), 'folder').replaceAll(inFolder('mixed'), 'mixed'))
const TOLD = 'The tokenizer of mixed is not that of the model: of its n tokens n have another id in that of folder, and mean something else to the model. Take the model\'s own: await loadTokenizer(\'folder\').'

it.each<[string, (model: Model, source: string) => Promise<unknown>]>([
  ['classify', async (model, source) => await classify(model, await loadTokenizer(source), ['Ada lived in London.'])],
  ['predict', async (model, source) => await predict(model, { ids: (await loadTokenizer(source)).encode(['Ada lived in London.', 'Zürich']).ids.slice() })],
  ['evaluate', async (model, source) => await evaluate(model, { ids: (await loadTokenizer(source)).encodeWords([['Ada'], ['Zürich']]).ids, labels: [0, 1] })],
  ['Trainer', async (model, source) => {
    if (adaptersOf(model).length === 0) attach(model, lora({ rank: 2 }))
    return new Trainer({ model, train: { ids: (await loadTokenizer(source)).encode(['Ada', 'Zürich']).ids, labels: [0, 1] } })
  }],
  ['a training of a stream', async (model, source) => {
    if (adaptersOf(model).length === 0) attach(model, lora({ rank: 2 }))
    const rows = datasetOf([{ text: 'Ada', label: 'ham' }, { text: 'Zürich', label: 'spam' }])
    const train = await streamBatches(rows, { tokenizer: source, text: 'text', label: 'label', labels: ['ham', 'spam'], maxLength: 8, batchSize: 2 })
    await new Trainer({ model, train, maxSteps: 1 }).fit()
  }],
  ['a stream that is measured', async (model, source) => {
    const rows = datasetOf([{ text: 'Ada', label: 'ham' }, { text: 'Zürich', label: 'spam' }])
    const batches = await streamBatches(rows, { tokenizer: source, text: 'text', label: 'label', labels: ['ham', 'spam'], maxLength: 8, batchSize: 1 })
    await evaluate(model, batches)
  }],
])('another tokenizer than the model\'s is told to %s, once; its own, also from elsewhere or with more tokens, is not', async (_name, use) => {
  const model = await load('sequence-classification')
  for (const source of [inFolder('encoder'), goldenPath('answers/pieces'), inFolder('longer')]) await use(model, source)
  expect(told('encoder')).toEqual([])
  await use(model, inFolder('mixed'))
  expect(told('encoder')).toEqual([TOLD])
})

it('the same of a text that is continued; a model whose folder has no tokenizer says nothing', async () => {
  const model = await load('causal-lm', 'writer')
  const tokenizer = await loadTokenizer(inFolder('mixed'))
  const write = (of: Model) => () => generateText(of, tokenizer, 'Zürich', { maxNewTokens: 1 })
  for (let i = 0; i < 2; i++) expect(write(model)).toThrow('expected token ids below 37')
  expect(told('writer')).toEqual([TOLD])
  const bare = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm' })
  open.push(bare)
  expect(write(bare)).toThrow('expected token ids below 37')
  expect(told('writer')).toHaveLength(1)
})

it('a stream whose texts its tokenizer does not know says so once, in a training and where it is measured', async () => {
  const model = await load('sequence-classification')
  const adapter = attach(model, lora({ rank: 2 }))
  const stream = async (...texts: string[]): Promise<StreamedBatches> => {
    const rows = datasetOf(texts.map((text, i) => ({ text, label: i % 2 === 0 ? 'ham' : 'spam' })))
    return await streamBatches(rows, { tokenizer: inFolder('encoder'), text: 'text', label: 'label', labels: ['ham', 'spam'], batchSize: 1 })
  }
  const unknown = 'streamBatches: in 2 rows 4 of 4 tokens are unknown to the tokenizer, and all the same to the model: are the texts of a language that it was made for?'
  await new Trainer({ model, train: await stream('Ada', 'Ada'), epochs: 2 }).fit()
  expect(warn.mock.calls).toEqual([])
  const strange = await stream('漢字', '漢字')
  await new Trainer({ model, train: strange, epochs: 2 }).fit()
  expect(warn.mock.calls).toEqual([[unknown]])
  await evaluate(model, strange)
  await evaluate(model, await stream('漢字', '漢字'))
  expect(warn.mock.calls).toEqual([[unknown], [unknown]])
  expect(adapter.enabled).toBe(true)
})
