// A ViT is trained from nothing on one vendor's drawings of emoji, to tell their categories; methods then adapt it to another vendor's,
// and what is left of the first is measured.
//
//   npm run bench:pictures [-- <seeds>]
//
// Google's and Twitter's drawings (npm, 64 × 64, here 32 × 32) without those that differ in the tone of the skin alone; a fifth of the
// emoji are held out, the same of both vendors. A seed decides weights, order and held-out emoji; there are three unless it is said
// otherwise. Prints the table, which goes into docs/pictures.md, and writes bench/results/pictures.json.

import { dispose } from '@tensorflow/tfjs-core'
import {
  attach, createImageProcessor, createModel, detach, diagonalFisher, ewc, fullFineTuning, interpolate, lora, merge, pfeiffer, predict, prompt, readExamples, Trainer,
  type Examples, type Guard, type Method, type Model,
} from 'tfjs-peft'
import { datasetOf, splitByHash } from 'tfjs-peft/advanced'
import { writeSection } from './doc-section.ts'
import { drawingsOf, type DrawingFile, type Vendor } from './drawings.ts'
import { spread, table } from './markdown.ts'
import { writeResults } from './process.ts'

const SETTINGS = { batchSize: 32, epochs: 20, learningRate: 1e-3, adaptEpochs: 6, adaptLearningRate: 2e-3, ewc: 10, alpha: 0.5 } as const
const VIT = { model_type: 'vit', image_size: 32, patch_size: 8, hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 192 }
const SEEDS = Array.from({ length: Number(process.argv[2] ?? 3) }, (_, seed) => seed)
const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 32 })

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
  const model = await pretrained(google.data.train, google.labels, seed)
  const note = async (what: string, trained: number, adapter: string[] = []): Promise<void> => {
    const row = { what, seed, trained, google: await accuracyOf(model, google.data.test, adapter), twitter: await accuracyOf(model, twitter.data.test, adapter) }
    console.log(`seed ${seed}, ${what}: ${trained} trained, Google ${row.google.toFixed(3)}, Twitter ${row.twitter.toFixed(3)}`)
    rows.push(row)
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

async function pretrained(train: Examples, labels: readonly string[], seed: number): Promise<Model> {
  const model = await createModel(VIT, { task: 'image-classification', labels, seed })
  const adapter = attach(model, fullFineTuning())
  const { batchSize, epochs, learningRate } = SETTINGS
  await new Trainer({ model, train, batchSize, epochs, learningRate, weightDecay: 0.05, seed }).fit()
  const merged = merge(model, adapter)
  model.dispose()
  return merged
}

/** The same emoji of each vendor on each side. */
async function splitOf(vendor: Vendor, seed: number): Promise<{ readonly data: Split; readonly labels: readonly string[] }> {
  const drawings = (await drawingsOf(vendor)).filter(({ variation, category }) => !variation && category !== 'Component')
  const { train, evaluate } = splitByHash(datasetOf(drawings), ({ name }: DrawingFile) => `${seed} ${name}`, 0.2)
  const options = { processor, image: 'image', label: 'category' } as const
  const { examples, labels } = await readExamples(train, options)
  return { data: { train: examples, test: (await readExamples(evaluate, { ...options, labels })).examples }, labels }
}

async function accuracyOf(model: Model, test: Examples, adapter: readonly string[]): Promise<number> {
  const { classes } = await predict(model, test, { adapter })
  const labels = test.labels as readonly string[]
  return labels.filter((label, i) => model.labels[classes[i] ?? -1] === label).length / labels.length
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
