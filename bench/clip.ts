// A small CLIP is trained from nothing on one vendor's drawings of emoji and their names; LoRA then adapts it to another vendor's.
//
//   npm run bench:clip [-- <seeds>]
//
// Drawings and held-out emoji as in pictures.ts, but that all of the first vendor's are trained on: a held-out drawing of the other one is told
// by a name that is known, among those of all held-out ones. How often its own is the nearest, and how often among the nearest five. There
// are three seeds unless it is said otherwise. Prints the table, which goes into docs/pictures.md, and writes bench/results/clip.json.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  attach, createImageProcessor, createModel, detach, evaluate, fullFineTuning, interpolate, loadTokenizer, lora, merge, readExamples, Trainer, type Examples, type Model, type Tokenizer,
} from 'tfjs-peft'
import { concatenate, cosine, type LoraOptions } from 'tfjs-peft/advanced'
import { trainBpe } from '../examples/pretrain/bpe.ts'
import { writeSection } from './doc-section.ts'
import { drawingsOf, splitDrawings, type Vendor } from './drawings.ts'
import { spread, table } from './markdown.ts'
import { writeResults } from './process.ts'

const [VOCABULARY, END, WORDS] = [1024, 0, 24]
const TOWER = { hidden_size: 96, num_attention_heads: 4, intermediate_size: 192 }
const CLIP = {
  model_type: 'clip', projection_dim: 64,
  text_config: { ...TOWER, num_hidden_layers: 1, vocab_size: VOCABULARY, max_position_embeddings: WORDS, eos_token_id: END },
  vision_config: { ...TOWER, num_hidden_layers: 2, image_size: 32, patch_size: 8 },
}
const FROM_NOTHING = { batchSize: 64, epochs: 60, learningRate: 1e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.1 } as const
const ADAPT = { batchSize: 64, epochs: 6, learningRate: 5e-4 } as const
const ALPHA = 0.5
const SEEDS = Array.from({ length: Number(process.argv[2] ?? 3) }, (_, seed) => seed)
const VENDORS: readonly Vendor[] = ['twitter', 'google']
const processor = createImageProcessor({ image_processor_type: 'CLIPImageProcessor', size: { shortest_edge: 32 }, crop_size: 32 })

interface Found {
  readonly accuracy: number
  readonly recallAt5: number
}

interface Row extends Readonly<Record<Vendor, Found>> {
  readonly what: string
  readonly seed: number
  readonly trained: number
}

interface Split {
  readonly train: Examples
  readonly test: Examples
  readonly all: Examples
}

const rows: Row[] = []
for (const seed of SEEDS) await runSeed(seed)
await writeResults('clip', rows)
const text = textOf()
console.log(text)
await writeSection('pictures', 'bench:clip', text)

async function runSeed(seed: number): Promise<void> {
  const tokenizer = await tokenizerOf()
  const [google, twitter] = [await splitOf('google', seed, tokenizer), await splitOf('twitter', seed, tokenizer)]
  const model = await pretrained(google.all, seed)
  const note = async (what: string, trained: number, adapter: string[] = []): Promise<void> => {
    const row = { what, seed, trained, google: await foundBy(model, google.test, adapter), twitter: await foundBy(model, twitter.test, adapter) }
    console.log(`seed ${seed}, ${what}: ${VENDORS.map((vendor) => `${vendor} ${row[vendor].accuracy.toFixed(3)}, among five ${row[vendor].recallAt5.toFixed(3)}`).join('; ')}`)
    rows.push(row)
  }
  const adapt = async (what: string, options: LoraOptions): Promise<void> => {
    const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: 'all-linear', ...options }), { name: 'twitter', seed })
    await new Trainer({ model, train: twitter.train, ...ADAPT, seed }).fit()
    await note(what, adapter.summary().trainable, ['twitter'])
    const half = interpolate(adapter, ALPHA, { name: 'half' })
    await note(`${what}, half way (α = ${ALPHA})`, half.summary().trainable, ['half'])
    detach(half)
    detach(adapter)
  }
  await note('before', 0)
  await adapt('LoRA on both towers', {})
  await adapt("LoRA on the pictures' tower", { tower: 'vision' })
  model.dispose()
}

/** Byte-level BPE of the names. */
async function tokenizerOf(): Promise<Tokenizer> {
  const names = (await drawingsOf('google')).filter(({ variation }) => !variation).map(({ name }) => name)
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(trainBpe(names, VOCABULARY)))
    return await loadTokenizer(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The same emoji of each vendor on each side. */
async function splitOf(vendor: Vendor, seed: number, tokenizer: Tokenizer): Promise<Split> {
  const { train, evaluate: held } = await splitDrawings(vendor, seed)
  const read = async (drawings: typeof train): Promise<Examples> => {
    const { examples } = await readExamples(drawings, { processor, image: 'image', tokenizer, text: 'name', maxLength: WORDS - 1 })
    return { ...examples, ids: (examples.ids ?? []).map((ids) => Int32Array.of(...Array.from(ids, Number), END)) } // a text is read off its end
  }
  return { train: await read(train), test: await read(held), all: await read(concatenate([train, held])) }
}

async function pretrained(train: Examples, seed: number): Promise<Model> {
  const model = await createModel(CLIP, { task: 'image-text', seed })
  const adapter = attach(model, fullFineTuning())
  await new Trainer({ model, train, ...FROM_NOTHING, seed }).fit()
  const merged = merge(model, adapter)
  model.dispose()
  return merged
}

/** Each drawing among the names of all. */
async function foundBy(model: Model, test: Examples, adapter: readonly string[]): Promise<Found> {
  const { accuracy = NaN, recallAt5 = NaN } = await evaluate(model, test, { adapter, batchSize: test.ids?.length ?? 0 })
  return { accuracy, recallAt5 }
}

function textOf(): string {
  const whats = [...new Set(rows.map(({ what }) => what))]
  const head = ['', 'numbers trained', ...['Twitter', 'Google'].flatMap((vendor) => [`${vendor}, the nearest`, `${vendor}, of five`])]
  const lines = table(head, whats.map((what) => {
    const own = rows.filter((row) => row.what === what)
    const percent = (vendor: Vendor, measure: keyof Found): string => spread(own.map((row) => 100 * row[vendor][measure]))
    return [what, String(own[0]?.trained ?? 0), ...VENDORS.flatMap((vendor) => [percent(vendor, 'accuracy'), percent(vendor, 'recallAt5')])]
  }))
  return [`Seeds: ${SEEDS.length}; the mean, and from the lowest to the highest.`, '', ...lines].join('\n')
}
