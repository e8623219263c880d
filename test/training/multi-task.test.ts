import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import type { Model } from '../../src/base/model.ts'
import { normal, randomStream, permutation } from '../../src/base/random.ts'
import type { Guard } from '../../src/training/guard.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { lora } from '../../src/lora/lora.ts'
import { prepareBatches, type BatchSource } from '../../src/training/batches.ts'
import { averseToConflicts, projectConflicts } from '../../src/training/gradient-surgery.ts'
import { taskWeights } from '../../src/training/task-weights.ts'
import { mixingShares, trainTasks, type MultiTaskEvent } from '../../src/training/multi-task.ts'
import type { MultiTaskOptions } from '../../src/training/multi-task-options.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'

describe('projectConflicts', () => {
  /** The paper's algorithm 1 in float64. */
  function reference(tasks: readonly (readonly number[])[], seed: number): number[] {
    const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)
    const projected = tasks.map((own, i) => {
      let g = [...own]
      for (const j of permutation(randomStream(seed, 'pcgrad', i), tasks.length)) {
        const other = tasks[j] ?? []
        const against = dot(g, other)
        if (j !== i && against < 0) g = g.map((x, k) => x - (against / dot(other, other)) * (other[k] ?? 0))
      }
      return g
    })
    return (projected[0] ?? []).map((_, k) => projected.reduce((sum, g) => sum + (g[k] ?? 0), 0))
  }

  it('gives the sum of the paper’s algorithm for three tasks that pull apart', async () => {
    await loadEngine()
    for (let seed = 0; seed < 20; seed++) {
      const tasks = [0, 1, 2].map((task) => [...normal(randomStream(seed, task), 6, 0, 1)])
      const before = tf.memory().numTensors
      const grads = tasks.map((values) => ({ a: tf.tensor2d(values.slice(0, 4), [2, 2]), b: tf.tensor1d(values.slice(4)) }))
      const summed = projectConflicts(grads, seed)
      const got = [...valuesOf(summed['a'] as tf.Tensor), ...valuesOf(summed['b'] as tf.Tensor)]
      reference(tasks, seed).forEach((expected, k) => expect(got[k]).toBeCloseTo(expected, 5))
      tf.dispose([grads, summed])
      expect(tf.memory().numTensors).toBe(before)
    }
  })

  it('leaves agreeing tasks their plain sum, and a tensor of one task alone its gradient', async () => {
    await loadEngine()
    const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([2, 1])]
    const summed = projectConflicts([{ shared: x, mine: tf.scalar(-5) }, { shared: y, theirs: tf.scalar(7) }], 0)
    expect([...valuesOf(summed['shared'] as tf.Tensor)]).toEqual([3, 3])
    expect(valuesOf(summed['mine'] as tf.Tensor)[0]).toBe(-5)
    expect(valuesOf(summed['theirs'] as tf.Tensor)[0]).toBe(7)
  })
})

describe('averseToConflicts', () => {
  const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)
  const combined = (tasks: readonly (readonly number[])[], w: readonly number[]): number[] => (tasks[0] ?? []).map((_, k) => tasks.reduce((sum, g, i) => sum + (w[i] ?? 0) * (g[k] ?? 0), 0))

  /** The paper's direction in float64, its shares looked for on a grid, times the number of tasks. */
  function reference(tasks: readonly (readonly number[])[], c: number, cuts: number): number[] {
    const g0 = combined(tasks, tasks.map(() => 1 / tasks.length))
    const reach = c * Math.sqrt(dot(g0, g0))
    let [least, best] = [Infinity, g0]
    for (let a = 0; a <= cuts; a++) {
      for (let b = 0; b <= (tasks.length === 2 ? 0 : cuts - a); b++) {
        const gw = combined(tasks, tasks.length === 2 ? [a / cuts, 1 - a / cuts] : [a / cuts, b / cuts, 1 - (a + b) / cuts])
        const value = dot(gw, g0) + reach * Math.sqrt(dot(gw, gw))
        if (value < least) [least, best] = [value, gw]
      }
    }
    const length = Math.sqrt(dot(best, best))
    return g0.map((x, k) => tasks.length * (x + (reach * (best[k] ?? 0)) / length))
  }

  it.each([[2, 20_000], [3, 1000]])('gives the direction of the paper for %i tasks that pull apart, and keeps no tensor', async (count, cuts) => {
    await loadEngine()
    for (let seed = 0; seed < 8; seed++) {
      const tasks = Array.from({ length: count }, (_, task) => [...normal(randomStream(seed, task), 6, 0, 1)])
      const before = tf.memory().numTensors
      const grads = tasks.map((values) => ({ a: tf.tensor2d(values.slice(0, 4), [2, 2]), b: tf.tensor1d(values.slice(4)) }))
      const summed = await averseToConflicts(grads)
      const got = [...valuesOf(summed['a'] as tf.Tensor), ...valuesOf(summed['b'] as tf.Tensor)]
      const expected = reference(tasks, 0.5, cuts)
      // a grid finds the least value to the square of its step, and the direction to the step
      expected.forEach((value, k) => expect(Math.abs((got[k] ?? NaN) - value)).toBeLessThan((20 / cuts) * Math.sqrt(dot(expected, expected))))
      tf.dispose([grads, summed])
      expect(tf.memory().numTensors).toBe(before)
    }
  })

  it('is the plain sum where it may not leave the mean, and of gradients of one task alone', async () => {
    await loadEngine()
    const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([-2, 1])]
    const tasks = [{ shared: x, mine: tf.scalar(-5) }, { shared: y }]
    const plain = await averseToConflicts(tasks, 0)
    expect([...valuesOf(plain['shared'] as tf.Tensor)]).toEqual([-1, 3])
    expect(valuesOf((await averseToConflicts(tasks))['mine'] as tf.Tensor)[0]).toBe(-5)
  })

  it('leaves no task worse off than the mean does', async () => {
    await loadEngine()
    const tasks = [[4, 0, 1], [-1, 1, 0], [-1, -1, 0.5]]
    const summed = [...valuesOf((await averseToConflicts(tasks.map((values) => ({ g: tf.tensor1d(values) }))))['g'] as tf.Tensor)]
    const gain = (direction: readonly number[]): number => Math.min(...tasks.map((own) => dot(own, direction)))
    expect(gain(summed)).toBeGreaterThan(gain(combined(tasks, [1, 1, 1])))
  })
})

it('weights by descent go to the tasks whose loss falls more slowly, by the paper’s formula over the last two stretches', () => {
  const weights = taskWeights('descent', ['fast', 'slow'], 0)
  const learn = (fast: number, slow: number): void => { for (let step = 0; step < 20; step++) weights.learn([{ name: 'fast', loss: fast, weight: 1 }, { name: 'slow', loss: slow, weight: 1 }], 0) }
  learn(2, 2)
  expect([weights.factorOf('fast'), weights.factorOf('slow')]).toEqual([1, 1])
  learn(1, 1.8)
  const [fast, slow] = [Math.exp(0.5 / 2), Math.exp(0.9 / 2)]
  expect(weights.factorOf('fast')).toBeCloseTo((2 * fast) / (fast + slow), 12)
  expect(weights.factorOf('slow')).toBeCloseTo((2 * slow) / (fast + slow), 12)
  learn(1, 0.9)
  expect(weights.factorOf('fast')).toBeCloseTo((2 * Math.exp(1 / 2)) / (Math.exp(1 / 2) + Math.exp(0.5 / 2)), 12)
})

it('mixing shares go by size at temperature 1 and are all alike at Infinity', () => {
  expect(mixingShares([1, 3], 1)).toEqual([0.25, 0.75])
  expect(mixingShares([1, 9], 2)).toEqual([0.25, 0.75])
  expect(mixingShares([1, 3], Infinity)).toEqual([0.5, 0.5])
})

describe('several tasks on one model', () => {
  let model: Model
  let adapters: Record<'shared' | 'one' | 'two', Adapter>
  beforeEach(async () => {
    model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
    const add = (name: string, targets: readonly string[]): Adapter => attach(model, lora({ rank: 2, targets }), { name, train: [], enabled: false })
    adapters = { shared: add('shared', ['query', 'value']), one: add('one', ['key']), two: add('two', ['key']) }
  })
  afterEach(() => {
    for (const attached of adaptersOf(model)) detach(attached)
    model.dispose()
  })

  const source = (rows: number, flip: number): BatchSource => {
    const ids = Array.from({ length: rows }, (_, i) => Int32Array.from({ length: 4 }, (_, t) => 2 + ((i % 2) * 15) + ((i * 7 + t * 3) % 12)))
    return prepareBatches({ ids, labels: ids.map((_, i) => (i + flip) % 2) }, { batchSize: 4, order: { seed: 0 } })
  }
  const tasks = (): MultiTaskOptions['tasks'] => [
    { name: 'one', adapters: ['shared', 'one'], train: source(24, 0) },
    { name: 'two', adapters: ['shared', 'two'], train: source(8, 1) },
  ]
  async function run(options: Partial<MultiTaskOptions>): Promise<MultiTaskEvent[]> {
    const events: MultiTaskEvent[] = []
    for await (const event of trainTasks({ model, tasks: tasks(), steps: 10, learningRate: 1e-2, ...options })) events.push(event)
    return events
  }
  /** LoRA's second matrix begins as zeros. */
  const changed = (adapter: Adapter): boolean => Object.values(adapter.trainable).every((variable) => valuesOf(variable).some((x) => x !== 0))

  it('train what they share and what is their own, keep what was enabled, and keep no tensor', async () => {
    const before = tf.memory().numTensors
    const events = await run({ surgery: 'PCGrad' })
    expect(events.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(Object.keys(events[0]?.losses ?? {})).toEqual(['one', 'two'])
    expect(Object.values(adapters).every(changed)).toBe(true)
    expect(Object.values(adapters).some(({ enabled }) => enabled)).toBe(false)
    expect(tf.memory().numTensors).toBe(before)
  })

  it.each([{ surgery: 'CAGrad' }, { weighting: 'descent' }] as const)('train with %o too, and keep no tensor', async (options) => {
    const before = tf.memory().numTensors
    const events = await run({ ...options, steps: 45 })
    expect(Object.values(adapters).every(changed)).toBe(true)
    const [one = NaN, two = NaN] = Object.values(events.at(-1)?.weights ?? {})
    expect(one + two).toBeCloseTo(2, 6)
    expect(one === 1).toBe('surgery' in options)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('come one a step by their size where they are mixed, and leave the others as they are', async () => {
    const drawn = (await run({ mixing: 1, steps: 60, learningRate: 0 })).map(({ losses }) => Object.keys(losses).join())
    expect(drawn.filter((name) => name === 'one').length / 60).toBeCloseTo(0.75, 0)
    const [first] = await run({ mixing: Infinity, steps: 1 })
    const trained = Object.keys(first?.losses ?? {})[0] === 'one' ? adapters.one : adapters.two
    expect(changed(trained)).toBe(true)
    expect(changed(trained === adapters.one ? adapters.two : adapters.one)).toBe(false)
  })

  it('say in their last event how they ended, end after the step in which they are asked to, and let go of their batches', async () => {
    expect((await run({ steps: 2 })).map(({ end }) => end)).toEqual([undefined, 'finished'])
    const stop = new AbortController()
    let open = 0
    const asked = (batches: BatchSource): BatchSource => ({
      ...batches,
      async *epoch(epoch, from) {
        open++
        try {
          yield* batches.epoch(epoch, from)
        } finally {
          open--
        }
      },
    })
    const stopping: Guard = { name: 'stopping', check: () => undefined, afterStep: () => { stop.abort() } }
    const [one, two] = tasks().map((task) => ({ ...task, train: asked(task.train as BatchSource), guards: [stopping] }))
    expect((await run({ tasks: one === undefined || two === undefined ? [] : [one, two], signal: stop.signal })).map(({ step, end }) => [step, end])).toEqual([[1, 'stopped']])
    expect(open).toBe(0)
  })

  it('count by the uncertainty that is learned of each: the higher loss for less', async () => {
    const events = await run({ weighting: 'uncertainty', steps: 40, learningRate: 3e-2 })
    expect(events[0]?.weights).toEqual({ one: 1, two: 1 })
    // with losses of about 0.69 the optimum exp(s) = 2 L lies above 1, so both weights fall
    expect(events.at(-1)?.weights['one']).toBeLessThan(1)
    expect(events.at(-1)?.weights['two']).toBeLessThan(1)
  })

  it('are each held by their own guards', async () => {
    const named = (name: 'shared' | 'one' | 'two'): Record<string, tf.Variable> =>
      Object.fromEntries(Object.entries(adapters[name].trainable).map(([key, variable]) => [`${name}/${key}`, variable]))
    const moved = (name: 'one' | 'two', before: Record<string, Float32Array>): number =>
      Math.max(...Object.entries(named(name)).map(([key, variable]) => largestDifference(valuesOf(variable), before[key] ?? new Float32Array())))
    const guard = l2Sp({ ...named('shared'), ...named('two') }, { alpha: 100 })
    const counts = tf.memory().numTensors
    const [one, two] = tasks()
    if (one === undefined || two === undefined) throw new Error('there are two tasks')
    const before = Object.fromEntries(Object.entries({ ...named('one'), ...named('two') }).map(([key, variable]) => [key, valuesOf(variable).slice()]))
    await run({ tasks: [one, { ...two, guards: [guard] }], maxGradNorm: Infinity, weightDecay: 0, steps: 30 })
    expect(moved('two', before)).toBeLessThan(moved('one', before) / 2)
    expect(tf.memory().numTensors).toBe(counts)
    await expect(run({ tasks: [{ ...one, guards: [guard] }, two] })).rejects.toThrow('two/')
    guard.dispose()
  })

  it('keep the weights of the step before where gradients are not finite, though the losses are', async () => {
    const [one, two] = tasks()
    if (one === undefined || two === undefined) throw new Error('there are two tasks')
    const weights = (): Float32Array[] => Object.values(adapters).flatMap(({ trainable }) => Object.values(trainable).map((variable) => valuesOf(variable).slice()))
    const spoilt: Guard = {
      name: 'spoilt',
      check: () => undefined,
      penalty: ({ trainable }) => ({ value: 0, grads: Object.fromEntries(Object.entries(trainable).map(([name, { shape }]) => [name, tf.fill(shape, NaN)])) }),
    }
    const [before, count] = [weights(), tf.memory().numTensors]
    await expect(run({ tasks: [one, { ...two, guards: [spoilt] }] })).rejects.toThrow(
      /^Step 1: the norm of the gradients is NaN, with the losses one 0\.\d+, two 0\.\d+\. The weights are those of the step before\. Try a lower learning rate\.$/)
    expect(weights()).toEqual(before)
    expect(tf.memory().numTensors).toBe(count)
  })

  it('say everything that is wrong at once', async () => {
    const wrong = [{ name: 'x', adapters: ['none'], train: source(4, 0), weight: -1 }, { name: 'x', adapters: [], train: source(4, 0) }]
    await expect(run({ tasks: wrong, steps: 0, mixing: 2, surgery: 'PCGrad' })).rejects.toThrow(
      /names that differ.*\n.*steps: .*\n.*task x: no adapter none; the model has shared, one, two\n.*weight above 0, got -1\n.*task x: expected an adapter.*\n.*need mixing 'all'/)
  })
})
