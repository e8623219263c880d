import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { ewc, type Ewc, type EwcOptions } from '../../src/forgetting/ewc.ts'
import type { Guard, GuardedStep, Trainable } from '../../src/training/guard.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { numberOf, valuesOf } from '../golden.ts'

beforeAll(loadEngine)

type Plain = Readonly<Record<string, readonly number[]>>

const TASKS: readonly { readonly weights: Plain; readonly fisher: Plain }[] = [
  { weights: { w: [1, 2], b: [3] }, fisher: { w: [0.5, 0], b: [2] } },
  { weights: { w: [-1, 0.5], b: [2] }, fisher: { w: [1, 0], b: [0] } },
  { weights: { w: [0, 4], b: [-1] }, fisher: { w: [0.25, 3], b: [1] } },
]
const NOW: Plain = { w: [0.3, -0.7], b: [0.9] }

function tensors(plain: Plain): Record<string, tf.Tensor> {
  return Object.fromEntries(Object.entries(plain).map(([name, values]) => [name, tf.tensor([...values])]))
}

function variable(values: readonly number[]): tf.Variable {
  return tf.tidy(() => tf.variable(tf.tensor([...values])))
}

function penaltyOf(guard: Guard, now: Plain = NOW): { value: number; grads: Record<string, number[]> } {
  const trainable: Trainable = Object.fromEntries(Object.entries(now).map(([name, values]) => [name, variable(values)]))
  guard.check(trainable)
  const asked = guard.penalty?.({ trainable, batches: [] } as unknown as GuardedStep) // these guards look at no model
  const grads = Object.fromEntries(Object.entries(asked?.grads ?? {}).map(([name, grad]) => [name, [...valuesOf(grad)]]))
  tf.dispose([...Object.values(asked?.grads ?? {}), ...Object.values(trainable)])
  return { value: numberOf(asked?.value), grads }
}

function afterTasks(options: EwcOptions, tasks = TASKS): Ewc {
  const guard = ewc(options)
  tf.tidy(() => { for (const { weights, fisher } of tasks) guard.addTask(tensors(weights), tensors(fisher)) })
  return guard
}

/** Σ over elements of f, and its slope, by the definition. */
function expected(terms: readonly { readonly factor: number; readonly weights: Plain; readonly fisher: Plain }[]): ReturnType<typeof penaltyOf> {
  let value = 0
  const grads = Object.fromEntries(Object.entries(NOW).map(([name, values]) => [name, values.map(() => 0)]))
  for (const { factor, weights, fisher } of terms) {
    for (const [name, values] of Object.entries(NOW)) {
      values.forEach((x, i) => {
        const [information, distance] = [fisher[name]?.[i] ?? NaN, x - (weights[name]?.[i] ?? NaN)]
        value += (factor / 2) * information * distance ** 2
        const row = grads[name] as number[] // of the same names
        row[i] = (row[i] ?? NaN) + factor * information * distance
      })
    }
  }
  return { value, grads }
}

function expectClose(actual: ReturnType<typeof penaltyOf>, { value, grads }: ReturnType<typeof penaltyOf>): void {
  expect(actual.value).toBeCloseTo(value, 4)
  expect(Object.keys(actual.grads)).toEqual(Object.keys(grads))
  for (const [name, values] of Object.entries(grads)) values.forEach((x, i) => { expect(actual.grads[name]?.[i], name).toBeCloseTo(x, 5) })
}

describe('ewc', () => {
  it.each([0, 1, 2, 3])('adds the sum of the separate penalties of %s tasks, with their 1/2', (count) => {
    const guard = afterTasks({ strength: 10 }, TASKS.slice(0, count))
    if (count === 0) expect(penaltyOf(guard)).toEqual({ value: 0, grads: {} })
    else expectClose(penaltyOf(guard), expected(TASKS.slice(0, count).map((task) => ({ factor: 10, ...task }))))
    guard.dispose()
  })

  it('online: decays the information of earlier tasks and holds to the latest weights', () => {
    const guard = afterTasks({ strength: 10, gamma: 0.5 })
    const { weights } = TASKS[2] as (typeof TASKS)[number]
    expectClose(penaltyOf(guard), expected(TASKS.map(({ fisher }, i) => ({ factor: 10 * 0.5 ** (2 - i), weights, fisher }))))
    guard.dispose()
  })

  it('remembers the weights as they were, in the memory of one task', () => {
    const before = tf.memory().numTensors
    const trained = { w: variable([1, 2]) }
    const fisher = { w: tf.tensor([1, 1]) }
    const guard = ewc({ strength: 1 })
    for (let task = 0; task < 5; task++) guard.addTask(trained, fisher)
    expect(tf.memory().numTensors - before).toBe(2 + 3) // center, information, a constant
    tf.tidy(() => { trained.w.assign(tf.tensor([5, 5])) })
    expect(penaltyOf(guard, { w: [1, 2] })).toEqual({ value: 0, grads: { w: [0, 0] } })
    guard.dispose()
    tf.dispose([trained.w, fisher.w])
    expect(tf.memory().numTensors).toBe(before)
  })

  it('normalised, holds alike whatever size the information of a task has: F / mean(F)', () => {
    const means = TASKS.map(({ fisher }) => [...fisher['w'] ?? [], ...fisher['b'] ?? []].reduce((sum, x) => sum + x / 3, 0))
    const normal = TASKS.map(({ weights, fisher }, i) => ({
      factor: 10, weights, fisher: Object.fromEntries(Object.entries(fisher).map(([name, values]) => [name, values.map((x) => x / (means[i] ?? NaN))])),
    }))
    const before = tf.memory().numTensors
    const scaled = TASKS.map(({ weights, fisher }, i) => ({ weights, fisher: Object.fromEntries(Object.entries(fisher).map(([name, values]) => [name, values.map((x) => x * 1e-6 ** i)])) }))
    const guard = afterTasks({ strength: 10, normalize: true }, scaled)
    expectClose(penaltyOf(guard), expected(normal))
    expect(guard.name).toBe('ewc(10, normalize)')
    guard.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('says where it holds next to nothing, and what to do', async () => {
    const [task] = TASKS as [(typeof TASKS)[number]]
    const small = { weights: task.weights, fisher: { w: [1e-6, 0], b: [3e-6] } }
    const warningOf = async (options: EwcOptions, tasks: typeof TASKS): Promise<string | undefined> => {
      const guard = afterTasks(options, tasks)
      const text = await guard.warning()
      guard.dispose()
      return text
    }
    expect(await warningOf({ strength: 1000 }, [])).toMatch(/^ewc: it was told of no task yet, and holds nothing: guard\.addTask/)
    expect(await warningOf({ strength: 0 }, [small])).toMatch(/^ewc: strength is 0: it holds nothing/)
    expect(await warningOf({ strength: 1e5 }, [task])).toBe(undefined)
    expect(await warningOf({ strength: 1, normalize: true }, [small])).toBe(undefined)
    expect(await warningOf({ strength: 1000 }, [small])).toBe('ewc: moving every weight by 0.01 adds 2e-7 to the loss: next to nothing is held. The information of the tasks is near zero, '
      + 'as it is where the model was sure of every row. Take normalize: true, with a strength of about 10.')
    expect(await warningOf({ strength: 1, normalize: true }, [{ weights: task.weights, fisher: { w: [0, 0], b: [0] } }])).toMatch(/Train the tasks for fewer steps\.$/)
  })

  it('has a strength that may be set anew', () => {
    const guard = afterTasks({ strength: 1 }, TASKS.slice(0, 1))
    guard.strength = 10
    expectClose(penaltyOf(guard), expected([{ factor: 10, ...TASKS[0] as (typeof TASKS)[number] }]))
    expect(guard.name).toBe('ewc(10)')
    expect(() => { guard.strength = NaN }).toThrow('ewc: expected strength as a number of at least 0, got NaN.')
    guard.dispose()
  })

  it('says everything that does not fit, and forgets nothing by it', () => {
    expect(() => ewc({ strength: -1 })).toThrow('ewc: expected strength as a number of at least 0, got -1.')
    expect(() => ewc({ strength: 1, gamma: 2 })).toThrow('ewc: expected gamma from 0 to 1, got 2.')
    const guard = afterTasks({ strength: 1 }, TASKS.slice(0, 1))
    tf.tidy(() => {
      expect(() => { guard.addTask(tensors({ w: [1, NaN] }), tensors({ w: [1, -1], b: [1] })) })
        .toThrow(/the information: w has numbers below 0\n.*the information has b.*\n.*the earlier tasks has b.*\n.*the weights: w has numbers that are not finite/)
      expect(() => { penaltyOf(guard, { w: [1], head: [2] }) })
        .toThrow(/w is \[2\] in the guard and \[1\] in the training\n.*the training lacks b \[1\], which the guard has\n.*the training has head, which the guard lacks/)
    })
    expectClose(penaltyOf(guard), expected([{ factor: 1, ...TASKS[0] as (typeof TASKS)[number] }]))
    guard.dispose()
  })
})

describe('l2Sp', () => {
  it('pulls to the start, and what has none to 0', () => {
    const before = tf.memory().numTensors
    const start = tensors({ w: [1, 2], b: [3] })
    const guard = l2Sp(start, { alpha: 0.5, beta: 0.1, fresh: ['b'] })
    tf.dispose(start)
    expectClose(penaltyOf(guard), expected([{ factor: 1, weights: { w: [1, 2], b: [0] }, fisher: { w: [0.5, 0.5], b: [0.1] } }]))
    guard.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('refuses what it cannot hold', () => {
    tf.tidy(() => {
      expect(() => l2Sp(tensors({ w: [1] }), { alpha: 1, fresh: ['head'] })).toThrow(/no such tensors; fresh:\n.*head/)
      expect(() => l2Sp(tensors({ w: [Infinity] }), { alpha: 1 })).toThrow('the start: w has numbers that are not finite')
      expect(() => l2Sp(tensors({ w: [1] }), { alpha: NaN })).toThrow('l2Sp: expected alpha as a number of at least 0, got NaN.')
    })
  })
})
