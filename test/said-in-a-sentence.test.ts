// Mistakes of a first day: what went wrong is said in one sentence, with the way out.

import { join } from 'node:path'
import { expect, it } from 'vitest'
import { classify } from '../src/answers/classify.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { merge } from '../src/base/adapter/merge.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { generateText } from '../src/base/generate/text.ts'
import { loadTokenizer } from '../src/base/tokenizer/tokenizer.ts'
import { CheckpointError, InputError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { predict } from '../src/training/predict.ts'
import { Trainer } from '../src/training/trainer.ts'
import { goldenPath } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const labels = ['ham', 'spam']
const classifier = (): ReturnType<typeof loadModel> => loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels })
const saying = async (work: () => unknown): Promise<string> => {
  try {
    await work()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing'
}

it('a forgotten await: of a model, an adapter and a tokenizer', async () => {
  const waiting = classifier() as never
  const ofModel = 'Expected a model, got a Promise of one: write `await` before what gives it, as in await loadModel(…).'
  const model = await classifier()
  for (const work of [
    () => attach(waiting, lora()), () => predict(waiting, { ids: [[1]] }), () => merge(waiting, []), () => loadAdapter(waiting, 'x'),
    () => new Trainer({ model: waiting, train: { ids: [[1]] } }), () => classify(waiting, {} as never, ['a']),
  ]) expect(await saying(work)).toBe(ofModel)
  const adapter = Promise.resolve(attach(model, lora())) as never
  const ofAdapter = 'Expected an adapter, got a Promise of one: write `await` before what gives it, as in await loadAdapter(…).'
  for (const work of [() => { detach(adapter) }, () => merge(model, adapter)]) expect(await saying(work)).toBe(ofAdapter)
  const tokenizer = loadTokenizer(goldenPath('answers/tagger')).catch(() => undefined) as never
  const ofTokenizer = 'Expected a tokenizer, got a Promise of one: write `await` before what gives it, as in await loadTokenizer(…).'
  for (const work of [() => classify(model, tokenizer, ['a']), () => generateText(model, tokenizer, 'a', { maxNewTokens: 1 })]) expect(await saying(work)).toBe(ofTokenizer)
  const loaded = await (waiting as ReturnType<typeof classifier>)
  loaded.dispose()
  model.dispose()
})

it('an adapter of another task', async () => {
  const model = await classifier()
  const folder = temporary('of-words')
  await attach(model, lora()).save(folder)
  model.dispose()
  const tagger = await loadModel(goldenPath('bert/base'), { task: 'token-classification', labels })
  await expect(loadAdapter(tagger, folder)).rejects.toThrow(new CheckpointError(
    `${folder}: the adapter was trained for 'sequence-classification', and the model was loaded for 'token-classification'. ` +
    "Load the model with { task: 'sequence-classification' } and its labels.", []))
  tagger.dispose()
})

it('an adapter of a model of another size', async () => {
  const model = await loadModel(goldenPath('bert/base'))
  const folder = temporary('of-base')
  await attach(model, lora({ targets: 'all-linear' })).save(folder)
  model.dispose()
  const other = await loadModel(goldenPath('bert/odd_sizes'))
  const said = await saying(() => loadAdapter(other, folder))
  expect(said.split('\n')[0]).toBe(`${folder}: the adapter was made for a model of another size or family (its settings name ${JSON.stringify(goldenPath('bert/base'))}) ` +
    `than this one, ${JSON.stringify(goldenPath('bert/odd_sizes'))}. The first tensors that do not fit:`)
  expect(said.split('\n').length).toBeLessThan(8)
  other.dispose()
})

it('a folder that is not there', async () => {
  const nowhere = join(temporary('none'), 'spam-lora')
  const model = await classifier()
  await expect(loadAdapter(model, nowhere)).rejects.toThrow(new InputError(`${nowhere}: there is no such folder`))
  await expect(loadModel('./nowhere')).rejects.toThrow(new InputError('./nowhere: there is no such folder'))
  expect(await saying(() => loadModel('not/here', { endpoint: 'http://127.0.0.1:9', cacheFolder: temporary('cache'), retryDelay: 1 })))
    .toMatch(new RegExp(`\\. There is no folder "not/here" in ${process.cwd()} either$`))
  model.dispose()
})

it('a model that was disposed', async () => {
  const model = await classifier()
  model.dispose()
  expect(await saying(() => attach(model, lora()))).toMatch(/^attach: .*disposed/)
  expect(await saying(() => loadAdapter(model, 'x'))).toMatch(/^loadAdapter: .*disposed/)
})
