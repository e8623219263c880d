import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import type { Model } from '../../../src/base/model.ts'
import { TargetError } from '../../../src/errors.ts'
import { lora } from '../../../src/lora/lora.ts'
import { eachTinyModel, forward } from '../../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

describe('modules trained in full', () => {
  it('are the head unless named, by path or by the end of one', () => {
    const copiesOf = (name: string, train?: readonly string[]): readonly string[] =>
      attach(model, lora({ rank: 1 }), { name, enabled: false, ...(train === undefined ? {} : { train }) }).copies
    expect(copiesOf('a')).toEqual(['classifier.weight', 'classifier.bias'])
    expect(copiesOf('b', ['pooler'])).toEqual(['bert.pooler.dense.weight', 'bert.pooler.dense.bias'])
    expect(copiesOf('c', ['bert.pooler.dense.bias'])).toEqual(['bert.pooler.dense.bias'])
    expect(copiesOf('d', [])).toEqual([])
  })

  it('that do not exist are named', () => {
    expect(() => attach(model, lora(), { train: ['pooller', 'oler'] })).toThrow("Modules to train that the model does not have:\n  - 'pooller'\n  - 'oler'")
  })

  it('cannot be adapted too', () => {
    expect(() => attach(model, lora({ targets: ['classifier', 'query'] }))).toThrow(
      new TargetError('Modules that are adapted and also named in `train`; take them out of one:', ["'classifier'"]),
    )
    attach(model, lora({ targets: ['classifier'], rank: 2 }), { train: [] })
  })
})

it('is summed up: what it trains, beside how much, where', () => {
  const base = [...model.parts.params.values()].reduce((sum, { size }) => sum + size, 0)
  const [layers, width, classes] = [3, 32, 3] as const
  const pairs = 2 * layers * 2 * width * 4 // A and B of rank 4 at the queries and the values of each layer
  const head = (width + 1) * classes // a copy of what the base has
  const adapter = attach(model, lora({ rank: 4, targets: ['query', 'value'] }), { name: 'spam' })
  expect(adapter.summary()).toEqual({
    name: 'spam', method: 'lora', sites: 2 * layers, trainable: pairs + head, total: base + pairs, share: (pairs + head) / (base + pairs), bytes: 4 * (pairs + head),
  })
})

it('attaches out of the forward pass when told to', () => {
  const base = forward(model)
  const adapter = attach(model, lora(), { enabled: false })
  expect(adapter.enabled).toBe(false)
  expect(forward(model)).toEqual(base)
})

it('leaves no tensor behind when it fails', () => {
  attach(model, lora())
  const count = tf.memory().numTensors
  expect(() => attach(model, lora())).toThrow("attach: the model already has an adapter called 'default'; detach it or choose another name.")
  expect(() => attach(model, lora(), { name: 'b' })).toThrow("'default' and 'b' both replace classifier.weight")
  expect(tf.memory().numTensors).toBe(count)
})
