import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { houlsby } from '../../src/adapters/presets.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import { CheckpointError } from '../../src/errors.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import type { Cost } from '../../src/training/cost.ts'
import type { TrainerEvent } from '../../src/training/events.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { child } from './child.ts'

const temporary = temporaryFolder()
const ids = Array.from({ length: 24 }, (_, i) => Int32Array.from({ length: 3 + (i % 7) }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
const train = { ids, labels: Int32Array.from(ids, (_, i) => i % 2) }

/** A training of a fresh model; `until` ends it after a step. */
async function run({ method, load, source = goldenPath('bert/base'), ...options }: Partial<TrainerOptions> & { readonly method?: Method, readonly load?: LoadOptions, readonly source?: string }, until?: number): Promise<{ events: TrainerEvent[]; weights: Float32Array[] }> {
  const model: Model = await loadModel(source, { task: 'sequence-classification', labels: ['a', 'b'], ...load })
  const adapter: Adapter = attach(model, method ?? lora({ rank: 4, dropout: 0.1 }), { seed: 1 })
  const events: TrainerEvent[] = []
  const stop = new AbortController()
  try {
    await new Trainer({ model, train, ...('epoch' in (options.train ?? train) ? {} : { batchSize: 4 }), epochs: 2, learningRate: 1e-2, warmup: 0.2, ...options }).fit({
      signal: stop.signal,
      onEvent: (event) => {
        events.push(event)
        if (event.step === until) stop.abort()
      },
    })
    return { events, weights: Object.values(adapter.trainable).map((variable) => valuesOf(variable).slice()) }
  } finally {
    detach(adapter)
    model.dispose()
  }
}

describe('a training that goes on from a checkpoint', () => {
  it.each([1, 4, 6, 11])('of step %i ends with the very weights of one that was not interrupted', async (step) => {
    const whole = await run({})
    const checkpoints = { folder: temporary(`bits-${step}`), every: 100 }
    const first = await run({ checkpoints }, step)
    expect(first.events.map(({ type }) => type).slice(-3)).toEqual(['step', 'checkpoint', 'end'])
    const second = await run({ checkpoints })
    expect(second.events[0]).toEqual({ type: 'resume', step, refused: [] })
    expect(second.weights).toEqual(whole.weights)
    const third = await run({ checkpoints })
    expect(third.events).toEqual([{ type: 'resume', step: 12, refused: [] }, { type: 'end', end: 'finished', step: 12, steps: 12, cost: expect.any(Object) as Cost }])
    expect(third.weights).toEqual(whole.weights)
  })

  it('with layers dropped, and a schedule for some tensors, ends with the very weights too', async () => {
    const scheduled = {
      adapterDrop: true, method: houlsby({ reductionFactor: 4 }),
      groups: [{ match: (name: string) => name.startsWith('classifier'), learningRateScale: (step: number) => (step < 3 ? 0 : 1) }],
    }
    const whole = await run(scheduled)
    const checkpoints = { folder: temporary('dropped'), every: 100 }
    await run({ ...scheduled, checkpoints }, 5)
    expect((await run({ ...scheduled, checkpoints })).weights).toEqual(whole.weights)
    await expect(run({ ...scheduled, checkpoints, groups: [] })).rejects.toThrow(/groups: some there, none here/)
  })

  it('passes over a spoilt newest one, says so, and still ends with the same weights', async () => {
    const whole = await run({})
    const checkpoints = { folder: temporary('spoilt'), every: 2 }
    await run({ checkpoints }, 5)
    const newest = join(checkpoints.folder, readdirSync(checkpoints.folder).sort().at(-1) ?? '')
    writeFileSync(newest, readFileSync(newest).subarray(0, 1000))
    const { events, weights } = await run({ checkpoints })
    expect(events[0]).toMatchObject({ type: 'resume', step: 4, refused: [expect.stringContaining(newest)] })
    expect(weights).toEqual(whole.weights)
  })

  it('refuses the checkpoints of another training with every difference, before anything changes', async () => {
    const checkpoints = { folder: temporary('other') }
    await run({ checkpoints }, 2)
    const other = run({ checkpoints, batchSize: 8, learningRate: 1e-3, train: { ids, labels: train.labels.map((label) => 1 - label) } })
    await expect(other).rejects.toThrow(/holds the checkpoints of another training.*\n.*steps: 12 there, 6 here\n.*batchSize: 4 there, 8 here\n.*learningRate: 0\.01 there, 0\.001 here\n.*data: others there than here$/)
  })

  it('refuses a model of other outputs, whose rows need not tell: labels in another order, another problem or pooling, another base or precision', async () => {
    const checkpoints = { folder: temporary('outputs') }
    const streamed = prepareBatches(train, { batchSize: 4 })
    await run({ checkpoints, train: streamed }, 2)
    const said = async (changed: Parameters<typeof run>[0]): Promise<string[]> =>
      await run({ checkpoints, train: streamed, ...changed }).then(() => [], (error: unknown) => (error instanceof CheckpointError ? [...error.problems] : [String(error)]))
    expect(await said({ load: { labels: ['b', 'a'] } })).toEqual(['labels: ["a","b"] there, ["b","a"] here'])
    expect(await said({ load: { problemType: 'multi_label_classification' }, train: prepareBatches({ ids, labels: ids.map(() => [0, 1]) }, { batchSize: 4, numeric: true }) }))
      .toEqual(['data: others there than here', 'problemType: single_label_classification there, multi_label_classification here'])
    expect(await said({ load: { pooling: 'mean' } })).toEqual(['pooling: pooler there, mean here'])
    expect(await said({ load: { dtype: 'bfloat16' } })).toEqual(['dtype: none there, bfloat16 here'])
    expect(await said({ load: { dtype: 'int8' } })).toEqual(['dtype: none there, int8 here'])
    const copy = temporary('elsewhere/another-base')
    cpSync(goldenPath('bert/base'), copy, { recursive: true })
    expect(await said({ source: copy })).toEqual(['model: base there, another-base here'])
    const moved = temporary('elsewhere/base')
    cpSync(goldenPath('bert/base'), moved, { recursive: true })
    expect(await said({ source: moved })).toEqual([])
  })

  it('refuses prepared batches of other rows, of another size or in another order', async () => {
    const checkpoints = { folder: temporary('prepared') }
    await run({ checkpoints, train: prepareBatches(train, { batchSize: 4 }) }, 2)
    const other = { ...train, ids: train.ids.map((row, i) => (i === 0 ? Array.from(row).reverse() : row)) }
    for (const [batches, problem] of [
      [prepareBatches(other, { batchSize: 4 }), 'data: others there than here'],
      [prepareBatches(train, { batchSize: 4, order: { seed: 1 } }), 'train.order: "given" there, {"seed":1} here'],
      [prepareBatches(train, { batchSize: 4, order: [1, 0, 2] }), 'train.order: "given" there, some here'],
      [prepareBatches(train, { batchSize: 2, dropLast: true }), 'train.batchSize: 4 there, 2 here'],
    ] as const) await expect(run({ checkpoints, train: batches })).rejects.toThrow(problem)
  })

  it('says of another method or its options what they are, not what follows from them', async () => {
    const checkpoints = { folder: temporary('method') }
    await run({ checkpoints }, 2)
    const said = /holds the checkpoints of another training.*:\n/
    await expect(run({ checkpoints, method: lora({ rank: 8, dropout: 0.1 }) })).rejects.toThrow(new RegExp(`${said.source}.*method\\.rank: 4 there, 8 here$`))
    await expect(run({ checkpoints, method: lora({ rank: 4, dropout: 0.2 }) })).rejects.toThrow(new RegExp(`${said.source}.*method\\.dropout: 0\\.1 there, 0\\.2 here$`))
    await expect(run({ checkpoints, method: houlsby() })).rejects.toThrow(new RegExp(`${said.source}.*method: lora there, bottleneck here$`))
  })

  it('refuses rows of other segments, or with labels of another kind', async () => {
    const checkpoints = { folder: temporary('segments') }
    const typeIds = (from: number): Int32Array[] => ids.map((row) => Int32Array.from(row, (_, i) => (i < from ? 0 : 1)))
    await run({ checkpoints, train: { ...train, typeIds: typeIds(1) } }, 2)
    for (const other of [{ ...train, typeIds: typeIds(2) }, train]) {
      await expect(run({ checkpoints, train: other })).rejects.toThrow(/holds the checkpoints of another training.*\n.*data: others there than here$/)
    }
  })

  it('keeps no tensor', async () => {
    const checkpoints = { folder: temporary('leak'), every: 2 }
    const options = { checkpoints, evaluate: train, evaluateEvery: 3, best: { metric: 'accuracy' } }
    const before = tf.memory().numTensors
    await run(options, 4)
    await run(options)
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('a process that trains', () => {
  it('and is told to end by Ctrl-C finishes its step, keeps a checkpoint and says so', { timeout: 60_000 }, async () => {
    const { lines, stderr } = await child(temporary('polite'), temporary('polite.safetensors'), { signal: 'SIGINT', step: 4 })
    expect(stderr).toContain('SIGINT: the step in progress is finished; once more ends at once')
    expect(lines.slice(-2).map(({ type }) => type)).toEqual(['checkpoint', 'end'])
    expect(lines.at(-1)).toMatchObject({ type: 'end', end: 'stopped', reason: 'SIGINT' })
  })
})
