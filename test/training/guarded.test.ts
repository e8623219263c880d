import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { InputError } from '../../src/errors.ts'
import type { Guard } from '../../src/training/guard.ts'
import { lora } from '../../src/lora/lora.ts'
import type { StepEvent, TrainerEvent } from '../../src/training/events.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'

let model: Model
let adapter: Adapter
let folder: string

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  adapter = attach(model, lora({ rank: 2, init: 'gaussian' }))
  folder = await mkdtemp(join(tmpdir(), 'guarded-'))
})

afterEach(async () => {
  detach(adapter)
  model.dispose()
  await rm(folder, { recursive: true })
})

const rows = Array.from({ length: 12 }, (_, i) => Int32Array.from({ length: 4 + (i % 3) }, (_, t) => 1 + ((i * 7 + t * 3) % 30)))
const train = { ids: rows, labels: Int32Array.from(rows, (_, i) => i % 3) }

async function steps(options: Partial<TrainerOptions> = {}): Promise<StepEvent[]> {
  const seen: StepEvent[] = []
  await new Trainer({ model, train, batchSize: 4, learningRate: 1e-2, ...options }).fit({
    onEvent: (event) => { if (event.type === 'step') seen.push(event) },
  })
  return seen
}

/** Adds a number to every gradient. */
function push(by: number): Guard {
  return {
    name: `push(${by})`,
    check: () => undefined,
    penalty: ({ trainable }) => ({
      value: by,
      grads: Object.fromEntries(Object.entries(trainable).map(([name, { shape }]) => [name, tf.fill(shape, by)])),
    }),
  }
}

/** Counts the steps, in a tensor. */
function counter(): Guard & { readonly count: () => number; readonly norms: number[] } {
  let sum: tf.Tensor = tf.scalar(0)
  const replace = (next: tf.Tensor): void => {
    sum.dispose()
    sum = next
  }
  const norms: number[] = []
  return {
    name: 'counter',
    norms,
    count: () => valuesOf(sum)[0] ?? NaN,
    check: () => undefined,
    beforeStep: (_, grads) => void norms.push(tf.tidy(() => valuesOf(tf.sqrt(tf.addN(Object.values(grads).map((grad) => tf.sum(tf.square(grad))))))[0] ?? NaN)),
    afterStep: () => { replace(tf.tidy(() => tf.add(sum, 1))) },
    state: () => ({ sum }),
    restore: (state) => { replace(tf.clone(state['sum'] as tf.Tensor)) },
  }
}

describe('a guarded training', () => {
  it('adds every penalty to the gradients and tells their sum, the loss being the task’s', async () => {
    const [plain] = await steps({ maxSteps: 1, learningRate: 0 })
    const [guarded] = await steps({ maxSteps: 1, learningRate: 0, guards: [push(3), push(4)] })
    expect(plain?.penalty).toBeUndefined()
    expect(guarded?.loss).toBe(plain?.loss)
    expect(guarded?.penalty).toBe(7)
    const count = Object.values(adapter.trainable).reduce((sum, { size }) => sum + size, 0)
    expect(Math.abs((guarded?.gradNorm ?? NaN) / Math.sqrt(49 * count) - 1)).toBeLessThan(0.2)
    expect(guarded?.gradNorm).not.toBe(plain?.gradNorm)
  })

  it('shows a guard the gradients of the task alone, not clipped', async () => {
    const watched = counter()
    const plain = await steps({ maxSteps: 1, learningRate: 0 })
    await steps({ maxSteps: 1, learningRate: 0, maxGradNorm: 1e-3, guards: [push(5), watched] })
    expect(largestDifference(watched.norms, plain.map(({ gradNorm }) => gradNorm))).toBeLessThan(1e-5)
    expect(watched.count()).toBe(1)
  })

  it('keeps no tensor from step to step', async () => {
    const counts = new Set<number>()
    const trainer = new Trainer({ model, train, batchSize: 4, epochs: 4, guards: [push(0.1), counter()] })
    for await (const event of trainer.run()) if (event.type === 'step') counts.add(tf.memory().numTensors)
    expect(counts.size).toBe(1)
  })

  it('goes on from a checkpoint with what the guards had gathered, and with no other guards', async () => {
    const checkpoints = { folder, every: 1 }
    const stop = new AbortController()
    await new Trainer({ model, train, batchSize: 4, guards: [counter()], checkpoints }).fit({
      signal: stop.signal,
      onEvent: (event) => { if (event.type === 'step' && event.step === 2) stop.abort('enough') },
    })
    const watched = counter()
    await steps({ learningRate: 5e-4, guards: [watched], checkpoints })
    expect(watched.count()).toBe(3)
    expect(watched.norms).toHaveLength(1)
    await expect(steps({ learningRate: 5e-4, guards: [push(1)], checkpoints })).rejects.toThrow('guards: counter there, push(1) here')
  })

  it('begins with what a guard has to say', async () => {
    const seen: TrainerEvent[] = []
    await new Trainer({ model, train, maxSteps: 2, guards: [{ ...push(1), warning: () => 'little is held' }, { ...push(1), warning: () => undefined }] }).fit({
      onEvent: (event) => { seen.push(event) },
    })
    expect(seen.map(({ type }) => type)).toEqual(['warning', 'step', 'step', 'end'])
    expect(seen[0]).toEqual({ type: 'warning', step: 0, text: 'little is held' })
  })

  it('is refused before its first step where a guard does not fit', () => {
    const check = (): void => { throw new InputError('guards other tensors') }
    expect(() => new Trainer({ model, train, guards: [{ name: 'other', check }] })).toThrow('guards other tensors')
  })
})
