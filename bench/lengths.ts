// Training on texts of their own lengths, in random batches: here, and by HF's Trainer with PEFT, whose collator pads to the longest row of a
// batch; and with rows of like length together there.
//
//   npm run bench:lengths                          writes bench/results/<kind of processor>/lengths.json and tables of docs/performance.md
//   npm run bench:lengths -- --table               writes the tables alone
//   npm run bench:lengths -- --batches 4 --rounds 1   a short run, which is no result
//   npm run bench:lengths -- --only mails
//
// Sides take turns, A B C A B C, each run in a process of its own. Times are of whole trainings but for their first two steps.

import { mkdir, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { loadTokenizer, maskTokens, prepareBatches, type Tokenizer } from 'tfjs-peft'
import type { PaddedBatch } from 'tfjs-peft/advanced'
import { loadBrown } from '../examples/brown.ts'
import { loadMails } from '../examples/mails.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { writeSection } from './doc-section.ts'
import type { LengthsRun, Timed } from './lengths-run.ts'
import { mean, table } from './markdown.ts'
import { compiled, machineNow, madeOn, median, path, peersPython, run, type Machine } from './process.ts'
import { ofEachProcessor, readTimes, saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'

interface Workload {
  readonly title: string
  readonly shape: 'minilm' | 'bert-base'
  readonly task: LengthsRun['task']
  readonly batch: number
}

const WORKLOADS: readonly Workload[] = [
  { title: 'mails, MiniLM', shape: 'minilm', task: 'sequence-classification', batch: 8 },
  { title: 'mails, BERT-base', shape: 'bert-base', task: 'sequence-classification', batch: 8 },
  { title: "masked LM on Brown's sentences, BERT-base", shape: 'bert-base', task: 'masked-lm', batch: 32 },
]
const FULL = { batches: 12, rounds: 3 }

interface Row {
  readonly title: string
  /** Means of a row's tokens, and of what it is padded to. */
  readonly tokens: number
  readonly padded: number
  readonly seconds: Readonly<Record<string, number>>
}

interface Results {
  readonly machine: Machine
  readonly rows: readonly Row[]
}

const { values } = parseArgs({
  options: {
    batches: { type: 'string', default: `${FULL.batches}` }, rounds: { type: 'string', default: `${FULL.rounds}` }, only: { type: 'string', default: '' },
    table: { type: 'boolean', default: false },
  },
})
const [batches, rounds] = [Number(values.batches), Number(values.rounds)]
const isFull = batches === FULL.batches && rounds === FULL.rounds && values.only === ''
if (!values.table) await measure()
if (values.table || isFull) {
  await writeSection('performance', 'bench:lengths', await ofEachProcessor(async (kind) => {
    const results = await readTimes<Results>('lengths', kind)
    if (results === undefined) return undefined
    return [...tableOf(results.rows), '', `${FULL.batches} steps, the median of ${FULL.rounds} trainings; float32, LoRA. ${madeOn(results.machine)}.`].join('\n')
  }))
}

async function measure(): Promise<void> {
  const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2')
  const texts = { 'sequence-classification': (await loadMails({ limit: 1000 })).map(({ text }) => text), 'masked-lm': await sentences() }
  const [program, python] = [await compiled('lengths-run'), peersPython()]
  const rows: Row[] = []
  for (const { title, shape, task, batch } of WORKLOADS.filter((workload) => workload.title.includes(values.only))) {
    const data = path('../out/bench/lengths.json')
    const drawn = draw(texts[task], task, tokenizer, (batches + 2) * batch)
    await mkdir(path('../out/bench'), { recursive: true })
    await writeFile(data, JSON.stringify(drawn))
    const order = JSON.stringify({ model: await randomModelFolder(shape), task, batch, data } satisfies LengthsRun)
    const sides: Readonly<Record<string, () => Promise<unknown>>> = {
      ours: () => run('node', [program, order]),
      peer: () => run(python, [path('peers/lengths.py'), order]),
      grouped: () => run(python, [path('peers/lengths.py'), order, '--group']),
    }
    const times: Record<string, number[]> = {}
    for (let round = 0; round < rounds; round++) {
      for (const [side, measured] of Object.entries(sides)) (times[side] ??= []).push(((await measured()) as Timed).seconds)
    }
    const seconds = Object.fromEntries(Object.entries(times).map(([side, of]) => [side, median(of)]))
    const lengths = drawn.ids.map((ids) => ids.length)
    const longest = Array.from({ length: batches + 2 }, (_, i) => Math.max(...lengths.slice(i * batch, (i + 1) * batch)))
    rows.push({ title, tokens: mean(lengths), padded: mean(longest), seconds })
    console.log(title, seconds)
  }
  console.log(tableOf(rows).join('\n'))
  if (isFull) await saveTimes('lengths', { machine: machineNow(), rows } satisfies Results)
}

function tableOf(rows: readonly Row[]): string[] {
  return table(
    ['batches of 8 mails, of 32 sentences', 'tokens a row', 'padded', 'here', 'HF Trainer', 'ratio', 'rows of like length together', 'ratio'],
    rows.map(({ title, tokens, padded, seconds: { ours = NaN, peer = NaN, grouped = NaN } }) => [
      title, tokens.toFixed(0), padded.toFixed(0), ...[ours, peer].map((s) => `${s.toFixed(1)} s`), (ours / peer).toFixed(2), `${grouped.toFixed(1)} s`, (ours / grouped).toFixed(2),
    ]),
  )
}

/** Sentences of four words or more, one behind the other. */
async function sentences(): Promise<string[]> {
  const samples = await loadBrown()
  return samples.flatMap(({ text }) => text.split(/(?<=[.?!]) |\n/)).filter((sentence) => sentence.split(' ').length > 3)
}

/** Token ids of texts drawn at random, and what is to be learned of them. */
function draw(all: readonly string[], task: LengthsRun['task'], by: Tokenizer, count: number): { readonly ids: number[][]; readonly labels: number[] | number[][] } {
  const order = [...permutation(randomStream(0, 'lengths'), all.length)].slice(0, count)
  const { ids } = by.encode(order.map((i) => all[i] ?? ''), { maxLength: 512 })
  if (task === 'sequence-classification') return { ids: ids.map((row) => [...row]), labels: ids.map((_, i) => i % 2) }
  const hidden = [...(prepareBatches({ ids }, { batchSize: 1, order: 'given', transform: maskTokens({ tokenizer: by }) }).epoch(0) as Iterable<PaddedBatch>)]
  return { ids: hidden.map((row) => [...(row.ids ?? [])]), labels: hidden.map(({ labels = [] }) => [...labels]) }
}
