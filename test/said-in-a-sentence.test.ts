// Mistakes of a first day: what went wrong is said in one sentence, with the way out.

import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { chat } from '../src/answers/chat.ts'
import { classify } from '../src/answers/classify.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import { merge } from '../src/base/adapter/merge.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { generateText } from '../src/base/generate/text.ts'
import { loadTokenizer } from '../src/base/tokenizer/tokenizer.ts'
import { CheckpointError, InputError } from '../src/errors.ts'
import { ewc } from '../src/forgetting/ewc.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { untilInterrupted } from '../src/training/interrupt.ts'
import { evaluate } from '../src/training/measure.ts'
import { predict } from '../src/training/predict.ts'
import { progress } from '../src/training/progress.ts'
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

it('something else in place of a model or a tokenizer', async () => {
  const model = await classifier()
  const words = await loadTokenizer(goldenPath('answers/pieces'))
  expect(await saying(() => classify(words as never, model as never, ['a']))).toBe('Expected a model, as loadModel gives it, got a tokenizer.')
  expect(await saying(() => classify(model, 'some/model' as never, ['a']))).toBe('Expected a tokenizer, as loadTokenizer gives it, got "some/model".')
  expect(await saying(() => generateText(model, undefined as never, 'a', { maxNewTokens: 1 }))).toBe('Expected a tokenizer, as loadTokenizer gives it, got undefined.')
  expect(await saying(() => attach({ model, tokenizer: words } as never, lora()))).toBe('Expected a model, as loadModel gives it, got an object that has one: give its `model`.')
  expect(await saying(() => new Trainer({ model: 'some/model' as never, train: { ids: [[1]] } }))).toBe('Expected a model, as loadModel gives it, got "some/model".')
  model.dispose()
})

it('a forgotten await of a training: its adapter is saved, merged or asked before the end; what a watcher does in between is meant', async () => {
  const said: string[] = []
  const warn = vi.spyOn(console, 'warn').mockImplementation((text: string) => { said.push(text) })
  const model = await classifier()
  const adapter = attach(model, lora())
  const rows = { ids: [[1, 2], [3, 4]], labels: [0, 1] }
  const fit = (onEvent = (): void => undefined): Promise<unknown> => new Trainer({ model, train: rows, evaluate: rows, maxSteps: 2 }).fit({ onEvent })
  const warning = (of: string): string => `${of}: a training of this model is going on, and these are the tensors of a step in between. Write \`await\` before its fit(…); ` +
    'to look at it on its way, call this in `onEvent` or in a loop over trainer.run().'
  const folder = temporary('half')
  for (const [of, work] of [
    ["save of 'default'", () => adapter.save(folder)], ['merge', () => { merge(model, adapter).dispose() }],
    ['The answers of a model', () => predict(model, { ids: rows.ids })], ['The answers of a model', () => evaluate(model, rows)],
  ] as const) {
    const training = fit()
    await work()
    await work() // once is enough
    expect(said.splice(0)).toEqual([warning(of)])
    await training
  }
  const training = fit()
  await predict(model, { ids: rows.ids }, { adapter: [] })
  expect(await saying(() => fit())).toBe('Trainer.fit: another training of the same tensors is going on. Write `await` before its fit(…).')
  await training
  const saves: Promise<void>[] = []
  await fit(() => { saves.push(adapter.save(folder)) })
  await Promise.all(saves)
  for await (const event of new Trainer({ model, train: rows, maxSteps: 2 }).run()) if (event.type === 'step') await adapter.save(folder)
  await adapter.save(folder)
  await predict(model, { ids: rows.ids })
  expect(said).toEqual([])
  warn.mockRestore()
  model.dispose()
})

it('a forgotten await of loadAdapter: the model answers without it', async () => {
  const said: string[] = []
  const warn = vi.spyOn(console, 'warn').mockImplementation((text: string) => { said.push(text) })
  const model = await classifier()
  const folder = temporary('awaited')
  const adapter = attach(model, lora())
  await adapter.save(folder)
  said.splice(0) // nothing of it was trained
  detach(adapter)
  const ask = (): Promise<unknown> => predict(model, { ids: [[1, 2]] })
  const load = loadAdapter(model, folder)
  await Promise.all([ask(), ask(), predict(model, { ids: [[1, 2]] }, { adapter: [] })])
  expect(said.splice(0)).toEqual(['The answers of a model: an adapter is being loaded onto it, and takes no part yet. ' +
    'Write `await` before loadAdapter(…), or name those that are to take part: { adapter }.'])
  await load
  const beside = loadAdapter(model, folder, { name: 'beside', enabled: false })
  await Promise.all([ask(), beside])
  await expect(loadAdapter(model, folder)).rejects.toThrow('the model already has an adapter called')
  await ask()
  expect(said).toEqual([])
  warn.mockRestore()
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
    .toMatch(new RegExp(`^There is no folder "not/here" in ${process.cwd()}, and the Hub does not give it either: not/here: `))
  model.dispose()
})

it('a model that was disposed', async () => {
  const model = await classifier()
  model.dispose()
  expect(await saying(() => attach(model, lora()))).toMatch(/^attach: .*disposed/)
  expect(await saying(() => loadAdapter(model, 'x'))).toMatch(/^loadAdapter: .*disposed/)
})

it('options of a training that would do nothing or something else', async () => {
  const model = await classifier()
  const adapter = attach(model, lora())
  const rows = { ids: [[1, 2], [3, 4]], labels: [0, 1] }
  const trained = (options: object): Promise<string> => saying(() => new Trainer({ model, train: rows, ...options }))
  const problem = (...texts: string[]): string => ['Trainer: the options cannot be used:', ...texts.map((text) => `  - ${text}`)].join('\n')
  expect(await trained({ learningRate: '1e-3', weightDecay: -1, maxSeconds: NaN, guards: ewc({ strength: 1 }) })).toBe(problem(
    'learningRate: expected a number of at least 0, got "1e-3"', 'weightDecay: expected a number of at least 0, got -1',
    'maxSeconds: expected a number of at least 0, got NaN', 'guards: expected a list, as in [guard]'))
  const fitted = (options: object): Promise<string> => saying(() => new Trainer({ model, train: rows, maxSteps: 1 }).fit(options))
  const watchers = 'watchers: expected a list of what progress() and its like give, got'
  expect(await fitted({ watchers: [progress, Promise.resolve(progress())], signal: untilInterrupted })).toBe(['Trainer.fit: the options cannot be used:',
    `  - ${watchers} the function progress: call it`, `  - ${watchers} a promise: write \`await\` before what gives it`,
    '  - signal: expected an AbortSignal, as untilInterrupted() gives one, got the function untilInterrupted: call it'].join('\n'))
  expect(await fitted({ watchers: progress() })).toBe(`Trainer.fit: the options cannot be used:\n  - ${watchers} no list`)
  expect(await fitted({})).toBe('nothing') // what was refused has left no training behind
  expect(await saying(() => merge(model, 'default' as never))).toBe('merge: expected an adapter, or a list of them, got "default"; by its name adapterNamed(model, \'spam\') finds one.')
  expect(await saying(() => merge(model, undefined as never))).toMatch(/^merge: expected an adapter, or a list of them, got undefined/)
  detach(adapter)
  model.dispose()
})

it('a task of PEFT, and labels that are no names', async () => {
  const load = (task: string, given: unknown): Promise<string> => saying(() => loadModel(goldenPath('bert/base'), { task, labels: given } as never))
  const head = 'loadModel: the options cannot be used:\n  - '
  expect(await load('SEQ_CLS', labels)).toBe(`${head}task: expected 'sequence-classification', got "SEQ_CLS"`)
  expect(await load('spam', undefined)).toMatch(/^loadModel: the options cannot be used:\n {2}- task: expected one of .*sequence-classification.*, got "spam"$/)
  for (const [wrong, shown] of [[3, '3'], [['a', 'a'], '["a","a"]'], [{ a: 0 }, '{"a":0}']] as const) {
    expect(await load('sequence-classification', wrong)).toBe(`${head}labels: expected names of classes that differ, as in ['ham', 'spam'], got ${shown}`)
  }
})

it('a text, or nothing, in place of a conversation', async () => {
  const model = await classifier()
  const tokenizer = await loadTokenizer(goldenPath('tokenizer/words'))
  expect(await saying(() => chat(model, tokenizer, 'Hi' as never, { maxNewTokens: 1 }))).toBe(
    'chat: expected messages, a list of { role, content }, got "Hi". A text by itself is continued by generateText.')
  expect(await saying(() => chat(model, tokenizer, [{ role: 'user', content: 'Hi' }], undefined as never))).not.toMatch(/destructure/)
  expect(await saying(() => tokenizer.applyChatTemplate(null as never))).toMatch(/applyChatTemplate: expected a list of messages, \{ role, content \}, got null\./)
  model.dispose()
})

it('an adapter in place of its name, a method that was not called, and an adapter that is not loaded yet', async () => {
  const model = await classifier()
  const ids = [[1, 2]]
  expect(await saying(() => predict(model, { ids }, { adapter: 'spam' }))).toBe("The model has no adapter 'spam'; it has none (one that is loaded is there after `await loadAdapter(…)`).")
  expect(await saying(() => attach(model, lora as never))).toBe('attach: expected a method, as lora() gives it, got the function; call it: lora().')
  const adapter = attach(model, lora(), { name: 'spam' })
  expect(await saying(() => predict(model, { ids }, { adapter: adapter as never }))).toBe("Expected the name of an adapter, got an object that has one: give its name, 'spam'; the model has 'spam'.")
  expect(await saying(() => predict(model, { ids }, { adapter: null as never }))).toBe("Expected the name of an adapter, got null; the model has 'spam'.")
  expect(await saying(() => predict(model, { ids }, { adapter: Promise.resolve(adapter) as never }))).toBe('Expected an adapter, got a Promise of one: write `await` before what gives it, as in await loadAdapter(…).')
  model.dispose()
})
