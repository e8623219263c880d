// While a training runs on a model, what is attached to it stays as it is.

import { afterEach, beforeEach, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach, disable, enable, rename, skipLayers } from '../../src/base/adapter/attached.ts'
import { adapterNamed } from '../../src/base/adapter/named.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { combine } from '../../src/manage/combine.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import { trainTasks } from '../../src/training/multi-task.ts'
import { predict } from '../../src/training/predict.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { attachTrained, closeModel, forward, tinyModel } from '../manage/models.ts'

let model: Model
beforeEach(async () => {
  model = await tinyModel()
  for (const name of ['a', 'b']) attachTrained(model, name, lora({ rank: 4 }))
  setActive(model, 'a')
})
afterEach(() => { closeModel(model) })

const train = { ids: [[1, 2], [3, 4], [5, 6, 7]], labels: [0, 1, 1] }
const a = (): ReturnType<typeof adapterNamed> => adapterNamed(model, 'a')
const b = (): ReturnType<typeof adapterNamed> => adapterNamed(model, 'b')

const changes: readonly (readonly [what: string, change: () => unknown])[] = [
  ['attach', () => attach(model, lora(), { name: 'c' })],
  ['loadAdapter', () => loadAdapter(model, 'nowhere')],
  ['detach', () => { detach(b()) }],
  ['enable', () => { enable(b()) }],
  ['disable', () => { disable(a()) }],
  ['setActive', () => { setActive(model, 'b') }],
  ['rename', () => { rename(a(), 'c') }],
  ['skipLayers', () => { skipLayers(a(), [0]) }],
  ['dispose', () => { model.dispose() }],
]

/** What each change is answered with. */
async function errorOf(change: () => unknown): Promise<unknown> {
  return Promise.resolve().then(change).then(() => 'no error', (error: unknown) => error)
}

it.each(changes)('%s is refused while a training runs on the model, with what to do instead', async (what, change) => {
  const expected = new InputError(`${what}: a training runs on this model (${model.parts.source}), and what is attached to it stays as it is until that ends. ` +
    'Wait for it, or end it: leave its loop, or abort its signal. To compute with other adapters meanwhile: predict(model, rows, { adapter }), withAdapters(model, names).')
  let steps = 0
  for await (const event of new Trainer({ model, train, batchSize: 1, maxSteps: 2 }).run()) {
    if (event.type !== 'step') continue
    expect(await errorOf(change)).toEqual(expected)
    steps++
  }
  expect(steps).toBe(2)
  const batches = prepareBatches(train, { batchSize: 1 })
  for await (const { step } of trainTasks({ model, tasks: [{ name: 'one', adapters: ['a'], train: batches }], steps: 1 })) {
    expect([step, await errorOf(change)]).toEqual([1, expected])
  }
  expect([a().skipped, a().enabled, b().enabled]).toEqual([[], true, false])
})

it('combine, which attaches, is refused too', async () => {
  const events = new Trainer({ model, train, maxSteps: 2 }).run()
  await events.next()
  expect(() => combine(model, [{ adapter: 'a', weight: 1 }], { name: 'c', kind: 'cat' })).toThrow('a training runs on this model')
  await events.return()
})

it('views and predictions with other adapters go on meanwhile', async () => {
  const alone = await predict(model, train, { adapter: 'b' })
  for await (const { type } of new Trainer({ model, train, maxSteps: 2, learningRate: 0.01 }).run()) {
    expect(type).toMatch(/step|end/)
    expect(await predict(model, train, { adapter: 'b' })).toEqual(alone)
    expect(forward(withAdapters(model, ['a', 'b'])).length).toBeGreaterThan(0)
  }
})

it.each<[string, () => Promise<unknown>]>([
  ['has come to its end', () => new Trainer({ model, train, maxSteps: 1 }).fit()],
  ['was left early', async () => {
    for await (const event of new Trainer({ model, train, maxSteps: 5 }).run()) if (event.type === 'step') break
  }],
  ['was ended by its generator', async () => {
    const events = new Trainer({ model, train, maxSteps: 5 }).run()
    await events.next()
    await events.return()
  }],
  ['failed', () => new Trainer({ model, train, maxSteps: 5, loss: () => { throw new Error('no') } }).fit().catch(() => undefined)],
  ['ran on a view of the model', () => new Trainer({ model: withAdapters(model, 'b'), train, maxSteps: 1 }).fit()],
  ['had not begun', async () => {
    new Trainer({ model, train, maxSteps: 1 }).run()
    await Promise.resolve()
  }],
])('a model is free again when a training %s', async (_, run) => {
  await run()
  setActive(model, ['a', 'b'])
  detach(b())
})

it('a model is held until the last of several trainings on it has ended, views of it too', async () => {
  const [first, second] = ['a', 'b'].map((name) => new Trainer({ model: withAdapters(model, name), train, batchSize: 1, maxSteps: 2 }).run())
  await Promise.all([first?.next(), second?.next()])
  await first?.return()
  expect(() => { detach(a()) }).toThrow('detach: a training runs on this model')
  await second?.return()
  detach(a())
})
