import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach, enable, rename } from '../../src/base/adapter/attached.ts'
import type { Model } from '../../src/base/model.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { adapterNamed } from '../../src/base/adapter/named.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { largestDifference } from '../golden.ts'
import { attachTrained, closeModel, forward, tinyModel } from './models.ts'

let model: Model
let base: Float32Array

beforeEach(async () => {
  model = await tinyModel()
  base = forward(model)
  attachTrained(model, 'a', lora({ rank: 4 }))
  attachTrained(model, 'b', lora({ rank: 2, targets: ['key', 'value'] }))
  attachTrained(model, 'c', ia3())
})

afterEach(() => closeModel(model))

const enabled = (): string[] => adaptersOf(model).filter((adapter) => adapter.enabled).map(({ name }) => name)

describe('choosing adapters by name', () => {
  it('enables exactly those named', () => {
    expect(forward(model)).toEqual(base)
    setActive(model, 'a')
    const a = forward(model)
    setActive(model, ['b', 'a'])
    expect(enabled()).toEqual(['a', 'b'])
    expect(largestDifference(forward(model), a)).toBeGreaterThan(1e-2)
    setActive(model, [])
    expect(forward(model)).toEqual(base)
  })

  it('sums the updates of several adapters of a module', () => {
    const [onlyA, onlyB] = ['a', 'b'].map((name) => forward(withAdapters(model, name)))
    setActive(model, ['a', 'b'])
    const both = forward(model)
    detach(adapterNamed(model, 'a'))
    expect(forward(model)).toEqual(onlyB)
    expect(largestDifference(both, onlyA ?? [])).toBeGreaterThan(1e-2)
  })

  it('names what there is when a name is unknown, and changes nothing', () => {
    setActive(model, 'a')
    expect(() => setActive(model, ['b', 'spam'])).toThrow("The model has no adapter 'spam'; it has 'a', 'b', 'c'.")
    expect(enabled()).toEqual(['a'])
  })

  it('renames', () => {
    rename(adapterNamed(model, 'a'), 'first')
    setActive(model, 'first')
    expect(enabled()).toEqual(['first'])
    expect(() => rename(adapterNamed(model, 'first'), 'b')).toThrow("already has an adapter called 'b'")
  })
})

describe('a model with chosen adapters', () => {
  it('computes with these, and leaves the model as it is', () => {
    setActive(model, 'a')
    const before = forward(model)
    const [chosen, count] = [withAdapters(model, 'b'), tf.memory().numTensors]
    expect(forward(withAdapters(model, []))).toEqual(base)
    expect(forward(model)).toEqual(before)
    setActive(model, 'b')
    expect(forward(chosen)).toEqual(forward(model))
    expect(forward(withAdapters(chosen, 'a'))).toEqual(before)
    expect([chosen.attached.enabled, adaptersOf(chosen)].map((adapters) => adapters.map(({ name }) => name))).toEqual([['b'], ['a', 'b', 'c']])
    expect(tf.memory().numTensors).toBe(count)
  })

  it('may be used beside others at the same time', async () => {
    setActive(model, 'a')
    const classes = async (on: Model): Promise<Float32Array> => {
      const parts: Float32Array[] = []
      for (let i = 0; i < 3; i++) {
        parts.push(forward(on))
        await Promise.resolve()
      }
      for (const part of parts) expect(part).toEqual(parts[0])
      return parts[0] as Float32Array
    }
    const views = ['a', 'b', 'c'].map((name) => withAdapters(model, name))
    const together = await Promise.all(views.map(classes))
    for (const [i, view] of views.entries()) expect(together[i]).toEqual(forward(view))
  })

  it('trains their tensors, and says so when one of them is detached', async () => {
    setActive(model, 'a')
    const chosen = withAdapters(model, 'c')
    const before = forward(model)
    await new Trainer({ model: chosen, train: { ids: [[1, 2, 3], [4, 5, 6]], labels: [0, 1] }, maxSteps: 1 }).fit()
    expect(forward(model)).toEqual(before)
    expect(() => attach(chosen, lora())).toThrow('attach: this is a view of a model with chosen adapters; attach to the model itself.')
    detach(adapterNamed(model, 'c'))
    expect(() => forward(chosen)).toThrow("forward: this is a view of the model with adapters that were detached:\n  - 'c'")
  })
})

describe('adapters that exclude each other', () => {
  it('cannot be enabled together, and the error tells where and what to do', () => {
    const count = tf.memory().numTensors
    attachTrained(model, 'd', dora({ targets: ['query'], layers: [1] }))
    setActive(model, 'd')
    const alone = forward(model)
    expect(() => setActive(model, ['a', 'd'])).toThrow(
      'These adapters cannot be enabled together; attach with { enabled: false }, then setActive one of them:\n' +
        "  - dora adapter 'd' rescales the model's own weight at 'bert.encoder.layer.1.attention.self.query', where another adapter is attached before it",
    )
    expect(() => enable(adapterNamed(model, 'a'))).toThrow('cannot be enabled together')
    expect(forward(model)).toEqual(alone)
    detach(adapterNamed(model, 'd'))
    expect(tf.memory().numTensors).toBe(count)
  })

  it('may be enabled where the one that rescales comes first', () => {
    attachTrained(model, 'd', dora({ targets: ['query'] }))
    attachTrained(model, 'e', lora({ targets: ['query'] }))
    setActive(model, ['d', 'e'])
    expect(enabled()).toEqual(['d', 'e'])
  })

  it('are those that replace the same parameter', () => {
    attachTrained(model, 'd', lora(), { train: ['classifier'] })
    attachTrained(model, 'e', lora(), { train: ['classifier'] })
    expect(() => setActive(model, ['d', 'e'])).toThrow("  - 'd' and 'e' both replace classifier.weight\n  - 'd' and 'e' both replace classifier.bias")
  })
})
