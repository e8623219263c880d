// Virtual tokens beside a picture's patches, which HF PEFT has none of: its wrappers look for a table of words. Those of two towers have no place in its files.

import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import type { Batch } from '../src/base/batch.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { prefix } from '../src/prefix/prefix.ts'
import { pTuning } from '../src/prompt/p-tuning.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { goldenPath, valuesOf } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const temporary = temporaryFolder()
const METHODS = { prompt: prompt({ virtualTokens: 2, init: 'normal' }), prefix: prefix({ virtualTokens: 2 }), 'P-tuning': pTuning({ virtualTokens: 2, hiddenSize: 6 }) }
const BATCH: Batch = { pixels: normal(randomStream(3, 'pictures'), 2 * 3 * 12 * 12, 0, 1), batch: 2, length: 0 }

it.each(['vit/image_classification', 'dinov2/image_classification'])('prompt, prefix and P-tuning on %s come back from their files with the same outputs', async (base) => {
  const model = await loadModel(goldenPath(base), { task: 'image-classification' })
  const output = (): Float32Array => tf.tidy(() => valuesOf(model.forward(BATCH)))
  const plain = output()
  for (const [name, method] of Object.entries(METHODS)) {
    const adapter = attach(model, method)
    for (const variable of Object.values(adapter.trainable)) variable.assign(tf.randomNormal(variable.shape, 0, 0.5, 'float32', 1))
    const expected = output()
    expect(expected).not.toEqual(plain)
    await adapter.save(temporary(name))
    detach(adapter)
    const again = await loadAdapter(model, temporary(name))
    expect(output(), name).toEqual(expected)
    detach(again)
  }
  model.dispose()
})

it('prompt, prefix and P-tuning on two towers train, and are not saved: in words', async () => {
  const model = await loadModel(goldenPath('clip/base'), { task: 'image-text' })
  for (const method of Object.values(METHODS)) {
    const adapter = attach(model, method)
    expect(adapter.summary().trainable).toBeGreaterThan(0)
    await expect(adapter.save(temporary('towers'))).rejects.toThrow("save: HF PEFT has no virtual tokens for 'image-text' of a model of several towers, nor a place for them in its files. Adapt it with lora, ia3 or a bottleneck to save it.")
    detach(adapter)
  }
  model.dispose()
})
