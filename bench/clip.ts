// A small CLIP is trained from nothing on one vendor's drawings of emoji, each with its category and name as text; LoRA then adapts it to another vendor's.
//
//   npm run bench:clip [-- <seeds>]
//
// Drawings and held-out emoji as in pictures.ts. Of the held-out drawings of each vendor, whose names were in no training: how often the nearest of the nine
// categories' texts is the right one, and how often its own text is among the nearest five of all held-out ones. There are three seeds unless it is said otherwise.
// Prints the table, which goes into docs/pictures.md, and keeps what is done in bench/results/clip.json.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { classifyZeroShot, createImageProcessor, createModel, evaluate, loadTokenizer, lora, readExamples, type Examples, type Model, type Tokenizer } from 'tfjs-peft'
import { cosine, mapRows, type Dataset } from 'tfjs-peft/advanced'
import { END_OF_TEXT, trainBpe } from '../examples/pretrain/bpe.ts'
import { drawingsOf, splitDrawings, type DrawingFile, type Vendor } from './drawings.ts'
import { adapted, bySeed, fromNothing, type Shares } from './two-vendors.ts'

const [VOCABULARY, END, WORDS] = [1024, 0, 32]
const TOWER = { hidden_size: 96, num_attention_heads: 4, intermediate_size: 192 }
const CLIP = {
  model_type: 'clip', projection_dim: 64,
  text_config: { ...TOWER, num_hidden_layers: 1, vocab_size: VOCABULARY, max_position_embeddings: WORDS, eos_token_id: END },
  vision_config: { ...TOWER, num_hidden_layers: 2, image_size: 32, patch_size: 8 },
}
const FROM_NOTHING = { batchSize: 64, epochs: 20, learningRate: 1e-3, warmup: 0.05, weightDecay: 0.1, maxGradNorm: 1 } as const
const ADAPT = { batchSize: 64, epochs: 12, learningRate: 2e-3 } as const
const LORA = { rank: 8, alpha: 16, targets: 'all-linear' } as const
const processor = createImageProcessor({ image_processor_type: 'CLIPImageProcessor', size: { shortest_edge: 32 }, crop_size: 32 })

interface Split {
  readonly train: Examples
  readonly test: Examples
  readonly files: readonly DrawingFile[]
}

const drawings = (await drawingsOf('google')).filter(({ variation, category }) => !variation && category !== 'Component')
const categories = [...new Set(drawings.map(({ category }) => category))]
const tokenizer = await tokenizerOf(drawings.map(textOf))
await bySeed('clip', { CLIP, FROM_NOTHING, ADAPT, LORA }, Number(process.argv[2] ?? 3), async (seed, note) => {
  const [google, twitter] = [await splitOf('google', seed), await splitOf('twitter', seed)]
  const model = await fromNothing(await createModel(CLIP, { task: 'image-text', seed }), { train: google.train, ...FROM_NOTHING, schedule: cosine, seed })
  const measure = async (adapter: readonly string[]): Promise<Shares> => ({ ...await sharesOf('Twitter', model, twitter, adapter), ...await sharesOf('Google', model, google, adapter) })
  const adapting = { model, train: twitter.train, seed, settings: ADAPT, measure, note }
  note('before', 0, await measure([]))
  await adapted(adapting, 'LoRA on both towers', lora(LORA), { halfWay: true })
  await adapted(adapting, "LoRA on the pictures' tower", lora({ ...LORA, tower: 'vision' }), { halfWay: true })
  model.dispose()
})

function textOf({ name, category }: DrawingFile): string {
  return `${category}: ${name}`
}

/** Byte-level BPE of the texts, each with its end, which CLIP reads it off. */
async function tokenizerOf(texts: readonly string[]): Promise<Tokenizer> {
  const [text, end] = [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: END_OF_TEXT, type_id: 0 } }]
  const ended = { type: 'TemplateProcessing', single: [text, end], pair: [text, end], special_tokens: { [END_OF_TEXT]: { id: END_OF_TEXT, ids: [END], tokens: [END_OF_TEXT] } } }
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...trainBpe(texts, VOCABULARY), post_processor: ended }))
    return await loadTokenizer(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The same emoji of each vendor on each side. */
async function splitOf(vendor: Vendor, seed: number): Promise<Split> {
  const { train, evaluate: held } = await splitDrawings(vendor, seed)
  const read = async (own: Dataset<DrawingFile>): Promise<Examples> =>
    (await readExamples(mapRows(own, (row) => ({ ...row, text: textOf(row) })), { processor, image: 'image', tokenizer, text: 'text', maxLength: WORDS })).examples
  const files: DrawingFile[] = []
  for await (const file of held.rows()) files.push(file)
  return { train: await read(train), test: await read(held), files }
}

async function sharesOf(vendor: string, model: Model, { test, files }: Split, adapter: readonly string[]): Promise<Shares> {
  const found = await classifyZeroShot(model, tokenizer, processor, files.map(({ image }) => image), { labels: categories, template: '{}:', adapter })
  const { recallAt5 = NaN } = await evaluate(model, test, { adapter, batchSize: files.length })
  return { [`${vendor}, category`]: found.filter(({ label }, i) => label === files[i]?.category).length / files.length, [`${vendor}, among five`]: recallAt5 }
}
