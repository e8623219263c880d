// Trainings that workers share, here of one process each beside the other: the run of one worker with as many rows.

import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it, vi } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { ewc } from '../../src/forgetting/ewc.ts'
import { diagonalFisher } from '../../src/forgetting/fisher.ts'
import { lora } from '../../src/lora/lora.ts'
import type { Observed } from '../../src/base/tasks/measures.ts'
import { evaluate } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { prepareBatches } from '../../src/training/batches.ts'
import type { EndEvent, EvaluateEvent } from '../../src/training/events.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { byTheFirst, gather, type Workers } from '../../src/training/workers.ts'
import { valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { together } from './together.ts'
import { apart, BERT, expectSame, ids, METHODS, run, SETTINGS, train, type Run, type Setup } from './shared-run.ts'

const temporary = temporaryFolder()

describe('workers that share a training', () => {
  it.each(Object.entries(METHODS))('give with %s the losses and weights of one that has all their rows', async (_, method) => {
    await expectSame({ method })
  })

  it.each(Object.entries(SETTINGS))('give with %s the losses and weights of one that has all their rows', async (_, setup) => {
    await expectSame(setup)
  })

  it('are three as well, and more than the last batch has rows', async () => {
    await expectSame({}, { count: 3 })
    await expectSame({ train: { ids: ids.slice(0, 17), labels: train.labels.slice(0, 17) } }, { count: 4 })
  })

  it('share out the rows of batches that are made already', async () => {
    const batches = prepareBatches(train, { batchSize: 8, order: { seed: 3 } })
    const whole = await run({ train: batches, epochs: 2 })
    const parts = await Promise.all(together(2).map((workers) => run({ train: batches, epochs: 2 }, workers)))
    expect(apart(parts[1]?.weights ?? [], whole.weights)).toBeLessThan(1e-5)
  })

  it('draw their dropout each for itself', async () => {
    const [a, b] = await Promise.all(together(2).map((workers) => run({ method: lora({ rank: 4, dropout: 0.5 }), maxSteps: 3, batchSize: 12 }, workers)))
    const alone = await run({ method: lora({ rank: 4, dropout: 0.5 }), maxSteps: 3, batchSize: 24 })
    expect(a?.weights).toEqual(b?.weights)
    expect(apart(a?.weights ?? [], alone.weights)).toBeGreaterThan(1e-3)
  })

  it('end together where one is asked to, with a checkpoint that any number of workers goes on from', async () => {
    const checkpoints = { folder: temporary('shared'), every: 100 }
    const whole = await run({ maxSteps: 12, batchSize: 8 })
    const parts = await Promise.all(together(2).map((workers) => run({ maxSteps: 12, checkpoints, ...(workers.rank === 1 ? { stopAt: 3 } : {}) }, workers)))
    expect(parts.map(({ events }) => events.slice(-2).map((event) => ({ ...event, path: undefined })))).toEqual([
      [expect.objectContaining({ type: 'checkpoint', step: 4 }), expect.objectContaining({ end: 'stopped', reason: 'worker 1 was asked to', step: 4 })],
      [expect.objectContaining({ type: 'checkpoint', step: 4 }), expect.objectContaining({ end: 'stopped', step: 4 })],
    ])
    const later = await Promise.all(together(4).map((workers) => run({ maxSteps: 12, batchSize: 2, checkpoints, stopAt: 8 }, workers)))
    expect(later.map(({ events }) => events[0])).toEqual(Array(4).fill({ type: 'resume', step: 4, refused: [] }))
    const alone = await run({ maxSteps: 12, batchSize: 8, checkpoints })
    expect(alone.events.at(-1)).toMatchObject({ end: 'finished' } satisfies Partial<EndEvent>)
    expect(apart(alone.weights, whole.weights)).toBeLessThan(1e-5)
  })

  it('measure the same, and keep the weights of the same evaluation', async () => {
    const setup: Setup = { maxSteps: 9, evaluate: train, evaluateEvery: 3, best: { metric: 'loss' } }
    const evaluations = ({ events }: Run): EvaluateEvent[] => events.filter((event) => event.type === 'evaluate')
    const whole = await run({ ...setup, batchSize: 8 })
    const parts = await Promise.all(together(2).map((workers) => run(setup, workers)))
    expect(evaluations(parts[1] as Run)).toEqual(evaluations(parts[0] as Run))
    evaluations(parts[0] as Run).forEach((event, i) => {
      expect(event.loss).toBeCloseTo(evaluations(whole)[i]?.loss ?? NaN, 5)
      expect(event.accuracy).toBe(evaluations(whole)[i]?.accuracy)
    })
  })

  it('share out measuring, predicting and the Fisher information, and all have the whole', async () => {
    const model = await createModel(BERT, { task: 'sequence-classification', labels: ['a', 'b'] })
    const adapter = attach(model, lora({ rank: 4 }), { seed: 1 })
    const passes = vi.spyOn(model, 'forward')
    const measure = ({ rows }: Observed): Record<string, number> => ({ first: rows[0]?.predicted[0] ?? NaN, rows: rows.length })
    const answers = async (distributed?: Workers): Promise<unknown> => {
      const shared = distributed === undefined ? {} : { distributed }
      const { loss, ...measures } = await evaluate(model, train, { batchSize: 4, measure, ...shared })
      const { classes, logits } = await predict(model, train, { batchSize: 4, ...shared })
      return { loss: loss?.toFixed(6), measures, classes, logits }
    }
    const alone = await answers()
    const [calls] = [passes.mock.calls.splice(0).length]
    expect(await Promise.all(together(2).map(answers))).toEqual([alone, alone])
    expect(passes.mock.calls).toHaveLength(calls) // of both together
    for (const kind of ['exact', 'sampled', 'empirical'] as const) {
      const whole = await diagonalFisher(model, adapter.trainable, train, { kind })
      for (const shared of await Promise.all(together(3).map((distributed) => diagonalFisher(model, adapter.trainable, train, { kind, distributed })))) {
        const [a, b] = [shared, whole].map((record) => Object.values(record).map((tensor) => valuesOf(tensor).slice())) as [Float32Array[], Float32Array[]]
        expect(apart(a, b)).toBeLessThan(1e-5)
        tf.dispose(shared)
      }
      tf.dispose(whole)
    }
    detach(adapter)
    model.dispose()
  })

  it('all end with the error of the one that fails, named', async () => {
    const [fails, goes] = await Promise.allSettled(together(2).map((workers) => run({ loss: failing(workers.rank === 0) }, workers)))
    expect((fails as PromiseRejectedResult).reason).toMatchObject({ message: 'the disk is on fire' })
    expect((goes as PromiseRejectedResult).reason).toMatchObject({ name: 'TrainingError', problems: ['worker 0: the disk is on fire'] })
  })

  it('end where their guards are not the same, and say so', async () => {
    const unlike = together(2).map((workers) => run({ maxSteps: 6, guard: (_, trainable) => {
      const guard = ewc({ strength: 100 })
      const numbers = Object.fromEntries(Object.entries(trainable).map(([name, variable]) => [name, tf.fill(variable.shape, 1 + workers.rank)]))
      guard.addTask(trainable, numbers)
      tf.dispose(numbers)
      return guard
    } }, workers))
    const texts = (await Promise.allSettled(unlike)).map((each) => ((each as PromiseRejectedResult).reason as Error).message.replaceAll(/norm \d+\.\d+/g, 'norm N'))
    const text = [
      'The workers do not train the same any more: the gradients of the last step, with the penalties of guards, differ. Give each the same guards: ' +
        'those of ewc by diagonalFisher(…, { distributed: workers }), on all rows.', '  - worker 0: norm N', '  - worker 1: norm N'].join('\n')
    expect(texts).toEqual([text, text])
  })

  it('refuse to begin where they would not train the same, with all that differs', async () => {
    const differing = together(2).map((workers) => run(workers.rank === 0 ? {} : { seed: 1, learningRate: 1, method: lora({ rank: 2 }), train: { ids, labels: ids.map(() => 1) } }, workers))
    for (const each of await Promise.allSettled(differing)) {
      const { message } = (each as PromiseRejectedResult).reason as Error
      for (const what of ['worker 1 and worker 0: seed: 1 there, 0 here', 'learningRate: 1 there', 'method.rank: 2 there, 4 here', 'data: others']) expect(message).toContain(what)
    }
  })

  it('refuse losses that compare the rows of a batch', async () => {
    const model = await createModel(BERT, { task: 'sentence-embedding' })
    attach(model, lora())
    const [distributed] = together(2)
    expect(() => new Trainer({ model, train: { ids, positives: ids }, ...(distributed === undefined ? {} : { distributed }) })).toThrow(/distributed: expected a loss of each row by itself/)
    model.dispose()
  })

  it('leave no tensor behind', async () => {
    const both = async (): Promise<unknown> => await Promise.all(together(2).map((workers) => run({ maxSteps: 3, accumulate: 2 }, workers)))
    await both()
    const before = tf.memory().numTensors
    await both()
    expect(tf.memory().numTensors).toBe(before)
  })
})

/** A loss of a worker that fails in it, and of one that does not. */
function failing(isFailing: boolean): NonNullable<TrainerOptions['loss']> {
  const loss: TrainerOptions['loss'] = (output) => {
    if (isFailing) throw new Error('the disk is on fire')
    return tf.mean(output)
  }
  return loss
}

it('gather gives what each worker gives, whatever it is and however long', async () => {
  const values = ['é', { long: 'x'.repeat(70_001), map: new Map([[1, { score: NaN }], [2, { score: -Infinity }]]) }, null]
  const found = await Promise.all(together(3).map((workers) => gather(workers, values[workers.rank])))
  expect(found).toEqual([values, values, values])
})

it('byTheFirst works once, and its error is known to all', async () => {
  let calls = 0
  const [own, others] = await Promise.allSettled(together(2).map((workers) => byTheFirst(workers, () => Promise.reject(new RangeError(`full ${++calls}`)))))
  expect((own as PromiseRejectedResult).reason).toEqual(new RangeError('full 1'))
  expect((others as PromiseRejectedResult).reason).toMatchObject({ message: 'Worker 0: full 1' })
})
