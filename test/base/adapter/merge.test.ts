import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../../src/base/adapter/attached.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import type { Model } from '../../../src/base/model.ts'
import { dora } from '../../../src/lora/dora.ts'
import { ia3 } from '../../../src/lora/ia3.ts'
import { lora } from '../../../src/lora/lora.ts'
import { setActive } from '../../../src/manage/active.ts'
import { bitFit } from '../../../src/selective/bitfit.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { largestDifference } from '../../golden.ts'
import { attachTrained, closeModel, eachTinyModel, forward, tinyModel } from '../../manage/models.ts'

let model: Model
eachTinyModel((each) => { model = each })

describe('merging several adapters', () => {
  it('folds them in the order they were attached, whatever the order they are named in', () => {
    const adapters = [
      attachTrained(model, 'dora', dora({ targets: 'all-linear', rank: 2 }), { train: ['classifier'] }),
      attachTrained(model, 'scaled', ia3({ targets: 'all-linear', feedForward: ['output.dense'] })),
      attachTrained(model, 'biases', bitFitWithoutHead()),
      attachTrained(model, 'lora', lora({ targets: ['query', 'dense', 'word_embeddings'], layers: [0, 1] })),
    ]
    setActive(model, adapters.map(({ name }) => name))
    const together = forward(model)
    setActive(model, 'lora')
    const before = forward(model)
    const merged = merge(model, [...adapters].reverse())
    expect(largestDifference(forward(merged), together)).toBeLessThan(1e-5)
    expect(forward(model)).toEqual(before)
    merged.dispose()
  })

  it('refuses those that exclude each other, and puts things back', () => {
    const [a, b] = ['a', 'b'].map((name) => attachTrained(model, name, lora(), { train: ['classifier'] }))
    setActive(model, 'b')
    expect(() => merge(model, [a, b].flatMap((adapter) => adapter ?? []))).toThrow("'a' and 'b' both replace classifier.weight")
    expect(adaptersOf(model).filter(({ enabled }) => enabled)).toEqual([b])
  })
})

describe('what cannot be merged', () => {
  it('is said with its place', () => {
    const adapter = attach(model, prompt({ virtualTokens: 2 }))
    const count = tf.memory().numTensors
    expect(() => merge(model, adapter)).toThrow("merge: prompt at 'bert.embeddings.tokens' cannot be folded into a weight.")
    expect(tf.memory().numTensors).toBe(count)
  })

  it('is an adapter with a NaN, unless the check is waived', () => {
    const adapter = attachTrained(model, 'a', lora({ targets: ['query'], layers: [0] }))
    const broken = adapter.trainable['bert.encoder.layer.0.attention.self.query.A']
    tf.tidy(() => broken?.assign(tf.fill(broken.shape, NaN)))
    const count = tf.memory().numTensors
    expect(() => merge(model, adapter)).toThrow('merge: the merged model does not compute what the adapted one does')
    expect(tf.memory().numTensors).toBe(count)
    merge(model, adapter, { verify: false }).dispose()
  })

  it('is an adapter of another model, or one that was detached', async () => {
    const other = await tinyModel()
    const [stranger, gone] = [attach(other, lora(), { name: 'stranger' }), attach(model, lora(), { name: 'gone' })]
    expect(() => merge(model, stranger)).toThrow("Adapters that belong to another model:\n  - 'stranger'")
    detach(gone)
    expect(() => merge(model, gone)).toThrow("Adapter 'gone' is not attached to its model any more.")
    closeModel(other)
  })
})

function bitFitWithoutHead(): ReturnType<typeof bitFit> {
  const { copies, ...method } = bitFit()
  return { ...method, copies: (params, sites) => (copies?.(params, sites) ?? []).filter((name) => !name.startsWith('classifier')) }
}
