import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { AdamW } from '../../src/training/adamw.ts'
import { loraPlus } from '../../src/training/lora-plus.ts'

beforeAll(loadEngine)

it('lets B, magnitudes and biases take longer steps, the last two without decay', () => {
  const names = ['q.A', 'q.B', 'spam/q.B', 'q.magnitude', 'classifier.bias', 'classifier.weight']
  const variables = Object.fromEntries(names.map((name) => [name, tf.variable(tf.scalar(1))]))
  const grads = Object.fromEntries(names.map((name) => [name, tf.scalar(0.5)]))
  const optimizer = new AdamW(variables, { learningRate: 1e-3, weightDecay: 0.1, groups: loraPlus(16) })
  optimizer.step(grads)
  // a first step of AdamW has the length of the rate; decay takes rate · 0.1 of the weight besides
  const moved = names.map((name) => 1 - (variables[name]?.dataSync()[0] ?? NaN))
  const expected = [1.1e-3, 1.1 * 16e-3, 1.1 * 16e-3, 16e-3, 16e-3, 1.1e-3]
  moved.forEach((step, i) => expect(step, names[i]).toBeCloseTo(expected[i] ?? NaN, 5))
  optimizer.dispose()
  tf.dispose([variables, grads])
})

it('refuses a ratio that is not above 0', () => {
  expect(() => loraPlus(0)).toThrow('loraPlus: expected a ratio above 0, got 0.')
})
