// A ViT is trained from nothing on one vendor's drawings of emoji, to tell their categories; methods then adapt it to another vendor's,
// and what is left of the first is measured.
//
//   npm run bench:pictures [-- <seeds>] [--torch]
//
// Google's and Twitter's drawings (npm, 64 × 64, here 32 × 32) without those that differ in the tone of the skin alone; a fifth of the
// emoji are held out, the same of both vendors. A seed decides weights, order and held-out emoji; there are three unless it is said
// otherwise. With --torch the training from nothing is done by torch too: the same start, batches and settings. Prints the table, which
// goes into docs/pictures.md, and keeps what is done in bench/results/pictures.json.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { dispose } from '@tensorflow/tfjs-core'
import { createImageProcessor, createModel, diagonalFisher, ewc, lora, pfeiffer, predict, prepareBatches, prompt, readExamples, type Examples, type Model } from 'tfjs-peft'
import { cosine, writeSafetensors, type Batches, type TensorToWrite } from 'tfjs-peft/advanced'
import { cacheFolder } from '../src/setup/cache.ts'
import { splitDrawings, type Vendor } from './drawings.ts'
import { byTorch } from './from-nothing.ts'
import { adapted, bySeed, fromNothing, type Shares } from './two-vendors.ts'

const FROM_NOTHING = { batchSize: 32, learningRate: 1e-3, warmup: 0.05, weightDecay: 0.05, maxGradNorm: 1 } as const
const SETTINGS = { epochs: 20, batchSize: 32, adaptEpochs: 6, adaptLearningRate: 2e-3, ewc: 10 } as const
const VIT = { model_type: 'vit', image_size: 32, patch_size: 8, hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 192 }
const { values: { torch }, positionals } = parseArgs({ allowPositionals: true, options: { torch: { type: 'boolean', default: false } } })
const LORA = { rank: 8, alpha: 16, targets: 'all-linear' } as const
const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 32 })
const PIXELS = 3 * VIT.image_size ** 2

interface Split {
  readonly train: Examples
  readonly test: Examples
}

await bySeed('pictures', { VIT, FROM_NOTHING, SETTINGS, torch }, Number(positionals[0] ?? 3), async (seed, note) => {
  const [google, twitter] = [await splitOf('google', seed), await splitOf('twitter', seed)]
  const { model, untrained, batches } = await pretrained(google.data.train, google.labels, seed)
  const shareOf = async ({ test }: Split, adapter: readonly string[]): Promise<number> => accuracyOf((await predict(model, test, { adapter })).classes, test, model.labels)
  const measure = async (adapter: readonly string[]): Promise<Shares> => shares({ google: await shareOf(google.data, adapter), twitter: await shareOf(twitter.data, adapter) })
  const { batchSize, adaptEpochs: epochs, adaptLearningRate: learningRate } = SETTINGS
  const adapting = { model, train: twitter.data.train, seed, settings: { batchSize, epochs, learningRate }, measure, note }
  note('before', 0, await measure([]))
  if (torch) note('before, trained by torch', 0, shares(await inTorch(untrained, batches, { google: google.data, twitter: twitter.data }, model.labels)))
  await adapted(adapting, 'LoRA', lora(LORA), { halfWay: true })
  await adapted(adapting, 'LoRA with EWC', lora(LORA), {
    guard: async ({ trainable }) => {
      const fisher = await diagonalFisher(model, trainable, google.data.train, { size: 400, seed })
      const guard = ewc({ strength: SETTINGS.ewc, normalize: true })
      guard.addTask(trainable, fisher)
      dispose(fisher) // the guard keeps copies
      return guard
    },
  })
  await adapted(adapting, 'bottleneck', pfeiffer({ reductionFactor: 8 }))
  await adapted(adapting, 'prompt', prompt({ virtualTokens: 8 }))
  model.dispose()
})

function shares({ google, twitter }: Readonly<Record<Vendor, number>>): Shares {
  return { 'Twitter, held out': twitter, 'Google, held out': google }
}

interface Pretrained {
  readonly model: Model
  /** The folder with it as it began. */
  readonly untrained: string
  readonly batches: Batches
}

async function pretrained(train: Examples, labels: readonly string[], seed: number): Promise<Pretrained> {
  const untrained = join(cacheFolder(), 'bench', 'pictures', String(seed))
  const model = await createModel(VIT, { task: 'image-classification', labels, seed })
  await mkdir(untrained, { recursive: true })
  await model.save(join(untrained, 'untrained'))
  const { batchSize, ...settings } = FROM_NOTHING
  const batches = prepareBatches(train, { batchSize, order: { seed }, dropLast: true, labels })
  return { model: await fromNothing(model, { train: batches, ...settings, epochs: SETTINGS.epochs, schedule: cosine }), untrained, batches }
}

/** How a model does that torch trained on the same batches. */
async function inTorch(
  folder: string, batches: Batches, { google, twitter }: Readonly<Record<Vendor, Split>>, labels: readonly string[],
): Promise<Readonly<Record<Vendor, number>>> {
  const order = Array.from({ length: SETTINGS.epochs }, (_, epoch) => [...batches.epoch(epoch)].flatMap(({ rows: own }) => [...own])).flat()
  const pixels = (name: string, { pixels: all = [] }: Examples): TensorToWrite => {
    const data = new Float32Array(all.length * PIXELS)
    all.forEach((picture, i) => { data.set(picture, i * PIXELS) })
    return { name, dtype: 'F32', shape: [all.length, 3, VIT.image_size, VIT.image_size], data }
  }
  const numbers = (name: string, data: readonly number[]): TensorToWrite => ({ name, dtype: 'I32', shape: [data.length], data: Int32Array.from(data) })
  await writeSafetensors(join(folder, 'rows.safetensors'), [
    pixels('pixels', google.train), numbers('labels', (google.train.labels as readonly string[]).map((label) => labels.indexOf(label))), numbers('order', order),
    pixels('google', google.test), pixels('twitter', twitter.test),
  ])
  const told = (await byTorch('vit', folder, order.length / FROM_NOTHING.batchSize, FROM_NOTHING)) as Readonly<Record<Vendor, readonly number[]>>
  return { google: accuracyOf(told.google, google.test, labels), twitter: accuracyOf(told.twitter, twitter.test, labels) }
}

async function splitOf(vendor: Vendor, seed: number): Promise<{ readonly data: Split; readonly labels: readonly string[] }> {
  const { train, evaluate } = await splitDrawings(vendor, seed)
  const options = { processor, image: 'image', label: 'category' } as const
  const { examples, labels } = await readExamples(train, options)
  return { data: { train: examples, test: (await readExamples(evaluate, { ...options, labels })).examples }, labels }
}

/** The share of pictures whose class is told. */
function accuracyOf(classes: ArrayLike<number>, test: Examples, labels: readonly string[]): number {
  const right = test.labels as readonly string[]
  return right.filter((label, i) => labels[classes[i] ?? -1] === label).length / right.length
}
