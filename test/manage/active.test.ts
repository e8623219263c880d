import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { adaptersOf, detach, enable, rename } from '../../src/base/adapter/attach.ts'
import type { Model } from '../../src/base/model.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { adapterNamed, setActive, withAdapters } from '../../src/manage/active.ts'
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
    const [onlyA, onlyB] = ['a', 'b'].map((name) => withAdapters(model, name, () => forward(model)))
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

describe('adapters for the length of a function', () => {
  it('are put back as they were, also when it throws', () => {
    setActive(model, 'a')
    const before = forward(model)
    expect(withAdapters(model, [], () => forward(model))).toEqual(base)
    expect(forward(model)).toEqual(before)
    expect(() => withAdapters(model, 'b', () => { throw new Error('inside') })).toThrow('inside')
    expect(enabled()).toEqual(['a'])
  })

  it('stay until a promise has settled', async () => {
    setActive(model, 'a')
    const during = withAdapters(model, 'c', async () => {
      await Promise.resolve()
      return enabled()
    })
    expect(enabled()).toEqual(['c'])
    expect(await during).toEqual(['c'])
    expect(enabled()).toEqual(['a'])
    await expect(withAdapters(model, 'c', () => Promise.reject(new Error('inside')))).rejects.toThrow('inside')
    expect(enabled()).toEqual(['a'])
  })

  it('may be detached inside', () => {
    setActive(model, ['a', 'b'])
    withAdapters(model, 'a', () => detach(adapterNamed(model, 'a')))
    expect(enabled()).toEqual(['b'])
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
        "  - LORA adapter 'd' rescales the model's own weight at 'bert.encoder.layer.1.attention.self.query', where another adapter is attached before it",
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
