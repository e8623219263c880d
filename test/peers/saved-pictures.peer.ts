// Models of pictures, and of pictures and texts, with adapters, merged and saved here, opened by HF transformers and HF PEFT.

import * as tf from '@tensorflow/tfjs-core'
import { it } from 'vitest'
import { attach, detach, dora, ia3, loadModel, lora, merge, type Model } from '../../src/index.ts'
import { loadEngine } from '../../src/advanced.ts'
import { normal, randomStream } from '../../src/base/random.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const temporary = temporaryFolder()
const numbers = normal(randomStream(1, 'pictures'), 2 * 3 * 12 * 12, 0, 1)
const ids = [[5, 6, 7, 18], [3, 1, 4, 18]]
const METHODS = {
  LoRA: lora({ init: 'gaussian', targets: 'all-linear' }), '(IA)³': ia3(),
  'LoRA on patches': lora({ init: 'gaussian', rank: 2, targets: ['projection'] }),
  'DoRA on patches': dora({ init: 'gaussian', rank: 2, targets: ['projection'] }), '(IA)³ on patches': ia3({ targets: ['projection'], feedForward: [] }),
}

function logitsOf(model: Model, isPair: boolean): Float32Array {
  return tf.tidy(() => {
    const output = model.forward({ pixels: numbers, ...(isPair ? { ids: Int32Array.from(ids.flat()), length: 4 } : { length: 0 }), batch: 2 })
    if (!isPair) return valuesOf(output)
    const [images, texts] = tf.unstack(output, 1) as [tf.Tensor2D, tf.Tensor2D]
    return valuesOf(tf.matMul(images, texts, false, true))
  })
}

it('transformers and PEFT compute with models and adapters of ViT, DINOv2, CLIP and SigLIP that were saved here', async () => {
  await loadEngine()
  const pixels = tf.tidy(() => tf.tensor(numbers, [2, 3, 12, 12]).arraySync())
  const jobs: SavedJob[] = []
  const expected = new Map<string, Float32Array>()
  for (const base of ['vit/image_classification', 'dinov2/image_classification', 'dinov2/image_classification_gated', 'clip/base', 'siglip/base']) {
    const isPair = !base.includes('image_classification')
    const task = isPair ? 'image-text' : 'image-classification'
    const model = await loadModel(goldenPath(base), { task })
    const inputs = { task, pixels, ...(isPair ? { ids } : {}) }
    for (const [method, made] of Object.entries(METHODS)) {
      if (isPair && method.includes('patches')) continue
      const name = `${base.replace('/', ' ')} ${method}`
      const adapter = attach(model, made)
      Object.values(adapter.trainable).forEach((variable, i) => {
        tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', i + 1))))
      })
      await adapter.save(temporary(name))
      expected.set(name, logitsOf(model, isPair))
      jobs.push({ name, base: goldenPath(base), adapter: temporary(name), ...inputs })
      const merged = merge(model, adapter)
      await merged.save(temporary(`${name} merged`))
      expected.set(`${name} merged`, logitsOf(merged, isPair))
      jobs.push({ name: `${name} merged`, base: temporary(`${name} merged`), ...inputs })
      merged.dispose()
      detach(adapter)
    }
    model.dispose()
  }
  await expectOfPython(jobs, expected, temporary)
})
