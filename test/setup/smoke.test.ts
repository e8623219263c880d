import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { loadEngine, tensorflow } from '../../src/base/engine.ts'

it('the engine trains a small network with the tfjs tape', async () => {
  await loadEngine()
  expect(tensorflow()).toBeDefined()
  const x = tf.tensor2d([[0, 0], [0, 1], [1, 0], [1, 1]])
  const y = tf.tensor2d([[0], [1], [1], [2]])
  const w = tf.variable(tf.zeros<tf.Rank.R2>([2, 1]))
  const loss = (): tf.Scalar => tf.losses.meanSquaredError(y, tf.matMul(x, w))
  const optimizer = tf.train.sgd(0.5)
  for (let step = 0; step < 100; step++) optimizer.minimize(loss)
  const [first = 0, second = 0] = await w.data()
  expect(first).toBeCloseTo(1, 5)
  expect(second).toBeCloseTo(1, 5)
})
