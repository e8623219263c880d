// Mistakes after which a guard would hold nothing, or something would be measured that is nothing: each is told.

import { dispose, type Tensor } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Batch } from '../../src/base/batch.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import { attachLike } from '../../src/forgetting/attach-like.ts'
import { chooseStrength } from '../../src/forgetting/choose-strength.ts'
import { ewc, type Ewc } from '../../src/forgetting/ewc.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { interpolate } from '../../src/forgetting/interpolate-adapter.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { lwf } from '../../src/forgetting/lwf.ts'
import { loadGuards, saveGuards } from '../../src/forgetting/save-guards.ts'
import { learnInSequence } from '../../src/forgetting/sequence.ts'
import { sweepAlpha } from '../../src/forgetting/sweep.ts'
import { synapticIntelligence } from '../../src/forgetting/synaptic-intelligence.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import type { Guard } from '../../src/training/guard.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { closeModel, tinyModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const inFolder = temporaryFolder()

let model: Model
let adapter: Adapter
beforeAll(async () => {
  model = await tinyModel()
  adapter = attach(model, lora({ rank: 2 }))
})
afterAll(() => { closeModel(model) })

const rows = { ids: [[1, 2], [3, 4]], labels: [0, 1] }
const fit = async (...guards: readonly Guard[]): Promise<string[]> => {
  const events: TrainerEvent[] = []
  await new Trainer({ model, train: rows, guards, maxSteps: 1 }).fit({ onEvent: (event) => { events.push(event) } })
  return events.flatMap((event) => (event.type === 'warning' ? [event.text] : []))
}

it('a training with a guard of no task says so', async () => {
  const guard = ewc({ strength: 10, normalize: true })
  expect(await fit(guard)).toEqual(['ewc: it was told of no task yet, and holds nothing: guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows)), when a task has been learned.'])
  guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows))
  expect(await fit(guard)).toEqual([])
  guard.dispose()
})

it('a training with a guard that was disposed is refused', async () => {
  const held = ewc({ strength: 10 })
  held.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows))
  const [near, watching] = [l2Sp(adapter.trainable, { alpha: 1 }), synapticIntelligence(adapter.trainable, { strength: 1 })]
  for (const [name, guard] of Object.entries({ ewc: held, l2Sp: near, synapticIntelligence: watching })) {
    guard.dispose()
    await expect(fit(guard)).rejects.toThrow(new InputError(`${name}: the guard was disposed, and holds nothing any more. Dispose it after the training, or make another.`))
  }
})

it('what is given in place of tensors is told by what it is', async () => {
  const guard: Ewc = ewc({ strength: 10 })
  const fisher = diagonalFisher(model, adapter.trainable, rows)
  const expected = 'expected tensors by name, as adapter.trainable has them, got'
  expect(() => { guard.addTask(adapter.trainable, fisher as never) }).toThrow(new InputError('ewc: these cannot be used together:',
    [`the information: ${expected} a promise: write \`await\` before what gives it`]))
  const information = await fisher
  expect(() => { guard.addTask(adapter as never, information) }).toThrow(new InputError('ewc: these cannot be used together:', [`the weights: ${expected} something else`]))
  expect(() => l2Sp(adapter as never, { alpha: 1 })).toThrow(new InputError('l2Sp: these cannot be used together:', [`the start: ${expected} something else`]))
  expect(() => synapticIntelligence(undefined as never, { strength: 1 })).toThrow(new InputError('synapticIntelligence: these cannot be used together:', [`the start: ${expected} undefined`]))
})

it('Fisher information of what are no tensors or no rows is refused', async () => {
  const read = { examples: rows, labels: ['a', 'b'] }
  await expect(diagonalFisher(model, rows as never, adapter.trainable as never)).rejects.toThrow(new InputError('diagonalFisher: this cannot be computed:',
    ['the tensors: expected tensors by name, as adapter.trainable has them, got something else']))
  await expect(diagonalFisher(model, adapter.trainable, read as never)).rejects.toThrow(new InputError('diagonalFisher: this cannot be computed:',
    ['expected rows, as in { ids, labels }, got what readExamples gives; the rows are its `examples`']))
})

it('a teacher that is no function, and a score that is no number, are refused', async () => {
  expect(() => lwf({ teacher: model as never })).toThrow(new InputError('lwf: expected teacher as a function of a batch, as in (batch) => before.forward(batch), got "object".'))
  await expect(sweepAlpha(adapter, { alphas: [0.5, 1], evaluate: (on) => (on === model ? 1 : 0.5) as never })).rejects.toThrow(new InputError(
    'sweepAlpha: evaluate gave no number as score, as in { score: 0.9 }:', ['at 0.5: undefined', 'at 1: undefined']))
})

it('synaptic intelligence says where a task was not ended, and refuses to end one that it has not watched', async () => {
  const guard = synapticIntelligence(adapter.trainable, { strength: 1 })
  expect(() => { guard.endTask(adapter.trainable) }).toThrow(new InputError(
    'synapticIntelligence: endTask: it has watched no step of this task, and would hold nothing: give it to the training, new Trainer({ …, guards: [guard] }).'))
  const warning = 'synapticIntelligence: it has watched a training whose task was not ended, and does not hold what was learned there. Between two tasks: guard.endTask(adapter.trainable).'
  expect(await fit(guard)).toEqual([])
  expect(await fit(guard)).toEqual([warning])
  guard.restore?.(guard.state?.() ?? {}) // as a training does that goes on with the task from a checkpoint
  expect(await fit(guard)).toEqual([])
  guard.endTask(adapter.trainable)
  expect(await fit(guard)).toEqual([])
  guard.dispose()
})

it('a teacher that is the trained model itself is told, a copy is not', async () => {
  const train = (teacher: (batch: Batch) => Tensor): Promise<unknown> => new Trainer({ model, train: rows, batchSize: 1, guards: [lwf({ teacher })] }).fit()
  await expect(train((batch) => model.forward(batch))).rejects.toThrow('lwf: the teacher answers by the tensors that are trained: it is the trained model itself, and holds nothing.')
  const other = await tinyModel()
  await train((batch) => other.forward(batch))
  closeModel(other)
  await expect(train((async (batch: Batch) => Promise.resolve(model.forward(batch))) as never)).rejects.toThrow(
    'lwf: expected teacher to give logits, as in (batch) => before.forward(batch), got a promise: write `await` before what gives it.')
})

it('a teacher is not taken for the trained model where the first steps do not change a digit of what this answers', async () => {
  const [student, before] = [await tinyModel(), await tinyModel()]
  attach(student, lora({ rank: 2 }))
  const lwfOfBefore = lwf({ teacher: (batch) => before.forward(batch) })
  const { end } = await new Trainer({ model: student, train: rows, batchSize: 1, epochs: 4, learningRate: 1e-13, guards: [lwfOfBefore] }).fit()
  expect(end).toBe('finished')
  for (const each of [student, before]) closeModel(each)
})

it('a guard given twice, and a strength that is a text, are refused', () => {
  const guard = lwf({ teacher: (batch) => model.forward(batch) })
  expect(() => new Trainer({ model, train: rows, guards: [guard, guard] })).toThrow(
    new InputError('Trainer: the options cannot be used:', ['guards: expected each once, got one twice, which would hold twice as hard']))
  expect(() => ewc({ strength: '10' as never })).toThrow(new InputError('ewc: expected strength as a number of at least 0, got "10".'))
})

it('what is given in the place of something else is told in a sentence', async () => {
  expect(() => interpolate(model as never, 0.5, { name: 'half' })).toThrow(new InputError('Expected an adapter, as loadAdapter gives it, got a model.'))
  expect(() => interpolate(adapter, '0.5' as never, { name: 'half' })).toThrow('alpha: expected a number in [0, 1], or a function of names, got "0.5"')
  await expect(sweepAlpha(adapter, {} as never)).rejects.toThrow(new InputError('sweepAlpha: expected `evaluate`, a function that measures the model it is given, got undefined.'))
  await expect(saveGuards('nowhere', ewc({ strength: 1 }) as never)).rejects.toThrow('saveGuards: expected a list of guards, as in [guard], got {"name":"ewc(1)"')
  await expect(learnInSequence(model as never, {} as never)).rejects.toThrow('learnInSequence: expected a list of tasks, got an object that cannot be shown.')
  await expect(learnInSequence([rows], {} as never)).rejects.toThrow(new InputError('learnInSequence: train: expected a function of a task, got undefined.'))
  expect(() => merge(adapter as never, adapter)).toThrow(new InputError('Expected a model, as loadModel gives it, got an adapter.'))
  const information = await diagonalFisher(model, adapter.trainable, rows)
  dispose(information)
  expect(() => { ewc({ strength: 1 }).addTask(adapter.trainable, information) }).toThrow(new InputError('ewc: these cannot be used together:', ['the information: expected tensors by name, as adapter.trainable has them, got some that were disposed']))
})

it('a guard of no strength says so, but where its strength was set to 0 to try that', async () => {
  const told = (guard: string, name: string): string => `${guard}: ${name} is 0: it holds nothing, and the training is what it would be without it. Give ${name} above 0, or leave the guard out.`
  const other = await tinyModel()
  const none = ewc({ strength: 0 })
  expect(await fit(none)).toEqual([told('ewc', 'strength')])
  none.strength = 0
  expect(await fit(none)).toEqual([])
  const [pull, watching] = [l2Sp(adapter.trainable, { alpha: 0 }), synapticIntelligence(adapter.trainable, { strength: 0 })]
  expect(await fit(pull)).toEqual([told('l2Sp', 'alpha')])
  expect(await fit(watching)).toEqual([told('synapticIntelligence', 'strength')])
  expect(await fit(lwf({ teacher: (batch) => other.forward(batch), strength: 0 }))).toEqual([told('lwf', 'strength')])
  for (const guard of [none, pull, watching]) guard.dispose()
  closeModel(other)
})

it('information of an adapter that nobody has trained is told, of the parameters of a pretrained model it is not', async () => {
  const warningOf = async (method: Method): Promise<string | undefined> => {
    const fresh = await tinyModel()
    const { trainable } = attach(fresh, method, { train: [] })
    const guard = ewc({ strength: 10, normalize: true })
    guard.addTask(trainable, await diagonalFisher(fresh, trainable, rows))
    const text = await guard.warning()
    guard.dispose()
    closeModel(fresh)
    return text
  }
  expect(await warningOf(bitFit())).toBe(undefined)
  expect(await warningOf(lora({ rank: 2 }))).toBe('ewc: it was told of an adapter that nobody had trained: what it holds is the base, not a task. Train the first task, then guard.addTask(adapter.trainable, '
    + 'await diagonalFisher(model, adapter.trainable, rows)).')
})

it('a guard of one adapter that is used on another of the same shapes is told, on a copy of its own it is not', async () => {
  const two = await tinyModel()
  const [first, second] = ['first', 'second'].map((name, seed) => attach(two, lora({ rank: 2 }), { name, seed, enabled: false })) as [Adapter, Adapter]
  const fitOn = async (name: string, guard: Guard): Promise<string[]> => {
    const texts: string[] = []
    await new Trainer({ model: withAdapters(two, name), train: rows, guards: [guard], maxSteps: 1 }).fit({ onEvent: (event) => { if (event.type === 'warning') texts.push(event.text) } })
    return texts
  }
  const held = ewc({ strength: 10, normalize: true })
  const [pull, watching] = [l2Sp(first.trainable, { alpha: 1 }), synapticIntelligence(first.trainable, { strength: 1 })]
  expect(await fitOn('first', watching)).toEqual([])
  watching.endTask(first.trainable)
  held.addTask(first.trainable, await diagonalFisher(withAdapters(two, 'first'), first.trainable, rows))
  const folder = inFolder('first')
  await saveGuards(folder, [held], first)
  attachLike(first, first.trainable, { name: 'copy' })
  const told = (guard: string, mend: string): string[] => [`${guard}: it was told of another adapter, of the same names and shapes: what is trained begins from other numbers, and is pulled to those of that one. ${mend}`]
  const mends = [
    [held, 'ewc', 'Tell it of the adapter that is trained: guard.addTask(adapter.trainable, await diagonalFisher(model, adapter.trainable, rows)).'],
    [pull, 'l2Sp', 'Make it of the adapter that is trained: l2Sp(adapter.trainable, { alpha }).'],
    [watching, 'synapticIntelligence', 'Make it of the adapter that is trained: synapticIntelligence(adapter.trainable, { strength }).'],
  ] as const
  for (const [guard, name, mend] of mends) {
    expect(await fitOn('second', guard)).toEqual(told(name, mend))
    if (guard !== watching) expect(await fitOn('first', guard)).toEqual([])
  }
  expect(await fitOn('copy', held)).toEqual([])
  const loaded = ewc({ strength: 10, normalize: true })
  await loadGuards(folder, [loaded])
  expect(await fitOn('second', loaded)).toEqual(told('ewc', mends[0][2]))
  await loadAdapter(two, folder, { name: 'loaded' })
  expect(await fitOn('loaded', loaded)).toEqual([])
  expect(await fitOn('loaded', loaded)).toEqual([]) // its numbers are others now
  for (const guard of [held, pull, watching, loaded]) guard.dispose()
  expect(second.enabled).toBe(false)
  closeModel(two)
})

it('one task that is told twice is told, two of the same weights are not', async () => {
  const guard = ewc({ strength: 10, normalize: true })
  const [one, two] = [await diagonalFisher(model, adapter.trainable, rows), await diagonalFisher(model, adapter.trainable, { ids: [[5, 6]], labels: [0] })]
  for (const information of [one, two]) guard.addTask(adapter.trainable, information)
  expect(await fit(guard)).toEqual([])
  guard.addTask(adapter.trainable, two) // after a training: other weights
  expect(await fit(guard)).toEqual([])
  for (let times = 0; times < 2; times++) guard.addTask(adapter.trainable, two)
  expect(await fit(guard)).toEqual(['ewc: it was told of one task twice, with the same weights and the same information, and holds it twice as hard. Call addTask once after each task.'])
  guard.dispose()
})

it('a strength is not chosen by a training that does not ask for it', async () => {
  const train = (): unknown => undefined
  await expect(chooseStrength(adapter.trainable, { train, evaluate: () => 1 })).rejects.toThrow(new InputError('chooseStrength: the options cannot be used:', [
    'train: expected a function of the strength that it is to train with, as in (strength) => { guard.strength = strength; … }, got one that takes none']))
  await expect(chooseStrength(adapter.trainable, { evaluate: 0.9 } as never)).rejects.toThrow(new InputError('chooseStrength: the options cannot be used:', [
    'train: expected a function of the strength that it is to train with, as in (strength) => { guard.strength = strength; … }, got undefined',
    'evaluate: expected a function that measures the new task, got 0.9']))
})
