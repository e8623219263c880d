import * as tf from '@tensorflow/tfjs-core'
import type { Scalar } from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import type { Adapter } from '../../../src/base/adapter/adapter.ts'
import { adaptersOf, detach } from '../../../src/base/adapter/attached.ts'
import { perExampleGrads, valueAndGrads, type ValueAndGrads } from '../../../src/base/autodiff/grads.ts'
import type { Batch } from '../../../src/base/batch.ts'
import type { LossOptions } from '../../../src/base/architecture.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Method } from '../../../src/base/method.ts'
import type { Model } from '../../../src/base/model.ts'
import { scale } from '../../../src/base/ops/algebra.ts'
import { int, randomStream } from '../../../src/base/random.ts'
import { lossOf, type Task } from '../../../src/base/tasks/task.ts'
import { lora } from '../../../src/lora/lora.ts'
import { prompt } from '../../../src/prompt/prompt.ts'
import { bitFit } from '../../../src/selective/bitfit.ts'
import { goldenPath } from '../../golden.ts'
import { relativeDifference } from '../ops/forms.ts'

const open: Model[] = []
afterEach(() => {
  for (const model of open.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

async function load(folder: string, task: Task): Promise<Model> {
  const model = await loadModel(goldenPath(folder), { task })
  open.push(model)
  return model
}

/** Three rows of which some tokens have a label; the last row has none. */
function batchFor(model: Model): Batch {
  const [batch, length] = [3, 5]
  const draw = randomStream(1, 'ids')
  const words = model.limits?.vocabSize ?? 0
  const some = (): Int32Array => Int32Array.from({ length: batch * length }, () => int(draw, words))
  const labels = some().map((label, i) => (i % 3 === 0 || i >= 10 ? -100 : label))
  return { ids: some(), labels, batch, length, ...(model.parts.task === 'seq2seq-lm' ? { decoderIds: some() } : {}) }
}

/** From the logits of all tokens, and as the model gives it. */
function bothWays(model: Model, batch: Batch, options: LossOptions = {}): readonly (() => Scalar)[] {
  return [
    () => tf.tidy(() => {
      const { sum, weight } = lossOf(model.record, model.forward(batch), batch, options)
      return scale(sum, 1 / weight)
    }),
    () => model.loss(batch, options),
  ]
}

function expectSame(model: Model, trainable: Adapter['trainable'], options: LossOptions = {}): void {
  const [whole, own] = bothWays(model, batchFor(model), options).map((loss) => valueAndGrads(loss, trainable)) as [ValueAndGrads, ValueAndGrads]
  expect(own.value.dataSync()[0]).toBeCloseTo(whole.value.dataSync()[0] ?? NaN, 5)
  for (const [name, gradient] of Object.entries(own.grads)) {
    expect(relativeDifference(gradient.dataSync(), whole.grads[name]?.dataSync() ?? []), name).toBeLessThan(2e-6)
  }
  for (const { value, grads } of [whole, own]) tf.dispose([value, ...Object.values(grads)])
}

const gaussian = (): Method => lora({ rank: 2, init: 'gaussian' })

/** With biases, the head's own is trained too. */
const HEADS: readonly (readonly [folder: string, task: Task, method: () => Method])[] = [
  ['gpt2/causal_lm', 'causal-lm', bitFit], ['llama/causal_lm', 'causal-lm', gaussian], ['relatives/gemma2_causal_lm', 'causal-lm', gaussian],
  ['relatives/granite_causal_lm', 'causal-lm', gaussian], ['bert/masked_lm', 'masked-lm', bitFit], ['relatives/modernbert_biased_masked_lm', 'masked-lm', bitFit],
  ['deberta-v2/masked_lm', 'masked-lm', bitFit], ['bart/seq2seq', 'seq2seq-lm', bitFit],
]

describe('the loss of a head that ends in words', () => {
  it.each(HEADS)('has the value and the gradients that the logits of all tokens have: %s', async (folder, task, method) => {
    const model = await load(folder, task)
    const { trainable } = attach(model, method(), { seed: 2 })
    const classWeights = Float32Array.from({ length: model.limits?.vocabSize ?? 0 }, (_, i) => i % 4)
    for (const options of [{}, { labelSmoothing: 0.1 }, { labelSmoothing: 0.2, classWeights }]) expectSame(model, trainable, options)
  })

  const OUTPUTS: Readonly<Record<string, readonly [method: () => Method, train: readonly string[]]>> = {
    'LoRA on the head': [() => lora({ rank: 2, targets: ['lm_head', 'c_attn'], init: 'gaussian' }), []],
    'virtual tokens': [() => prompt({ virtualTokens: 3 }), []],
    'a table that is trained': [() => lora({ rank: 2 }), ['lm_head']],
  }
  it.each(Object.entries(OUTPUTS))('goes with %s', async (name, [method, train]) => {
    const model = await load('gpt2/untied', 'causal-lm')
    const { trainable } = attach(model, method(), { seed: 2, train })
    expect(Object.keys(trainable).some((each) => each.includes('lm_head'))).toBe(name !== 'virtual tokens')
    expectSame(model, trainable)
  })

  it('keeps the gradients of rows apart where they are asked for one by one', async () => {
    const model = await load('gpt2/causal_lm', 'causal-lm')
    const { trainable } = attach(model, lora({ rank: 2 }), { seed: 2 })
    const batch = batchFor(model)
    const { value, grads } = perExampleGrads(() => model.lossParts(batch).sum, trainable, batch.batch)
    const together = valueAndGrads(() => model.lossParts(batch).sum, trainable)
    for (const [name, gradient] of Object.entries(grads)) {
      expect(gradient.shape).toEqual([3, ...(trainable[name]?.shape ?? [])])
      expect(relativeDifference(tf.tidy(() => tf.sum(gradient, 0).dataSync()), together.grads[name]?.dataSync() ?? []), name).toBeLessThan(1e-5)
    }
    tf.dispose([value, together.value, ...Object.values(grads), ...Object.values(together.grads)])
  })

  it('keeps no logits for the way back', async () => {
    const model = await load('gpt2/causal_lm', 'causal-lm')
    const { trainable } = attach(model, lora({ rank: 1, layers: [0] }), { seed: 2 })
    const batch = batchFor(model)
    const kept = (loss: () => Scalar): number => {
      const before = tf.memory().numBytes
      let bytes = 0
      const { value, grads } = valueAndGrads(() => {
        const found = loss()
        bytes = tf.memory().numBytes - before
        return found
      }, trainable)
      tf.dispose([value, ...Object.values(grads)])
      return bytes
    }
    const [whole = NaN, own = NaN] = bothWays(model, batch).map(kept)
    const logits = 4 * batch.batch * batch.length * (model.limits?.vocabSize ?? 0)
    expect(own).toBeLessThan(whole - logits / 2)
  })
})
