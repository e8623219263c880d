// LoRA in the upper half of the layers, three epochs of mails: with what the lower half gives kept from the first epoch on, and without; and as it was
// before padding was left out.
//
//   npm run bench:frozen                        writes bench/results/<kind of processor>/frozen.json and tables of docs/performance.md; four minutes
//   npm run bench:frozen -- --mails 8 --rounds 1    a short run, which is no result
//   npm run bench:frozen -- --table             writes the tables alone
//
// Sides take turns, A B C A B C, each run in a process of its own. All have to end with the same loss.

import { mkdir, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { loadTokenizer } from 'tfjs-peft'
import { loadMails } from '../examples/mails.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { writeSection } from './doc-section.ts'
import type { FrozenRun, FrozenTimed } from './frozen-run.ts'
import { table } from './markdown.ts'
import { compiled, machineNow, madeOn, median, path, run, type Machine } from './process.ts'
import { ofEachProcessor, readTimes, saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'

const WORKLOADS = [
  { title: 'MiniLM', shape: 'minilm', layers: [3, 4, 5] },
  { title: 'BERT-base', shape: 'bert-base', layers: [6, 7, 8, 9, 10, 11] },
] as const
const SIDES = {
  kept: { cacheFrozen: true, padded: false },
  plain: { cacheFrozen: false, padded: false },
  padded: { cacheFrozen: false, padded: true },
} as const
const FULL = { mails: 16, rounds: 2 }
const [BATCH, EPOCHS] = [8, 3]

type Side = keyof typeof SIDES

interface Row {
  readonly title: string
  readonly sides: Readonly<Record<Side, { readonly seconds: number; readonly peak_rss_mb: number }>>
}

interface Results {
  readonly machine: Machine
  readonly rows: readonly Row[]
}

const { values } = parseArgs({
  options: { mails: { type: 'string', default: `${FULL.mails}` }, rounds: { type: 'string', default: `${FULL.rounds}` }, table: { type: 'boolean', default: false } },
})
const [mails, rounds] = [Number(values.mails), Number(values.rounds)]
const isFull = mails === FULL.mails && rounds === FULL.rounds
if (!values.table) await measure()
if (values.table || isFull) {
  await writeSection('performance', 'bench:frozen', await ofEachProcessor(async (kind) => {
    const results = await readTimes<Results>('frozen', kind)
    if (results === undefined) return undefined
    const said = `${EPOCHS} epochs of ${FULL.mails} mails of up to 512 tokens, batches of ${BATCH}, LoRA at query and value of the upper half of the layers, float32; the median of ${FULL.rounds} trainings.`
    return [...tableOf(results.rows), '', `${said} ${madeOn(results.machine)}.`].join('\n')
  }))
}

async function measure(): Promise<void> {
  const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2')
  const texts = (await loadMails({ limit: 1000 })).map(({ text }) => text)
  const drawn = [...permutation(randomStream(0, 'frozen'), texts.length)].slice(0, mails).map((i) => texts[i] ?? '')
  const { ids } = tokenizer.encode(drawn, { maxLength: 512 })
  const data = path('../out/bench/frozen.json')
  await mkdir(path('../out/bench'), { recursive: true })
  await writeFile(data, JSON.stringify({ ids: ids.map((row) => [...row]), labels: ids.map((_, i) => i % 2) }))
  const program = await compiled('frozen-run')
  const rows: Row[] = []
  for (const { title, shape, layers } of WORKLOADS) {
    const model = await randomModelFolder(shape)
    const runs: Record<Side, FrozenTimed[]> = { kept: [], plain: [], padded: [] }
    for (let round = 0; round < rounds; round++) {
      for (const side of ['kept', 'plain', 'padded'] as const) {
        runs[side].push((await run('node', [program, JSON.stringify({ model, layers, batch: BATCH, epochs: EPOCHS, data, ...SIDES[side] } satisfies FrozenRun)])) as FrozenTimed)
      }
    }
    const losses = Object.values(runs).flat().map(({ loss }) => loss)
    if (Math.max(...losses) - Math.min(...losses) > 1e-5) throw new Error(`${title}: the sides end with different losses: ${losses.join(', ')}`)
    const of = (side: Side): Row['sides'][Side] => ({ seconds: median(runs[side].map(({ seconds }) => seconds)), peak_rss_mb: median(runs[side].map(({ peak_rss_mb }) => peak_rss_mb)) })
    rows.push({ title, sides: { kept: of('kept'), plain: of('plain'), padded: of('padded') } })
  }
  console.log(tableOf(rows).join('\n'))
  if (isFull) await saveTimes('frozen', { machine: machineNow(), rows } satisfies Results)
}

function tableOf(rows: readonly Row[]): string[] {
  return table(
    ['', '`cacheFrozen`', 'without', 'ratio', 'without, and with padding', 'ratio', 'peak memory', 'without', 'ratio'],
    rows.map(({ title, sides: { kept, plain, padded } }) => [
      title, ...[kept, plain].map(({ seconds }) => `${seconds.toFixed(1)} s`), (kept.seconds / plain.seconds).toFixed(2),
      `${padded.seconds.toFixed(1)} s`, (kept.seconds / padded.seconds).toFixed(2),
      ...[kept, plain].map(({ peak_rss_mb }) => `${peak_rss_mb.toFixed(0)} MB`), (kept.peak_rss_mb / plain.peak_rss_mb).toFixed(2),
    ]),
  )
}
