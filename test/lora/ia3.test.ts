import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { valuesOf } from '../golden.ts'
import { attachTrained, eachTinyModel } from '../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

it('scales the outputs of keys and values and the inputs of the feed-forward’s last product', () => {
  const adapter = attach(model, ia3(), { train: [] })
  const layer = 'bert.encoder.layer.0'
  expect(Object.fromEntries(Object.entries(adapter.trainable).filter(([name]) => name.startsWith(layer)).map(([name, { shape }]) => [name, shape]))).toEqual({
    [`${layer}.attention.self.key.l`]: [32, 1],
    [`${layer}.attention.self.value.l`]: [32, 1],
    [`${layer}.output.dense.l`]: [1, 48],
  })
})

it('merges into rows and bias, or into columns alone', () => {
  const adapter = attachTrained(model, 'a', ia3({ targets: ['key', 'intermediate.dense'], layers: [0], feedForward: ['intermediate.dense'] }))
  const merged = merge(model, adapter)
  const value = (of: Model, name: string): Float32Array => valuesOf(of.parts.params.get(`bert.encoder.layer.0.${name}`) as FrozenWeight)
  const factor = (name: string): Float32Array => valuesOf(adapter.trainable[`bert.encoder.layer.0.${name}.l`] as tf.Tensor)
  const [key, dense] = ['attention.self.key', 'intermediate.dense']
  value(merged, `${key}.weight`).forEach((x, i) => expect(x).toBe(Math.fround((value(model, `${key}.weight`)[i] ?? NaN) * (factor(key)[Math.floor(i / 32)] ?? NaN))))
  value(merged, `${key}.bias`).forEach((x, i) => expect(x).toBe(Math.fround((value(model, `${key}.bias`)[i] ?? NaN) * (factor(key)[i] ?? NaN))))
  value(merged, `${dense}.weight`).forEach((x, i) => expect(x).toBe(Math.fround((value(model, `${dense}.weight`)[i] ?? NaN) * (factor(dense)[i % 32] ?? NaN))))
  expect(value(merged, `${dense}.bias`)).toEqual(value(model, `${dense}.bias`))
  merged.dispose()
})

it('names feed-forward modules that are not among those it takes', () => {
  expect(() => attach(model, ia3({ targets: ['key', 'value'], feedForward: ['value', 'output.dense'] }))).toThrow(
    "The targets do not fit the model:\n  - feedForward 'output.dense' matches none of the modules taken",
  )
  expect(() => attach(model, ia3({ targets: ['key'], feedForward: '.*dense' }))).toThrow("feedForward '.*dense' matches none")
})
