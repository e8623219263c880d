import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import type { GuardedStep, Penalty } from '../../src/training/guard.ts'
import { synapticIntelligence, type SynapticIntelligence } from '../../src/forgetting/synaptic-intelligence.ts'
import { numberOf, valuesOf } from '../golden.ts'

beforeAll(loadEngine)

/** Gradients and the changes that they led to, of two numbers. */
const STEPS = [{ grad: [1, -2], change: [-0.1, 0.3] }, { grad: [0.5, 1], change: [-0.2, 0.9] }]

function train(guard: SynapticIntelligence, w: tf.Variable, steps = STEPS): void {
  tf.tidy(() => {
    for (const { grad, change } of steps) {
      guard.beforeStep?.({ w }, { w: tf.tensor(grad) })
      w.assign(tf.add(w, tf.tensor(change)))
      guard.afterStep?.({ w })
    }
  })
}

function penaltyOf(guard: SynapticIntelligence, w: tf.Variable): { value: number; grad: number[] } {
  const asked = guard.penalty?.({ trainable: { w }, batches: [] } as unknown as GuardedStep) as Penalty // it looks at no model
  const grad = [...valuesOf(asked.grads['w'] as tf.Tensor)]
  tf.dispose(Object.values(asked.grads))
  return { value: numberOf(asked.value), grad }
}

function variable(): tf.Variable {
  return tf.tidy(() => tf.variable(tf.tensor([1, 2])))
}

describe('synapticIntelligence', () => {
  it('holds what lowered the loss, as the paper has it, and frees everything', () => {
    const before = tf.memory().numTensors
    const w = variable()
    const guard = synapticIntelligence({ w }, { strength: 3, damping: 0.1 })
    expect(penaltyOf(guard, w)).toEqual({ value: 0, grad: [0, 0] })
    train(guard, w)
    expect(penaltyOf(guard, w).value).toBe(0) // the task has not ended
    guard.endTask({ w })
    // −Σ g Δ is 0.2 and 0.6 − 0.9: the second moved uphill and counts as 0
    const importance = 0.2 / (0.3 ** 2 + 0.1)
    tf.tidy(() => { w.assign(tf.add(w, tf.tensor([0.5, 0.5]))) })
    const { value, grad } = penaltyOf(guard, w)
    expect(value).toBeCloseTo(3 * importance * 0.25, 5)
    expect(grad[0]).toBeCloseTo(2 * 3 * importance * 0.5, 5)
    expect(grad[1]).toBe(0)
    guard.dispose()
    w.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('leaves a step out that was skipped', () => {
    const w = variable()
    const [guard, other] = [synapticIntelligence({ w }, { strength: 1 }), synapticIntelligence({ w }, { strength: 1 })]
    const skipped = tf.tensor([NaN, NaN])
    guard.beforeStep?.({ w }, { w: skipped })
    skipped.dispose()
    train(guard, w, STEPS.slice(0, 1))
    guard.endTask({ w })
    const state = guard.state?.() ?? {}
    expect([...valuesOf(state['importance.w'] as tf.Tensor)].every((x) => x > 0)).toBe(true)
    other.restore?.(state) // and another goes on from its state
    guard.dispose()
    tf.tidy(() => { w.assign(tf.tensor([0, 0])) })
    expect(penaltyOf(other, w).value).toBeGreaterThan(0)
    other.dispose()
    w.dispose()
  })

  it('says what does not fit', () => {
    tf.tidy(() => {
      const w = variable()
      expect(() => synapticIntelligence({ w }, { strength: 1, damping: 0 })).toThrow('synapticIntelligence: expected damping above 0, got 0.')
      const guard = synapticIntelligence({ w }, { strength: 1 })
      expect(() => { guard.check({ v: w }) }).toThrow(/the training lacks w \[2\], which the guard has\n.*the training has v, which the guard lacks/)
      guard.dispose()
      w.dispose()
    })
  })
})
