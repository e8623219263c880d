import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach, disable, enable } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { InputError } from '../../src/errors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { writeCheckpoint } from '../../src/training/checkpoint.ts'
import { eventLog } from '../../src/training/event-log.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import { untilInterrupted } from '../../src/training/interrupt.ts'
import { Trainer } from '../../src/training/trainer.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, valuesOf } from '../golden.ts'

const temporary = temporaryFolder()
const train = { ids: [[2, 5, 3], [2, 7, 3], [2, 9, 3], [2, 11, 3]], labels: [0, 1, 0, 1] }
let model: Model
let adapter: Adapter
beforeAll(async () => { model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] }) })
beforeEach(() => { adapter = attach(model, lora({ rank: 2, targets: ['query'] }), { name: `adapter ${tests++}` }); return () => { detach(adapter) } })
afterAll(() => { model.dispose() })
let tests = 0

function trainer(options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({ model, train, batchSize: 2, epochs: 2, ...options })
}

const lines = (path: string): TrainerEvent[] => readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as TrainerEvent)

describe('watchers', () => {
  it('an event log serves several trainings, and never writes into another file', async () => {
    const log = eventLog(temporary('log.jsonl'))
    await trainer().fit({ watchers: [log] })
    const other = openSync(temporary('other'), 'w') // gets the number that the log's file had
    await trainer().fit({ watchers: [log] })
    closeSync(other)
    log.close?.()
    expect(readFileSync(temporary('other'), 'utf8')).toBe('')
    expect(lines(temporary('log.jsonl')).map(({ type, step }) => `${type} ${step}`)).toEqual(['step 1', 'step 2', 'step 3', 'step 4', 'end 4', 'step 1', 'step 2', 'step 3', 'step 4', 'end 4'])
  })

  it('that fails when it is closed keeps none of the others from being closed, and its error is thrown', async () => {
    const closed: number[] = []
    const watcher = (number: number, fail: boolean) => ({
      onEvent: () => undefined,
      close: () => {
        closed.push(number)
        if (fail) throw new Error(`${number} is broken`)
      },
    })
    await expect(trainer().fit({ watchers: [watcher(1, true), watcher(2, true), watcher(3, false)] })).rejects.toThrow('1 is broken')
    expect(closed).toEqual([1, 2, 3])
  })

  it('that fails at an event ends the training with a checkpoint; the others are told of it', async () => {
    const folder = temporary('failed')
    const seen: string[] = []
    const failing = { onEvent: ({ step }: TrainerEvent) => { if (step === 2) throw new Error('the disk is full') } }
    const fit = trainer({ checkpoints: { folder, every: 3 } }).fit({ watchers: [failing, { onEvent: ({ type, step }) => seen.push(`${type} ${step}`) }] })
    await expect(fit).rejects.toThrow('the disk is full')
    expect(seen).toEqual(['step 1', 'step 2', 'checkpoint 2', 'end 2'])
    expect(readdirSync(folder)).toEqual(['step-00000002.safetensors'])
  })
})

describe('the signals of the process', () => {
  const counts = (): number[] => ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal))

  it('are what they were when a training has ended, however many there were, and are heard in a second one with the same signal', async () => {
    const before = counts()
    const signal = untilInterrupted()
    for (let i = 0; i < 2; i++) {
      const during: number[][] = []
      await trainer().fit({ signal, onEvent: () => void during.push(counts()) })
      expect(during[0]).toEqual(before.map((count) => count + 1))
      expect(counts()).toEqual(before)
    }
    for (let i = 0; i < 12; i++) untilInterrupted()
    expect(counts()).toEqual(before.map((count) => count + 1))
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, process.listeners(name).at(-1) as NodeJS.SignalsListener)
  })
})

describe('a folder of checkpoints', () => {
  it('is that of one training at a time', async () => {
    const folder = temporary('shared')
    const first = trainer({ checkpoints: { folder } }).run()
    await first.next()
    await expect(trainer({ checkpoints: { folder } }).fit()).rejects.toThrow(
      `${folder} has the checkpoints of another training, of this process, which is still running. Wait for its end, or give this one another folder. ` +
      `If there is no such training any more, remove ${folder}/.training.lock.`,
    )
    await first.return()
    await trainer({ checkpoints: { folder } }).fit()
    expect(readdirSync(folder)).toEqual(['step-00000002.safetensors', 'step-00000004.safetensors'])
  })

  it('that a process which died has locked is taken over; that of one which runs, here or elsewhere, is not', async () => {
    const folder = temporary('locked')
    mkdirSync(folder)
    const lock = (owner: object): void => { writeFileSync(temporary('locked', '.training.lock'), JSON.stringify(owner)) }
    lock({ pid: process.ppid, host: hostname() })
    await expect(trainer({ checkpoints: { folder } }).fit()).rejects.toThrow(`of process ${process.ppid} on ${hostname()}, which is still running`)
    lock({ pid: 4_000_000, host: 'elsewhere' })
    await expect(trainer({ checkpoints: { folder } }).fit()).rejects.toThrow('of process 4000000 on elsewhere, which is still running')
    lock({ pid: 4_000_000, host: hostname() })
    await trainer({ checkpoints: { folder } }).fit()
    expect(readdirSync(folder)).toEqual(['step-00000002.safetensors', 'step-00000004.safetensors'])
  })

  it('that cannot be made says so before the first step', async () => {
    writeFileSync(temporary('file'), '')
    await expect(trainer({ checkpoints: { folder: temporary('file') } }).fit()).rejects.toThrow(/file cannot be written: EEXIST.*Choose another folder for the checkpoints\./)
  })
})

describe('a checkpoint whose hash is right and whose state is not', () => {
  const good = { step: 1, skipped: 0, optimizerStep: 1, settings: {} }

  it.each<[string, unknown, string[]]>([
    ['a state that is a list', [], ['state: expected an object, got []']],
    ['a state that is null', null, ['state: expected an object, got null']],
    ['wrong numbers', { ...good, step: 2, skipped: -1, optimizerStep: 'x', best: { value: 1, step: 9, since: 0 } }, [
      'skipped: expected an integer of at least 0 and of at most 1, got -1', 'optimizerStep: expected an integer of at least 0 and of at most 1, got "x"',
      'best.step: expected an integer of at least 0 and of at most 1, got 9', "step: expected 1, as in the file's metadata, got 2"]],
    ['settings of another kind', { ...good, settings: 5 }, ['settings: expected an object, got 5']],
    ['settings that are missing', { step: 1, skipped: 0, optimizerStep: 1 }, []],
  ])('(%s) is refused with all that is wrong', async (name, state, problems) => {
    const folder = temporary(`forged ${name}`)
    await writeCheckpoint(folder, { step: 1, state, tensors: {} })
    const error: unknown = await trainer({ checkpoints: { folder } }).fit().catch((caught: unknown) => caught)
    expect(error).toMatchObject({ name: 'CheckpointError' })
    for (const problem of problems) expect((error as Error).message).toContain(problem)
  })

  it('(tensors of other shapes) is refused before anything changes', async () => {
    const folder = temporary('shapes')
    await trainer({ checkpoints: { folder, every: 100 } }).fit({ onEvent: ({ step }) => { if (step === 1) throw new Error('enough') } }).catch(() => undefined)
    const { readCheckpoint } = await import('../../src/training/checkpoint.ts')
    const { step, state, tensors } = await readCheckpoint(`${folder}/step-00000001.safetensors`)
    const name = Object.keys(tensors).find((each) => each.startsWith('trained.')) ?? ''
    await writeCheckpoint(folder, { step, state, tensors: { ...tensors, [name]: tf.zeros([7]) } })
    const before = Object.values(adapter.trainable).map((variable) => valuesOf(variable))
    await expect(trainer({ checkpoints: { folder } }).fit()).rejects.toThrow(new RegExp(`the checkpoint of step 1 does not fit what is trained:\\n  - ${name.replaceAll('.', '\\.')}: expected \\[\\d+, \\d+\\], got \\[7\\]$`))
    expect(Object.values(adapter.trainable).map((variable) => valuesOf(variable))).toEqual(before)
    tf.dispose(tensors)
  })
})

describe('a trainer says so, and trains nothing,', () => {
  it('when its adapter was detached', async () => {
    const made = trainer()
    detach(adapter)
    await expect(made.fit()).rejects.toThrow(new InputError(
      `Trainer: adapters that it was made to train are gone, detached or disposed: '${adapter.name}'. Attach them, and make a new Trainer.`))
  })

  it('when other adapters are enabled than when it was made', async () => {
    const made = trainer()
    const expected = (now: string): InputError => new InputError(
      `Trainer: it was made to train the adapters that were enabled then, '${adapter.name}'; now these are: ${now}. Enable the same, or make a new Trainer.`)
    disable(adapter)
    await expect(made.fit()).rejects.toThrow(expected('none'))
    enable(adapter)
    const other = attach(model, lora({ rank: 2, targets: ['key'] }), { name: 'other', train: [] })
    await expect(made.fit()).rejects.toThrow(expected(`'${adapter.name}', 'other'`))
    detach(other)
    expect(await made.fit()).toMatchObject({ end: 'finished' })
  })

  it('when there is nothing to train, and why', () => {
    disable(adapter)
    expect(() => trainer()).toThrow(new InputError(
      `Trainer: the model has nothing to train; its adapters are switched off ('${adapter.name}'); enable one: setActive(model, …).`))
    detach(adapter)
    expect(() => trainer()).toThrow(new InputError('Trainer: the model has nothing to train; attach an adapter: attach(model, lora()).'))
  })

  it('when the model was disposed', async () => {
    const other = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
    attach(other, lora({ rank: 2 }))
    const made = new Trainer({ model: other, train })
    other.dispose()
    await expect(made.fit()).rejects.toThrow(new InputError(`Trainer: the model (${goldenPath('bert/base')}) was disposed. Load it again.`))
  })
})

describe('a process that trains', { timeout: 120_000 }, () => {
  it('and whose output is closed keeps a checkpoint, and says so', async () => {
    const folder = temporary('closed')
    const run = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('long-run.ts', import.meta.url)), folder, temporary('closed.safetensors')], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stderr = ''
    run.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    run.stdout.once('data', () => run.stdout.destroy()) // as `head -1` does
    const [code] = (await once(run, 'close')) as [number]
    expect(code).toBe(1)
    expect(stderr).toMatch(/TrainingError: The training stopped after step (\d+), because the output of the program cannot be written any more: write EPIPE\. A checkpoint of it is in .*closed, and the same program resumes from there\./)
    const step = /after step (\d+)/.exec(stderr)?.[1] ?? ''
    expect(readdirSync(folder)).toContain(`step-${step.padStart(8, '0')}.safetensors`)
  })
})
