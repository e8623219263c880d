// How long the steps of a training wait for their data: MiniLM with a LoRA on mails that are streamed from a file, or ViT-base with one on pictures.
//
//   npm run bench:stream                    writes bench/results/stream.json and the table in docs/training.md
//   npm run bench:stream -- pictures        writes bench/results/stream-pictures.json and the table in docs/pictures.md

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { attach, createImageProcessor, detach, jsonLines, loadModel, lora, streamBatches, Trainer, type Model } from 'tfjs-peft'
import { datasetOf, shuffleRows, type BatchSource, type StepEvent } from 'tfjs-peft/advanced'
import { loadMails } from '../examples/mails.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { writeSection } from './doc-section.ts'
import { drawingsOf } from './drawings.ts'
import { mean, table } from './markdown.ts'
import { machineNow, median, path } from './process.ts'
import { randomModelFolder } from './random-model.ts'

interface Workload {
  /** As it is called behind the command. */
  readonly script: string
  readonly results: string
  readonly page: string
  readonly steps: number
  readonly settings: object
  readonly model: () => Promise<Model>
  readonly targets: readonly string[]
  /** Reads files that it writes into a folder. */
  readonly train: (folder: string, labels: readonly string[]) => Promise<(ahead: number) => Promise<BatchSource>>
  readonly told: string
}

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2'
const MAILS = { batch: 16, tokens: 128, window: 4, buffer: 1000, steps: 40 } as const
const PICTURES = { batch: 8, width: 500, height: 375, steps: 24 } as const

const mails: Workload = {
  script: 'bench:stream', results: 'stream', page: 'training', steps: MAILS.steps, settings: MAILS, targets: ['query', 'value'],
  model: async () => await loadModel(MINILM, { task: 'sequence-classification', labels: ['ham', 'spam'] }),
  train: async (folder, labels) => {
    const [file, rows] = [join(folder, 'mails.jsonl'), await loadMails()]
    await writeFile(file, rows.map((mail) => JSON.stringify(mail)).join('\n'))
    const { batch, tokens, window, buffer } = MAILS
    return (ahead) => streamBatches((epoch) => shuffleRows(jsonLines(file), { buffer, seed: epoch }), {
      tokenizer: MINILM, maxLength: tokens, batchSize: batch, window, ahead, rows: rows.length, text: 'text', label: 'label', labels,
    })
  },
  told: `${MAILS.steps} steps of ${MAILS.batch} mails of at most ${MAILS.tokens} tokens, windows of ${MAILS.window} batches, rows shuffled in a buffer of ${MAILS.buffer}.`,
}

const pictures: Workload = {
  script: 'bench:stream -- pictures', results: 'stream-pictures', page: 'pictures', steps: PICTURES.steps, settings: PICTURES, targets: ['q_proj', 'v_proj'],
  model: async () => await loadModel(await randomModelFolder('vit-base'), { task: 'image-classification', labels: ['Objects', 'other'] }),
  train: async (folder, labels) => {
    const { batch, width, height, steps } = PICTURES
    const drawings = (await drawingsOf('google')).filter(({ variation }) => !variation).slice(0, batch * steps)
    const rows = await Promise.all(drawings.map(async ({ image, category }, i) => {
      const file = join(folder, `${i}.jpg`)
      await sharp(image).flatten({ background: 'white' }).resize(width, height, { fit: 'fill' }).jpeg({ quality: 90 }).toFile(file)
      return { image: file, label: category === 'Objects' ? 'Objects' : 'other' }
    }))
    const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 224 })
    return (ahead) => streamBatches(datasetOf(rows), { processor, image: 'image', label: 'label', labels, batchSize: batch, ahead, rows: rows.length })
  },
  told: `ViT-base, ${PICTURES.steps} steps of ${PICTURES.batch} JPEG files of ${PICTURES.width} × ${PICTURES.height} pixels, resized to 224 × 224.`,
}

const { positionals: [which = 'mails'] } = parseArgs({ allowPositionals: true })
const { script, results, page, steps, settings, model: open, targets, train, told } = which === 'pictures' ? pictures : mails
const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
try {
  const model = await open()
  const batches = await train(folder, model.labels)
  const runs = []
  for (const ahead of [2, 0]) runs.push({ ahead, ...(await waits(model, await batches(ahead))) })
  const machine = machineNow()
  await writeAtomic(path(`results/${results}.json`), `${JSON.stringify({ settings, machine, runs }, null, 2)}\n`)
  const text = [
    ...table(['windows ahead', 'first wait', 'step, median', 'wait, mean after the first', 'longest of these', 'share of the time'], runs.map(({ ahead, first, step, waited, longest }) =>
      [String(ahead), `${first.toFixed(0)} ms`, `${step.toFixed(0)} ms`, `${waited.toFixed(1)} ms`, `${longest.toFixed(0)} ms`, `${((100 * waited) / (waited + step)).toFixed(1)} %`])),
    '', `${told} ${Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(', ')}.`,
  ].join('\n')
  console.log(text)
  await writeSection(page, script, text)
} finally {
  await rm(folder, { recursive: true })
}

interface Waits {
  /** Milliseconds: until the first batch, of a step's computing, and of waiting in the later steps. */
  readonly first: number
  readonly step: number
  readonly waited: number
  readonly longest: number
}

async function waits(model: Model, batches: BatchSource): Promise<Waits> {
  const adapter = attach(model, lora({ rank: 8, alpha: 16, targets }))
  const events: StepEvent[] = []
  await new Trainer({ model, train: batches, maxSteps: steps }).fit({ onEvent: (event) => { if (event.type === 'step') events.push(event) } })
  detach(adapter)
  const later = events.slice(1).map(({ waited }) => waited)
  return { first: events[0]?.waited ?? NaN, step: median(events.map(({ milliseconds }) => milliseconds)), waited: mean(later), longest: Math.max(...later) }
}
