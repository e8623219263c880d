// The tiny model that the LoRA goldens were made on, and ways to disturb and read it, for tests of managing adapters.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach } from 'vitest'
import { attach, type AttachOptions } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { Batch } from '../../src/base/batch.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { normal, randomStream } from '../../src/base/random.ts'
import { goldenPath, valuesOf } from '../golden.ts'

export async function tinyModel(): Promise<Model> {
  return loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
}

/** One for each test, closed behind it. */
export function eachTinyModel(use: (model: Model) => void): void {
  let model: Model
  beforeEach(async () => {
    model = await tinyModel()
    use(model)
  })
  afterEach(() => { closeModel(model) })
}

export function closeModel(model: Model): void {
  for (const adapter of adaptersOf(model)) detach(adapter)
  model.dispose()
}

/** Six rows, some padded. */
export const BATCH: Batch & { readonly ids: Int32Array } = {
  ids: Int32Array.from({ length: 6 * 9 }, (_, i) => (i % 9 < 4 + (Math.floor(i / 9) % 6) ? 1 + ((i * 13) % 36) : 0)),
  mask: Int32Array.from({ length: 6 * 9 }, (_, i) => (i % 9 < 4 + (Math.floor(i / 9) % 6) ? 1 : 0)),
  labels: Int32Array.of(0, 1, 2, 2, 1, 0),
  batch: 6,
  length: 9,
}

export function forward(model: Model, batch: Batch = BATCH): Float32Array {
  return tf.tidy(() => valuesOf(model.forward(batch)))
}

/** Attaches under a name, disabled unless told otherwise, with tensors moved off their start by a noise of that name. */
export function attachTrained(model: Model, name: string, method: Method, options: AttachOptions = {}): Adapter {
  const adapter = attach(model, method, { enabled: false, train: [], ...options, name })
  for (const [key, variable] of Object.entries(adapter.trainable)) {
    const noise = normal(randomStream(3, name, key), variable.size, 0, 0.1)
    tf.tidy(() => variable.assign(tf.add(variable, tf.tensor(noise, variable.shape))))
  }
  return adapter
}
