import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { LoadOptions } from '../../../src/base/checkpoint/load.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { shownByGolden } from '../../parity.ts'
import { expectPeftNumbers } from '../../peft-numbers.ts'

/** What a model is loaded for gives these numbers of transformers. */
const OUTPUTS: readonly (readonly [output: string, options: LoadOptions])[] = [
  ['last_hidden_state', { task: 'feature-extraction' }],
  ['pooler_output', { task: 'image-embedding' }],
  ['logits', { task: 'image-classification' }],
]

describe.each([
  'vit/base', 'vit/odd_sizes', 'vit/image_classification', 'dinov2/base', 'dinov2/image_classification', 'dinov2/image_classification_gated',
])('%s gives the numbers of transformers', (folder) => {
  it.each(OUTPUTS)('%s, for %j, of pictures of its own size and of another', async (output, options) => {
    const golden = await readGolden(`${folder}/golden.safetensors`)
    for (const [call, pixels] of [['full', 'pixel_values'], ['larger', 'larger/pixel_values']] as const) {
      if (!golden.has(`${call}/${output}`)) continue
      const model = await loadModel(goldenPath(folder), { ...options, ...(call === 'larger' && folder.startsWith('vit') ? { interpolatePositions: true } : {}) })
      const expected = golden.numbers(`${call}/${output}`)
      const actual = tf.tidy(() => valuesOf(model.forward(golden.pictures(pixels))))
      expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), call).toBeLessThan(1e-5)
      model.dispose()
    }
  })
})

describe.each([
  ['vit', 'lora', 'image_classification'], ['vit', 'lora_patches', 'image_classification'], ['dinov2', 'lora', 'image_classification'], ['dinov2', 'lora_gated', 'image_classification_gated'],
])('a LoRA on %s: %s', (family, lora, base) => {
  it('gives the logits, the loss and the gradients of HF PEFT', shownByGolden(`${family}/${lora}`, `${family}/${base}`, ['load', 'train'], 1e-4), async () => {
    await expectPeftNumbers(family, lora, base, 'image-classification')
  })
})
