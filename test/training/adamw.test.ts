import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { CheckpointError, InputError } from '../../src/errors.ts'
import { AdamW } from '../../src/training/adamw.ts'
import type { AdamWOptions } from '../../src/training/adamw.ts'
import { eachForm } from '../base/ops/forms.ts'
import { readGolden } from './golden.ts'

beforeAll(loadEngine)

afterEach(() => {
  tf.disposeVariables()
})

function variables(values: Readonly<Record<string, number[]>>): Record<string, tf.Variable> {
  return tf.tidy(() => Object.fromEntries(Object.entries(values).map(([name, v]) => [name, tf.variable(tf.tensor1d(v))])))
}

/** Takes one step with gradients given as arrays. */
function step(optimizer: AdamW, grads: Readonly<Record<string, number[]>>, learningRate?: number): void {
  tf.tidy(() => optimizer.step(Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, tf.tensor1d(g)])), learningRate))
}

function relativeGap(got: ArrayLike<number>, expected: Float32Array): number {
  return Math.max(...expected.map((value, i) => Math.abs((got[i] ?? NaN) - value) / Math.max(Math.abs(value), 1e-30)))
}

describe('AdamW', () => {
  const runs: readonly { run: string; names: readonly string[]; options: AdamWOptions }[] = [
    { run: 'defaults', names: ['w', 'b'], options: { learningRate: 1e-3 } },
    { run: 'two_groups', names: ['w'], options: { learningRate: 1e-2, weightDecay: 0.1 } },
    {
      run: 'two_groups',
      names: ['b', 's'],
      options: { learningRate: 3e-4, weightDecay: 0, beta1: 0.8, beta2: 0.95, epsilon: 1e-6 },
    },
  ]
  eachForm('in each form', () => {
    it.each(runs)('takes the ten steps that torch.optim.AdamW takes: $run, $names', async ({ run, names, options }) => {
      const golden = await readGolden(`adamw/${run}/`)
      const trained = Object.fromEntries(names.map((name) => {
        const { values, shape } = golden(`${name}/initial`)
        return [name, tf.tidy(() => tf.variable(tf.tensor(values, [...shape])))]
      }))
      const optimizer = new AdamW(trained, options)
      const row = (name: string, what: string, i: number): Float32Array => {
        const { values } = golden(`${name}/${what}`)
        return values.subarray(i * (values.length / 10), (i + 1) * (values.length / 10))
      }
      for (let i = 0; i < 10; i++) {
        tf.tidy(() => optimizer.step(Object.fromEntries(names.map((name) =>
          [name, tf.tensor(row(name, 'grads', i), golden(`${name}/initial`).shape.slice())]))))
        for (const name of names) {
          expect(relativeGap(trained[name]?.dataSync() ?? [], row(name, 'steps', i)), `${name}, step ${i}`).toBeLessThan(1e-6)
        }
      }
      const { step, tensors } = optimizer.state()
      expect(step).toBe(10)
      for (const name of names) {
        for (const moment of ['exp_avg', 'exp_avg_sq']) {
          const got = tensors[`${moment}.${name}`]?.dataSync() ?? []
          expect(relativeGap(got, golden(`${name}/${moment}`).values), `${moment} of ${name}`).toBeLessThan(1e-6)
        }
      }
      tf.dispose(tensors)
    })
  })

  it('gives each group its own rate and decay, the first that matches', () => {
    const trained = variables({ 'q.lora_A': [1], 'q.lora_B': [1], bias: [1] })
    const optimizer = new AdamW(trained, {
      learningRate: 0.01,
      weightDecay: 0.5,
      groups: [
        { match: (name) => name.endsWith('lora_B'), learningRateScale: 16 },
        { match: (name) => name === 'bias' || name.endsWith('lora_B'), weightDecay: 0 },
      ],
    })
    step(optimizer, { 'q.lora_A': [1], 'q.lora_B': [1], bias: [1] })
    // the first step is the rate itself, whatever the gradient
    expect(trained['q.lora_A']?.dataSync()[0]).toBeCloseTo(1 - 0.01 * 0.5 - 0.01, 6)
    expect(trained['q.lora_B']?.dataSync()[0]).toBeCloseTo(1 - 0.16 * 0.5 - 0.16, 6)
    expect(trained['bias']?.dataSync()[0]).toBeCloseTo(1 - 0.01, 6)
  })

  it('takes the learning rate of a step, and stays where it is at a rate of zero', () => {
    const trained = variables({ w: [1, -2] })
    const optimizer = new AdamW(trained, { learningRate: 0.1, weightDecay: 0 })
    step(optimizer, { w: [1, 0] }, 0)
    expect([...trained['w']?.dataSync() ?? []]).toEqual([1, -2])
    step(optimizer, { w: [1, 0] }, 0.25)
    expect(trained['w']?.dataSync()[0]).toBeCloseTo(0.75, 6)
    expect(optimizer.steps).toBe(2)
  })

  it('takes a rate for each number of steps, and moves nothing while it is zero', () => {
    const trained = variables({ low: [1], high: [1] })
    const optimizer = new AdamW(trained, {
      learningRate: 0.1, weightDecay: 0.5, groups: [{ match: (name) => name === 'low', learningRateScale: (taken) => (taken < 2 ? 0 : 0.5) }],
    })
    for (let i = 0; i < 2; i++) step(optimizer, { low: [1], high: [1] })
    expect(trained['low']?.dataSync()[0]).toBe(1)
    expect(trained['high']?.dataSync()[0]).toBeLessThan(0.8)
    step(optimizer, { low: [1], high: [1] })
    expect(trained['low']?.dataSync()[0]).toBeCloseTo(1 - 0.05 * 0.5 - 0.05, 5)
    const wrong = new AdamW(trained, { learningRate: 0.1, groups: [{ match: () => true, learningRateScale: () => -1 }] })
    expect(() => step(wrong, { low: [1], high: [1] })).toThrow('learning rate of low: expected a number of at least 0, got -0.1')
  })

  it('leaves an idle variable and its moments as they are, and does not count the step for it', () => {
    const run = (steps: readonly (readonly [low: number | undefined, high: number])[]): { optimizer: AdamW; low: ArrayLike<number> } => {
      const trained = variables({ low: [1], high: [1] })
      const optimizer = new AdamW(trained, { learningRate: 0.1 })
      const low = trained['low'] as tf.Variable
      for (const [grad, other] of steps) {
        tf.tidy(() => {
          optimizer.step({ low: tf.tensor1d([grad ?? 0]), high: tf.tensor1d([other]) }, 0.1, grad === undefined ? new Set([low]) : new Set())
        })
      }
      return { optimizer, low: low.dataSync() }
    }
    const active = run([[1, 1], [-2, 1], [0.5, 1]])
    const resting = run([[1, 1], [undefined, 3], [-2, 1], [undefined, 2], [undefined, 2], [0.5, 1]])
    expect(resting.low).toEqual(active.low)
    const state = resting.optimizer.state()
    expect(state.idle).toEqual({ low: 3 })
    expect(state.step).toBe(6)
    expect(active.optimizer.state().idle).toBeUndefined()
  })

  it('goes on from a state as if it had never stopped', () => {
    const grads = [1, 2, 3, 4].map((i) => ({ w: [Math.sin(i), Math.cos(i)] }))
    const straight = variables({ w: [0.3, -0.7] })
    const whole = new AdamW(straight, { learningRate: 0.1 })
    for (const grad of grads) step(whole, grad)

    const stopped = variables({ w: [0.3, -0.7] })
    const first = new AdamW(stopped, { learningRate: 0.1 })
    for (const grad of grads.slice(0, 2)) step(first, grad)
    const state = first.state()
    first.dispose()
    const second = new AdamW(stopped, { learningRate: 0.1 })
    second.restore(state)
    tf.dispose(state.tensors)
    for (const grad of grads.slice(2)) step(second, grad)

    expect(second.steps).toBe(4)
    expect(stopped['w']?.dataSync()).toEqual(straight['w']?.dataSync())
  })

  it('gives a state that later steps do not change', () => {
    const optimizer = new AdamW(variables({ w: [1] }), { learningRate: 0.1 })
    step(optimizer, { w: [1] })
    const { tensors } = optimizer.state()
    const before = tensors['exp_avg.w']?.dataSync().slice()
    step(optimizer, { w: [5] })
    expect(tensors['exp_avg.w']?.dataSync()).toEqual(before)
    tf.dispose(tensors)
  })

  it('holds the same number of tensors over 50 steps, and gives them all back', () => {
    const before = tf.memory().numTensors
    const trained = variables({ a: [1, 2], b: [3] })
    const own = tf.memory().numTensors
    const optimizer = new AdamW(trained, { learningRate: 0.1 })
    const during = tf.memory().numTensors
    for (let i = 0; i < 50; i++) {
      step(optimizer, { a: [i, 1], b: [-i] })
      expect(tf.memory().numTensors).toBe(during)
    }
    const { tensors } = optimizer.state()
    tf.dispose(tensors)
    optimizer.dispose()
    expect(tf.memory().numTensors).toBe(own)
    tf.dispose(trained)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('lists gradients that are missing, unknown or of the wrong shape, and moves nothing', () => {
    const trained = variables({ a: [1], b: [1], c: [1] })
    const optimizer = new AdamW(trained, { learningRate: 0.1 })
    const bad = (): void => step(optimizer, { b: [1, 2], c: [1], d: [1] })
    expect(bad).toThrow(InputError)
    expect(bad).toThrow([
      'AdamW: the gradients do not fit the trained tensors.',
      '  - a: no gradient',
      '  - b: expected a gradient of shape [1], got [2]',
      '  - d: a gradient, but no such trained tensor',
    ].join('\n'))
    expect(() => step(optimizer, { a: [1], b: [1], c: [1] }, NaN)).toThrow('learningRate: expected a number of at least 0, got NaN')
    expect(optimizer.steps).toBe(0)
    expect(trained['c']?.dataSync()[0]).toBe(1)
  })

  it('lists what does not fit in a checkpoint, and changes nothing', () => {
    const optimizer = new AdamW(variables({ a: [1] }), { learningRate: 0.1 })
    const bad = (): void => tf.tidy(() => optimizer.restore({
      step: 1.5,
      tensors: { 'exp_avg.a': tf.ones([2]), 'exp_avg.b': tf.ones([1]) },
    }))
    expect(bad).toThrow(CheckpointError)
    expect(bad).toThrow([
      'AdamW: the checkpoint is of another set of trained tensors. Attach the adapter it was saved with, or start with a new optimiser.',
      '  - exp_avg.a: expected a moment of shape [1], got [2]',
      '  - exp_avg_sq.a: no moment',
      '  - exp_avg.b: a moment, but no such trained tensor',
      '  - step: expected a natural number, got 1.5',
    ].join('\n'))
    expect(optimizer.steps).toBe(0)
  })

  it('lists settings that are out of range', () => {
    const bad = (): AdamW => new AdamW({}, {
      learningRate: -1, beta1: 1, beta2: -0.1, epsilon: NaN, weightDecay: Infinity,
      groups: [{ match: () => true, learningRateScale: -2, weightDecay: -3 }],
    })
    expect(bad).toThrow(InputError)
    expect(bad).toThrow([
      'AdamW: settings out of range. Correct these:',
      '  - learningRate: expected a number of at least 0, got -1',
      '  - beta1: expected a number from 0 to below 1, got 1',
      '  - beta2: expected a number from 0 to below 1, got -0.1',
      '  - epsilon: expected a number of at least 0, got NaN',
      '  - weightDecay: expected a number of at least 0, got Infinity',
      '  - groups[0].learningRateScale: expected a number of at least 0, got -2',
      '  - groups[0].weightDecay: expected a number of at least 0, got -3',
    ].join('\n'))
  })
})
