// scikit-learn's digits as pictures: 1,797 of handwriting, 8 × 8 in 17 shades of grey, which a small ViT learns from nothing.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { expect, inject, it } from 'vitest'
import { attach, createImageProcessor, createModel, evaluate, fullFineTuning, readExamples, streamBatches, Trainer } from '../../src/index.ts'
import { cosine, datasetOf, splitByHash, type RawPicture } from '../../src/advanced.ts'
import { cacheFolder } from '../../src/setup/cache.ts'
import { peerScript } from './python.ts'

interface Digit {
  readonly image: RawPicture
  readonly label: string
  readonly number: number
}

const VIT = { model_type: 'vit', image_size: 16, patch_size: 4, num_channels: 1, hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96 }
const LABELS = Array.from({ length: 10 }, (_, i) => String(i))

async function digits(): Promise<Digit[]> {
  const cache = join(cacheFolder(), 'photographs')
  await promisify(execFile)(inject('python'), [peerScript('pictures.py'), '--cache', cache])
  const lines = gunzipSync(await readFile(join(cache, 'digits.csv.gz'))).toString().trim().split('\n')
  return lines.map((line, number) => {
    const values = line.split(',').map(Number)
    return { image: { data: Uint8Array.from(values.slice(0, 64), (shade) => Math.round((shade * 255) / 16)), width: 8, height: 8, channels: 1 }, label: String(values[64]), number }
  })
}

it('a ViT that is trained from nothing on four fifths of the digits tells the others, read ahead as pictures of one channel', async () => {
  const all = await digits()
  expect(all).toHaveLength(1797)
  const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 16, image_mean: [0.5], image_std: [0.5] })
  const options = { processor, image: 'image', label: 'label', labels: LABELS } as const
  const { train, evaluate: held } = splitByHash(datasetOf(all), ({ number }) => String(number), 0.2)
  const model = await createModel(VIT, { task: 'image-classification', labels: LABELS, seed: 0 })
  attach(model, fullFineTuning())
  const batches = await streamBatches(train, { ...options, batchSize: 32, window: 8 })
  await new Trainer({ model, train: batches, epochs: 10, learningRate: 2e-3, schedule: cosine, warmup: 0.1 }).fit()
  const { examples } = await readExamples(held, options)
  const { accuracy = NaN } = await evaluate(model, examples)
  process.stdout.write(`${examples.labels?.length} held-out digits: ${(100 * accuracy).toFixed(1)} % are told\n`)
  expect(accuracy).toBeGreaterThan(0.9)
  model.dispose()
})
