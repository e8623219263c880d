import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { distillation, lwf } from '../../src/forgetting/lwf.ts'
import { lora } from '../../src/lora/lora.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'

it('lwf: adds nothing where nothing has changed, then pulls back; keeps no tensor', async () => {
  const load = () => loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  const [model, before] = [await load(), await load()]
  const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
  const train = { ids: [[1, 5, 9], [1, 7, 2, 4], [1, 3, 8, 6]], labels: [0, 1, 2] }
  const guard = lwf({ teacher: (batch) => before.forward(batch) })
  const penalties: number[] = []
  const counts = new Set<number>()
  const trainer = new Trainer({ model, train, batchSize: 1, accumulate: 3, epochs: 4, learningRate: 0.05, guards: [guard] })
  for await (const event of trainer.run()) {
    if (event.type !== 'step') continue
    penalties.push(event.penalty ?? NaN)
    counts.add(tf.memory().numTensors)
  }
  expect(Math.abs(penalties[0] ?? NaN)).toBeLessThan(1e-6)
  expect(penalties.at(-1)).toBeGreaterThan(1e-4)
  expect(counts.size).toBe(1)
  detach(adapter)
  model.dispose()
  before.dispose()
})

describe('distillation', () => {
  it('has the value and the slope of the formula, rows that do not count left out', () => {
    const [now, teacher] = [tf.tensor2d([[1, 2, 0.5], [0, -1, 3]]), tf.tensor2d([[2, 1, 0], [9, 9, 8]])]
    const formula = (x: tf.Tensor): tf.Scalar => tf.tidy(() => {
      const [p, q] = [tf.softmax(tf.div(teacher, 3)), tf.softmax(tf.div(x, 3))]
      return tf.mul(9, tf.sum(tf.slice(tf.mul(p, tf.log(tf.div(p, q))), 0, 1)))
    })
    const expected = tf.valueAndGrad(formula)(now)
    const x = tf.variable(now)
    const { value, grads } = valueAndGrads(() => distillation(x, teacher, 3, [1, 0]), { x })
    expect(largestDifference(valuesOf(value), valuesOf(expected.value))).toBeLessThan(1e-5)
    expect(largestDifference(valuesOf(grads['x'] as tf.Tensor), valuesOf(expected.grad))).toBeLessThan(1e-5)
    tf.dispose([now, teacher, x, value, expected.value, expected.grad, ...Object.values(grads)])
  })

  it('says what does not fit', () => {
    tf.tidy(() => {
      expect(() => distillation(tf.zeros([1, 2]), tf.zeros([1, 3]), 2)).toThrow('expected logits of one shape, got [1, 2] and the teacher’s [1, 3].')
      expect(() => distillation(tf.zeros([1, 2]), tf.zeros([1, 2]), 0)).toThrow('distillation: expected a temperature above 0, got 0.')
    })
    expect(() => lwf({ teacher: () => tf.scalar(0), strength: -1 })).toThrow('lwf: expected strength as a number of at least 0, got -1.')
  })
})
