import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import type { Batch } from '../../../src/base/batch.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../../golden.ts'
import { shownByGolden } from '../../parity.ts'

const task = 'image-text'

function logitsOf(pairs: tf.Tensor): tf.Tensor {
  const [images, texts] = tf.unstack(pairs, 1) as [tf.Tensor2D, tf.Tensor2D]
  return tf.matMul(images, texts, false, true)
}

function both(golden: Golden): Batch {
  return { ...golden.batch('input_ids', 'attention_mask'), ...golden.pictures('pixel_values'), length: 7 }
}

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(largestDifference(actual, expected) / Math.max(1, ...Array.from(expected, Math.abs))).toBeLessThan(tolerance)
}

describe.each(['clip/base', 'clip/first_ends', 'siglip/base'])('%s gives the numbers of transformers', (folder) => {
  it('logits of all pairs, the loss, and what a picture or a text becomes by itself', async () => {
    const golden = await readGolden(`${folder}/golden.safetensors`)
    const model = await loadModel(goldenPath(folder), { task })
    expectNear(tf.tidy(() => valuesOf(logitsOf(model.forward(both(golden))))), golden.numbers('logits_per_image'))
    expectNear(tf.tidy(() => valuesOf(model.loss(both(golden)))), golden.numbers('loss'))
    expectNear(tf.tidy(() => valuesOf(model.forward(golden.batch('input_ids', 'attention_mask')))), golden.numbers('text_features'))
    expectNear(tf.tidy(() => valuesOf(model.forward(golden.pictures('pixel_values')))), golden.numbers('image_features'))
    model.dispose()
    const free = await loadModel(goldenPath(folder), { task, interpolatePositions: true })
    expectNear(tf.tidy(() => valuesOf(free.forward(golden.pictures('larger/pixel_values')))), golden.numbers('larger/image_features'))
    free.dispose()
  })
})

describe.each(['clip', 'siglip'])('a LoRA on both towers of %s', (family) => {
  it('gives the logits, the loss and the gradients of HF PEFT', shownByGolden(`${family}/lora`, `${family}/base`, ['load', 'train'], 1e-4), async () => {
    const golden = await readGolden(`${family}/lora/golden.safetensors`)
    const model = await loadModel(goldenPath(`${family}/base`), { task })
    const adapter = await loadAdapter(model, goldenPath(`${family}/lora/adapter`))
    expectNear(tf.tidy(() => valuesOf(logitsOf(model.forward(both(golden))))), golden.numbers('logits_per_image'))
    const { value, grads } = valueAndGrads(() => model.loss(both(golden)), adapter.trainable)
    expectNear(valuesOf(value), golden.numbers('loss'))
    const named = Object.entries(grads).map(([name, grad]) => [name, { shape: grad.shape, values: valuesOf(grad) }] as const)
    const ours = await adapter.method.format.toFile(new Map(named), adapter.context, [])
    expect([...ours.keys()].sort()).toEqual(golden.names.filter((key) => key.startsWith('grad/')).map((key) => key.slice('grad/'.length)).sort())
    for (const [key, { values }] of ours) expectNear(values, golden.numbers(`grad/${key}`), 1e-4)
    tf.dispose([value, ...Object.values(grads)])
    model.dispose()
  })
})
