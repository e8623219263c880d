// How long the steps of a training wait for their data: MiniLM with a LoRA on mails that are streamed from a file.
//
//   npm run bench:stream     writes bench/results/stream.json and the table in docs/training.md

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attach, detach, jsonLines, loadModel, lora, streamBatches, Trainer } from 'tfjs-peft'
import { shuffleRows, type StepEvent } from 'tfjs-peft/advanced'
import { loadMails } from '../examples/mails.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { writeSection } from './doc-section.ts'
import { machineNow, median, path } from './process.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const SETTINGS = { batch: 16, tokens: 128, window: 4, buffer: 1000, steps: 40 } as const

const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
try {
  const mails = await loadMails()
  await writeFile(join(folder, 'mails.jsonl'), mails.map((mail) => JSON.stringify(mail)).join('\n'))
  const runs = []
  for (const ahead of [2, 0]) runs.push({ ahead, ...(await waits(join(folder, 'mails.jsonl'), mails.length, ahead)) })
  const machine = machineNow()
  await writeAtomic(path('results/stream.json'), `${JSON.stringify({ settings: SETTINGS, machine, runs }, null, 2)}\n`)
  const rows = runs.map(({ ahead, first, step, waited, longest }) =>
    `| ${ahead} | ${first.toFixed(0)} ms | ${step.toFixed(0)} ms | ${waited.toFixed(1)} ms | ${longest.toFixed(0)} ms |`)
  const text = [
    '| windows ahead | first wait | step, median | wait, mean after the first | longest of these |', '|---|---|---|---|---|', ...rows, '',
    `${SETTINGS.steps} steps of ${SETTINGS.batch} mails of at most ${SETTINGS.tokens} tokens, windows of ${SETTINGS.window} batches, rows shuffled in a buffer of ` +
      `${SETTINGS.buffer}. ${Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(', ')}.`,
  ].join('\n')
  console.log(text)
  await writeSection('training', 'bench:stream', text)
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

async function waits(file: string, rows: number, ahead: number): Promise<Waits> {
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['ham', 'spam'] })
  const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
  const { batch, tokens, window, buffer, steps } = SETTINGS
  const train = await streamBatches((epoch) => shuffleRows(jsonLines(file), { buffer, seed: epoch }), {
    tokenizer: MODEL, maxLength: tokens, batchSize: batch, window, ahead, rows,
    text: 'text', label: 'label', labels: model.labels,
  })
  const events: StepEvent[] = []
  await new Trainer({ model, train, maxSteps: steps }).fit({ onEvent: (event) => { if (event.type === 'step') events.push(event) } })
  detach(adapter)
  model.dispose()
  const later = events.slice(1).map(({ waited }) => waited)
  return {
    first: events[0]?.waited ?? NaN,
    step: median(events.map(({ milliseconds }) => milliseconds)),
    waited: later.reduce((sum, wait) => sum + wait, 0) / later.length,
    longest: Math.max(...later),
  }
}
