import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { Model } from '../../src/base/model.ts'
import { dora } from '../../src/lora/dora.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, BATCH, eachTinyModel, forward } from '../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

const VALUE = 'bert.encoder.layer.0.attention.self.value'

it('starts with the length of each row of the weight', () => {
  const adapter = attach(model, dora({ targets: ['value', 'word_embeddings'], rank: 2 }))
  const lengths = (weight: string, axis: number): Float32Array =>
    tf.tidy(() => valuesOf(tf.norm(paramOf(model, weight), 2, axis)))
  expect(largestDifference(valuesOf(adapter.trainable[`${VALUE}.magnitude`] as Tensor1D), lengths(`${VALUE}.weight`, 1))).toBeLessThan(1e-6)
  const words = 'bert.embeddings.word_embeddings'
  expect(largestDifference(valuesOf(adapter.trainable[`${words}.magnitude`] as Tensor1D), lengths(`${words}.weight`, 0))).toBeLessThan(1e-6)
})

it('works on the copy of a weight or bias that another method trains, which gets its gradient', () => {
  const biases = attachTrained(model, 'biases', bitFit(), { enabled: true })
  const name = `${VALUE}.bias`
  const alone = gradientOf(name)
  const adapter = attach(model, dora({ targets: ['value'] }), { name: 'dora', train: [] })
  // at its start DoRA changes nothing, so the bias gets what it got without
  expect(largestDifference(gradientOf(name), alone)).toBeLessThan(1e-6)
  const magnitude = adapter.trainable[`${VALUE}.magnitude`]
  tf.tidy(() => magnitude?.assign(tf.mul(magnitude, 1.5)))
  // the bias is not scaled: a step along its gradient lowers the loss as much as the gradient says
  const slope = gradientOf(name)
  const loss = (): number => tf.tidy(() => valuesOf(model.loss(BATCH))[0] ?? NaN)
  const move = (by: number): void => {
    const variable = biases.trainable[name] as tf.Variable
    tf.tidy(() => variable.assign(tf.add(variable, tf.mul(tf.tensor1d(slope), by))))
  }
  move(0.05)
  const up = loss()
  move(-0.1)
  const down = loss()
  const square = slope.reduce((sum, x) => sum + x * x, 0)
  expect((up - down) / (0.1 * square)).toBeCloseTo(1, 2)

  function gradientOf(key: string): Float32Array {
    const { value, grads } = valueAndGrads(() => model.loss(BATCH), biases.trainable)
    const values = valuesOf(grads[key] as Tensor1D).slice()
    tf.dispose([value, grads])
    return values
  }
})

describe('a row of zeros', () => {
  it('stays one instead of becoming NaN', () => {
    const pruned = new Model({
      ...model.parts,
      params: new Map([...model.parts.params].map(([name, weight]) => [name, name === `${VALUE}.weight` ? weight.kind.of(tf.zeros([...weight.shape])) : weight.clone()])),
    })
    const adapter = attach(pruned, dora({ targets: ['value'], layers: [0] }))
    const { value, grads } = valueAndGrads(() => pruned.loss(BATCH), adapter.trainable)
    for (const [name, grad] of Object.entries(grads)) expect(valuesOf(grad).every(Number.isFinite), name).toBe(true)
    expect(forward(pruned).every(Number.isFinite)).toBe(true)
    tf.dispose([value, grads])
    detach(adapter)
    pruned.dispose()
  })
})
