// A kind of weights that the library does not know: each holds half its numbers. What is asked of it is all that there is to a kind.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { merge } from '../../../src/base/adapter/merge.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { FLOAT32 } from '../../../src/base/engine/float32.ts'
import type { FrozenWeight, WeightKind } from '../../../src/base/engine/frozen-weight.ts'
import { Model } from '../../../src/base/model.ts'
import { dora } from '../../../src/lora/dora.ts'
import { lora } from '../../../src/lora/lora.ts'
import { fullFineTuning } from '../../../src/selective/full.ts'
import { goldenPath, largestDifference, valuesOf } from '../../golden.ts'
import { BATCH, forward } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const HALVED: WeightKind = {
  name: 'float32',
  fileDtype: 'F32',
  fromFile: (data) => halved(FLOAT32.fromFile(data)),
  of: (tensor) => halved(FLOAT32.fromFile({ dtype: 'F32', shape: tensor.shape, data: valuesOf(tensor).map((x) => x / 2) })),
}

function halved(half: FrozenWeight): FrozenWeight {
  const doubled = <T extends tf.Tensor>(x: T): T => tf.mul<T>(x, 2)
  return {
    kind: HALVED, shape: half.shape, size: half.size, bytes: half.bytes,
    get isDisposed() {
      return half.isDisposed
    },
    timesTransposed: (x, bias) => tf.tidy(() => {
      const y = doubled(half.timesTransposed(x))
      return bias === undefined ? y : tf.add<Tensor2D>(y, bias)
    }),
    times: (dy) => tf.tidy(() => doubled(half.times(dy))),
    grouped: (x, experts, transposed) => tf.tidy(() => doubled(half.grouped(x, experts, transposed))),
    rows: (ids) => tf.tidy(() => doubled(half.rows(ids))),
    part: (first, count) => halved(half.part(first, count)),
    float32: () => tf.tidy(() => doubled(half.float32())),
    clone: () => halved(half.clone()),
    dispose: half.dispose,
  }
}

const temporary = temporaryFolder()
let plain: Model
let model: Model

beforeEach(async () => {
  plain = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
  const { params, specs } = plain.parts
  model = new Model({ ...plain.parts, params: new Map([...params].map(([name, weight]) => {
    const { part } = specs.get(name) ?? {}
    return [name, part === 'weight' || part === 'embedding' ? HALVED.of(weight.float32()) : weight.clone()]
  })) })
})

afterEach(() => {
  for (const each of [plain, model]) each.dispose()
})

it('serves a model and its files', async () => {
  expect(largestDifference(forward(model), forward(plain))).toBeLessThan(1e-6)
  await model.save(temporary('saved'))
  const again = await loadModel(temporary('saved'), { task: 'sequence-classification' })
  for (const [name, weight] of plain.parts.params) expect(valuesOf(again.parts.params.get(name) as FrozenWeight), name).toEqual(valuesOf(weight))
  again.dispose()
})

it.each([lora({ rank: 2, init: 'pissa', targets: 'all-linear' }), lora({ rank: 2, targets: ['word_embeddings'] }), dora({ rank: 2 }), fullFineTuning()])(
  'is adapted and merged as any other is, and what changes is held likewise (%#)', (method) => {
    const [before, bytes] = [tf.memory().numTensors, [...model.parts.params.values()].reduce((sum, weight) => sum + weight.bytes, 0)]
    const [got, expected] = [model, plain].map((each): Record<string, Float32Array> => {
      const adapter = attach(each, method)
      const { value, grads } = valueAndGrads(() => each.loss(BATCH), adapter.trainable)
      const read = Object.fromEntries(Object.entries({ value, ...grads }).map(([name, tensor]) => [name, valuesOf(tensor).slice()]))
      for (const [name, variable] of Object.entries(adapter.trainable)) tf.tidy(() => variable.assign(tf.sub(variable, tf.mul(grads[name] as tf.Tensor, 0.1))))
      const merged = merge(each, adapter)
      detach(adapter)
      tf.dispose([value, grads])
      for (const [name, { kind }] of merged.parts.params) expect(kind, name).toBe(each.parts.params.get(name)?.kind)
      expect([...merged.parts.params.values()].reduce((sum, weight) => sum + weight.bytes, 0)).toBe(bytes)
      const logits = forward(merged)
      merged.dispose()
      return { ...read, logits }
    })
    for (const [name, values] of Object.entries(expected ?? {})) expect(largestDifference(got?.[name] ?? [], values), name).toBeLessThan(1e-5)
    expect(tf.memory().numTensors).toBe(before)
  },
)
