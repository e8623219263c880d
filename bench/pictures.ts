// A ViT is trained from nothing on one vendor's drawings of emoji, to tell their categories; methods then adapt it to another vendor's,
// and what is left of the first is measured.
//
//   npm run bench:pictures [-- <seeds>] [--torch]
//
// Google's and Twitter's drawings (npm, 64 × 64, here 32 × 32) without those that differ in the tone of the skin alone; a fifth of the
// emoji are held out, the same of both vendors. A seed decides weights, order and held-out emoji; there are three unless it is said
// otherwise. With --torch the training from nothing is done by torch too: the same start, batches and settings. Prints the table, which
// goes into docs/pictures.md, and writes bench/results/pictures.json.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { dispose } from '@tensorflow/tfjs-core'
import {
  attach, createImageProcessor, createModel, detach, diagonalFisher, ewc, fullFineTuning, interpolate, lora, merge, pfeiffer, predict, prepareBatches, prompt, readExamples, Trainer,
  type Examples, type Guard, type Method, type Model,
} from 'tfjs-peft'
import { cosine, writeSafetensors, type Batches, type TensorToWrite } from 'tfjs-peft/advanced'
import { cacheFolder } from '../src/setup/cache.ts'
import { writeSection } from './doc-section.ts'
import { splitDrawings, type Vendor } from './drawings.ts'
import { byTorch } from './from-nothing.ts'
import { spread, table } from './markdown.ts'
import { writeResults } from './process.ts'

const FROM_NOTHING = { batchSize: 32, learningRate: 1e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.05, maxGradNorm: 1 } as const
const SETTINGS = { epochs: 20, batchSize: 32, adaptEpochs: 6, adaptLearningRate: 2e-3, ewc: 10, alpha: 0.5 } as const
const VIT = { model_type: 'vit', image_size: 32, patch_size: 8, hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 192 }
const { values: { torch }, positionals } = parseArgs({ allowPositionals: true, options: { torch: { type: 'boolean', default: false } } })
const SEEDS = Array.from({ length: Number(positionals[0] ?? 3) }, (_, seed) => seed)
const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 32 })

const PIXELS = 3 * VIT.image_size ** 2

interface Row {
  readonly what: string
  readonly seed: number
  readonly trained: number
  /** Shares of held-out drawings whose category is told. */
  readonly google: number
  readonly twitter: number
}

interface Split {
  readonly train: Examples
  readonly test: Examples
}

const rows: Row[] = []
for (const seed of SEEDS) await runSeed(seed)
await writeResults('pictures', rows)
const text = textOf()
console.log(text)
await writeSection('pictures', 'bench:pictures', text)

async function runSeed(seed: number): Promise<void> {
  const [google, twitter] = [await splitOf('google', seed), await splitOf('twitter', seed)]
  const { model, untrained, batches } = await pretrained(google.data.train, google.labels, seed)
  const noted = (what: string, trained: number, { google: onGoogle, twitter: onTwitter }: Readonly<Record<Vendor, number>>): void => {
    console.log(`seed ${seed}, ${what}: ${trained} trained, Google ${onGoogle.toFixed(3)}, Twitter ${onTwitter.toFixed(3)}`)
    rows.push({ what, seed, trained, google: onGoogle, twitter: onTwitter })
  }
  const note = async (what: string, trained: number, adapter: string[] = []): Promise<void> => {
    const shareOf = async (test: Examples): Promise<number> => accuracyOf((await predict(model, test, { adapter })).classes, test, model.labels)
    noted(what, trained, { google: await shareOf(google.data.test), twitter: await shareOf(twitter.data.test) })
  }
  const adapt = async (what: string, method: Method, guard?: (trainable: ReturnType<typeof attach>['trainable']) => Promise<Guard & { dispose(): void }>): Promise<void> => {
    const adapter = attach(model, method, { name: 'twitter', seed })
    const held = await guard?.(adapter.trainable)
    const { batchSize, adaptEpochs: epochs, adaptLearningRate: learningRate } = SETTINGS
    await new Trainer({ model, train: twitter.data.train, batchSize, epochs, learningRate, seed, guards: held === undefined ? [] : [held] }).fit()
    held?.dispose()
    await note(what, adapter.summary().trainable, ['twitter'])
    if (what === 'LoRA') {
      const half = interpolate(adapter, SETTINGS.alpha, { name: 'half' })
      await note(`LoRA, half way (α = ${SETTINGS.alpha})`, half.summary().trainable, ['half'])
      detach(half)
    }
    detach(adapter)
  }
  await note('before', 0)
  if (torch) noted('before, trained by torch', 0, await inTorch(untrained, batches, { google: google.data, twitter: twitter.data }, model.labels))
  await adapt('LoRA', lora({ rank: 8, alpha: 16, targets: 'all-linear' }))
  await adapt('LoRA with EWC', lora({ rank: 8, alpha: 16, targets: 'all-linear' }), async (trainable) => {
    const fisher = await diagonalFisher(model, trainable, google.data.train, { size: 400, seed })
    const guard = ewc({ strength: SETTINGS.ewc, normalize: true })
    guard.addTask(trainable, fisher)
    dispose(fisher) // the guard keeps copies
    return guard
  })
  await adapt('bottleneck', pfeiffer({ reductionFactor: 8 }))
  await adapt('prompt', prompt({ virtualTokens: 8 }))
  model.dispose()
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
  const adapter = attach(model, fullFineTuning())
  const { batchSize, ...settings } = FROM_NOTHING
  const batches = prepareBatches(train, { batchSize, order: { seed }, dropLast: true, labels })
  await new Trainer({ model, train: batches, ...settings, epochs: SETTINGS.epochs }).fit()
  const merged = merge(model, adapter)
  model.dispose()
  return { model: merged, untrained, batches }
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

function textOf(): string {
  const whats = [...new Set(rows.map(({ what }) => what))]
  const head = ['', 'numbers trained', 'Twitter, held out', 'Google, held out']
  const lines = table(head, whats.map((what) => {
    const own = rows.filter((row) => row.what === what)
    const percent = (vendor: Vendor): string => spread(own.map((row) => 100 * row[vendor]))
    return [what, String(own[0]?.trained ?? 0), percent('twitter'), percent('google')]
  }))
  return [`Seeds: ${SEEDS.length}; the mean, and from the lowest to the highest.`, '', ...lines].join('\n')
}
