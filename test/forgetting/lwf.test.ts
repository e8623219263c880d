import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { joinBatches, type Batch } from '../../src/base/batch.ts'
import type { Model } from '../../src/base/model.ts'
import { add, reshape, scale } from '../../src/base/ops/algebra.ts'
import { columns } from '../../src/base/ops/columns.ts'
import { binaryCrossEntropies, squaredErrors } from '../../src/base/ops/targets.ts'
import { distillation, lwf } from '../../src/forgetting/lwf.ts'
import { lora } from '../../src/lora/lora.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath, largestDifference, numberOf, valuesOf } from '../golden.ts'

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

describe('lwf counts', () => {
  const rows = [{ ids: Int32Array.of(5, 7, 2, 9, 4), labels: Int32Array.of(-100, -100, -100, 9, 4) }, { ids: Int32Array.of(3, 8), labels: Int32Array.of(3, 8) }]
  const batchOf = ({ ids, labels }: { ids: Int32Array; labels: Int32Array }): Batch => ({ ids, labels, batch: 1, length: ids.length })

  async function changed(use: (model: Model, teacher: (batch: Batch) => tf.Tensor, trainable: Record<string, tf.Variable>) => void): Promise<void> {
    const load = () => loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
    const [model, before] = [await load(), await load()]
    const adapter = attach(model, lora({ rank: 2, init: 'gaussian' }))
    Object.values(adapter.trainable).forEach((variable, i) => {
      tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 1, 'float32', i + 1)))
    })
    const tensors = tf.memory().numTensors
    use(model, (batch) => before.forward(batch), adapter.trainable)
    expect(tf.memory().numTensors).toBe(tensors)
    detach(adapter)
    model.dispose()
    before.dispose()
  }

  it('the tokens whose prediction is learned from, and not the prompt before them', async () => {
    await changed((model, teacher, trainable) => {
      const batch = batchOf(rows[0] as typeof rows[number])
      const expected = tf.tidy(() => distillation(model.forward(batch), teacher(batch), 2, [0, 0, 1, 1, 0]).dataSync()[0])
      const { value: penalty, grads = {} } = lwf({ teacher, strength: 3 }).penalty?.({ model, trainable, batches: [batch] }) ?? {}
      tf.dispose(grads)
      const value = numberOf(penalty)
      expect(value).toBeCloseTo(3 * (expected ?? NaN), 5)
      expect(value).toBeGreaterThan(0.01)
    })
  })

  it('every token of accumulated batches once, whichever batch it is in', async () => {
    await changed((model, teacher, trainable) => {
      const guard = lwf({ teacher })
      const apart = guard.penalty?.({ model, trainable, batches: rows.map(batchOf) })
      const joined = joinBatches(rows.map(batchOf), { tokenLabels: true })
      const together = guard.penalty?.({ model, trainable, batches: [joined] })
      expect(numberOf(apart?.value)).toBeCloseTo(numberOf(together?.value), 5)
      for (const [name, grad] of Object.entries(apart?.grads ?? {})) {
        expect(largestDifference(valuesOf(grad), valuesOf(together?.grads[name] as tf.Tensor))).toBeLessThan(1e-5)
      }
      tf.dispose([apart?.grads ?? {}, together?.grads ?? {}])
    })
  })
})

describe('lwf holds what a model answers as its task reads it:', () => {
  const batch: Batch = { ids: Int32Array.of(1, 5, 9, 3, 1, 7, 2, 4), batch: 2, length: 4 }
  const T = 2
  /** The penalty and the slopes, beside those of a formula that has the same slopes. */
  async function like(load: () => Promise<Model>, labels: Int32Array | Float32Array, formula: (now: tf.Tensor, before: tf.Tensor) => tf.Scalar, value?: (now: tf.Tensor, before: tf.Tensor) => tf.Scalar): Promise<void> {
    const [model, before] = [await load(), await load()]
    const adapter = attach(model, lora({ rank: 2, init: 'gaussian' }))
    Object.values(adapter.trainable).forEach((variable, i) => {
      tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 1, 'float32', i + 1)))
    })
    const tensors = tf.memory().numTensors
    const ours = lwf({ teacher: (rows) => before.forward(rows), temperature: T }).penalty?.({ model, trainable: adapter.trainable, batches: [{ ...batch, labels }] })
    const expected = valueAndGrads(() => formula(model.forward(batch), before.forward(batch)), adapter.trainable)
    const number = tf.tidy(() => (value ?? formula)(model.forward(batch), before.forward(batch)).dataSync()[0])
    expect(numberOf(ours?.value)).toBeCloseTo(number ?? NaN, 5)
    expect(number).toBeGreaterThan(1e-3)
    for (const [name, grad] of Object.entries(expected.grads)) {
      expect(largestDifference(valuesOf(ours?.grads[name] as tf.Tensor), valuesOf(grad))).toBeLessThan(1e-5)
    }
    tf.dispose([ours?.grads ?? {}, expected.value, expected.grads])
    expect(tf.memory().numTensors).toBe(tensors)
    detach(adapter)
    model.dispose()
    before.dispose()
  }
  const classifier = (problemType: 'regression' | 'multi_label_classification') => () =>
    loadModel(goldenPath('lora/base'), { task: 'sequence-classification', problemType, labels: ['a', 'b', 'c'], seed: 1 })

  it('numbers by their squared distance', async () => {
    await like(classifier('regression'), Float32Array.of(1, 2, 3, 4, 5, 6), (now, before) => scale(squaredErrors(now, before), 1 / 6))
  })

  it('each of several labels by itself', async () => {
    const sigmoid = (x: tf.Tensor): tf.Tensor => tf.sigmoid(tf.div(x, T))
    const formula = (now: tf.Tensor, before: tf.Tensor): tf.Scalar => scale(binaryCrossEntropies(scale(now, 1 / T), sigmoid(before)), T ** 2 / 6)
    const value = (now: tf.Tensor, before: tf.Tensor): tf.Scalar => {
      const [p, q] = [sigmoid(before), sigmoid(now)]
      const side = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.mul(a, tf.log(tf.div(a, b)))
      return tf.mul(T ** 2, tf.mean(tf.add(side(p, q), side(tf.sub(1, p), tf.sub(1, q)))))
    }
    await like(classifier('multi_label_classification'), Float32Array.of(1, 0, 1, 0, 0, 1), formula, value)
  })

  it('the two places of an answer among the tokens', async () => {
    const side = (x: tf.Tensor, end: number): tf.Tensor => reshape(columns(reshape<tf.Rank.R2>(x, [8, 2]), end, 1), [2, 4])
    await like(
      () => loadModel(goldenPath('bert/question_answering'), { task: 'question-answering' }), Int32Array.of(1, 2, 0, -100),
      (now, before) => scale(add(scale(distillation(side(now, 0), side(before, 0), T), 2), distillation(side(now, 1), side(before, 1), T, [1, 0])), 1 / 3),
    )
  })
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
