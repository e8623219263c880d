import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { enable } from '../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import type { Model } from '../../src/base/model.ts'
import { crossEntropy } from '../../src/base/ops/cross-entropy.ts'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { withAdapters } from '../../src/manage/active.ts'
import { forwardPerRow } from '../../src/manage/per-row.ts'
import { layerNormTuning } from '../../src/selective/layer-norm.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, BATCH, eachTinyModel, forward } from './models.ts'

let model: Model
eachTinyModel((each) => { model = each })

it('gives every row what its adapter alone gives, whatever the methods', () => {
  attachTrained(model, 'lora', lora(), { train: ['classifier'] })
  attachTrained(model, 'dora', dora())
  attachTrained(model, 'ia3', ia3())
  attachTrained(model, 'norm', layerNormTuning())
  attachTrained(model, 'prompt', prompt({ virtualTokens: 3 }))
  attachTrained(model, 'bottleneck', bottleneck())
  const names = ['dora', null, 'lora', 'prompt', 'norm', 'ia3']
  const count = tf.memory().numTensors
  const mixed = tf.tidy(() => valuesOf(forwardPerRow(model, BATCH, names)))
  const again = tf.tidy(() => valuesOf(forwardPerRow(model, BATCH, ['bottleneck', 'dora', 'dora', null, 'lora', 'lora'])))
  expect(tf.memory().numTensors).toBe(count)
  const alone = (name: string | null): Float32Array => forward(withAdapters(model, name === null ? [] : [name]))
  names.forEach((name, row) => expect(largestDifference(mixed.slice(row * 3, row * 3 + 3), alone(name).slice(row * 3, row * 3 + 3)), `${row}`).toBeLessThan(2e-6))
  expect(largestDifference(again.slice(6, 9), alone('dora').slice(6, 9))).toBeLessThan(2e-6)
})

it('trains each adapter on its own rows', () => {
  const a = attachTrained(model, 'a', lora())
  const b = attachTrained(model, 'b', lora({ targets: ['key'] }))
  const names = ['a', 'b', 'a', 'a', 'b', 'b']
  const loss = (logits: tf.Tensor, labels: readonly number[]): tf.Scalar => crossEntropy(logits as tf.Tensor2D, tf.tensor1d([...labels], 'int32'))
  const both = { ...prefixed('a', a.trainable), ...prefixed('b', b.trainable) }
  const { value, grads } = valueAndGrads(() => loss(forwardPerRow(model, BATCH, names), [...(BATCH.labels ?? [])]), both)
  enable(b)
  // the mean of six rows; b's rows alone are three of them
  const ofB = valueAndGrads(() => loss(model.forward(onlyRows([1, 4, 5])), [1, 1, 0]), b.trainable)
  for (const [name, grad] of Object.entries(ofB.grads)) {
    expect(largestDifference(valuesOf(grads[`b/${name}`] as tf.Tensor), valuesOf(tf.tidy(() => tf.div(grad, 2)))), name).toBeLessThan(1e-6)
  }
  tf.dispose([value, grads, ofB.value, ofB.grads])
})

it('wants a name for each row, and known ones', () => {
  attach(model, lora(), { name: 'a' })
  expect(() => forwardPerRow(model, BATCH, ['a'])).toThrow('forwardPerRow: expected one adapter name (or null) for each of 6 rows, got 1.')
  expect(() => forwardPerRow(model, BATCH, ['a', 'a', 'a', 'a', 'a', 'spam'])).toThrow("The model has no adapter 'spam'; it has 'a'.")
  expect(() => forwardPerRow(model, { ids: [[1, 2]] } as never, ['a'])).toThrow(
    'forwardPerRow: expected a batch, { ids, batch, length } with the ids of all rows behind each other in an Int32Array, got a list of rows; predict(model, rows, { adapter }) takes those.')
  expect(forward(model)).toEqual(forward(withAdapters(model, 'a')))
})

function prefixed(name: string, record: Readonly<Record<string, tf.Variable>>): Record<string, tf.Variable> {
  return Object.fromEntries(Object.entries(record).map(([key, variable]) => [`${name}/${key}`, variable]))
}

function onlyRows(rows: readonly number[]): typeof BATCH {
  const pick = (array: Int32Array): Int32Array => Int32Array.from(rows.flatMap((row) => [...array.subarray(row * 9, row * 9 + 9)]))
  return { ids: pick(BATCH.ids), mask: pick(BATCH.mask ?? BATCH.ids), batch: rows.length, length: 9 }
}
