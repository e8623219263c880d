// A backend that has neither kernels of its own for quantised weights nor the addon's: every kind of weight has a form of plain operations.

import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { afterAll, expect, it } from 'vitest'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { attach } from '../../../src/base/adapter/attach.ts'
import { lora } from '../../../src/lora/lora.ts'
import { goldenPath } from '../../golden.ts'

await loadEngine()
const native = tf.getBackend()
afterAll(async () => { await tf.setBackend(native) })

const BATCH = { ids: Int32Array.of(2, 5, 6, 3), labels: Int32Array.of(1), batch: 1, length: 4 }

/** The loss, and the norm of a LoRA's gradients. */
async function measured(backend: string, dtype: 'float32' | 'bfloat16' | 'int8' | 'nf4'): Promise<readonly number[]> {
  await tf.setBackend(backend)
  const model = await loadModel(goldenPath('bert/sequence_classification'), { task: 'sequence-classification', dtype })
  const adapter = attach(model, lora({ rank: 2, init: 'gaussian' }), { seed: 1 })
  for (const [i, variable] of Object.values(adapter.trainable).entries()) variable.assign(tf.fill(variable.shape, 0.01 * (i + 1)))
  const { value, grads } = valueAndGrads(() => model.loss(BATCH), adapter.trainable)
  const squares = await Promise.all(Object.values(grads).map(async (grad) => (await tf.sum(tf.square(grad)).data())[0] ?? NaN))
  const result = [(await value.data())[0] ?? NaN, Math.sqrt(squares.reduce((sum, square) => sum + square, 0))]
  model.dispose()
  return result
}

it.each(['float32', 'bfloat16', 'int8', 'nf4'] as const)('%s weights train on a backend without kernels, with the numbers of the kernels', async (dtype) => {
  const [loss = NaN, norm = NaN] = await measured(native, dtype)
  const [plainLoss, plainNorm] = await measured('cpu', dtype)
  expect(plainLoss).toBeCloseTo(loss, 4)
  expect(plainNorm).toBeCloseTo(norm, 3)
})
