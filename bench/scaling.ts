// How time and memory of a LoRA step grow with the tokens of a row and with the layers, here and by HF PEFT: A B A B.
//
//   npm run bench:scaling
//   npm run bench:scaling -- --rounds 1 --steps 1
//
//   npm run bench:scaling -- --table     writes the tables alone
//
// BERTs of MiniLM's width. Writes bench/results/<kind of processor>/scaling.json, and plots and tables into docs/performance.md.

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { lineChart, type Point } from '../src/plot/plot.ts'
import { writeSection } from './doc-section.ts'
import { table } from './markdown.ts'
import { compiled, machineNow, madeOn, median, path, peersPython, run, type Machine } from './process.ts'
import { ofEachProcessor, readTimes, saveTimes } from './processors.ts'
import { LAYERS, randomModelFolder } from './random-model.ts'
import type { Measured, Run } from './step-run.ts'

interface Row {
  readonly along: 'tokens' | 'layers'
  readonly x: number
  readonly side: 'tfjs-peft' | 'HF PEFT'
  readonly step_ms: number
  readonly peak_rss_mb: number
}

interface Results {
  readonly machine: Machine
  readonly settings: Readonly<Record<'rounds' | 'steps', number>>
  readonly rows: readonly Row[]
}

const NAME = 'scaling'
const AXES = { tokens: 'Four rows, by their length', layers: 'Eight rows of 128 tokens, by layers' } as const
const PLACES = [
  ...[128, 256, 512, 1024, 2048].map((length) => ({ along: 'tokens' as const, x: length, shape: 'minilm-long', batch: 4, length })),
  ...LAYERS.map((layers) => ({ along: 'layers' as const, x: layers, shape: `minilm-${layers}-layers`, batch: 8, length: 128 })),
]

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '2' }, steps: { type: 'string', default: '3' }, table: { type: 'boolean', default: false } },
})
if (!values.table) await measure({ rounds: Number(values.rounds), steps: Number(values.steps) })
await writeSection('performance', 'bench:scaling', await ofEachProcessor(textOf))

async function measure(settings: Results['settings']): Promise<void> {
  const python = peersPython()
  const program = await compiled('step-run')
  const rows: Row[] = []
  for (const { along, x, shape, ...size } of PLACES) {
    const task: Run = {
      model: await randomModelFolder(shape), task: 'sequence-classification', method: 'LoRA', dtype: 'float32', ...size,
      measure: 'step', steps: settings.steps, warmup: 1, compile: false, recompute: false,
    }
    const sides: Record<Row['side'], Measured[]> = { 'tfjs-peft': [], 'HF PEFT': [] }
    for (let round = 0; round < settings.rounds; round++) {
      sides['tfjs-peft'].push((await run('node', [program, JSON.stringify(task)])) as Measured)
      sides['HF PEFT'].push((await run(python, [path('peers/step.py'), JSON.stringify(task)])) as Measured)
    }
    for (const [side, runs] of Object.entries(sides) as [Row['side'], Measured[]][]) {
      const step = median(runs.flatMap(({ times_ms }) => times_ms))
      const peak = median(runs.map(({ peak_rss_mb }) => peak_rss_mb))
      rows.push({ along, x, side, step_ms: step, peak_rss_mb: peak })
      console.log(`${x} ${along}  ${side.padEnd(9)}  ${step.toFixed(0)} ms a step, ${peak.toFixed(0)} MB`)
    }
  }
  await saveTimes(NAME, { machine: machineNow(), settings, rows } satisfies Results)
}

/** The table of a kind of processor, below its plots, which it draws. */
async function textOf(kind: string): Promise<string | undefined> {
  const results = await readTimes<Results>(NAME, kind)
  if (results === undefined) return undefined
  const { rows, settings, machine } = results
  const plots: string[] = []
  for (const along of ['tokens', 'layers'] as const) {
    const points = rows.filter((row) => row.along === along).map(({ x, step_ms, side }): Point => ({ x, y: step_ms / 1000, series: side }))
    const file = `step-by-${along}-${kind}.svg`
    await writeFile(path(`../docs/${file}`), `${lineChart(points, { x: along, y: 'seconds a step', title: AXES[along], logX: along === 'tokens', logY: along === 'tokens' })}\n`)
    plots.push(`![Seconds a step by ${along}](${file})`, '')
  }
  const lines = PLACES.map(({ along, x }) => {
    const [ours, peer] = rows.filter((row) => row.along === along && row.x === x) as [Row, Row]
    const cells = (key: 'step_ms' | 'peak_rss_mb', unit: string): string[] =>
      [`${ours[key].toFixed(0)} ${unit}`, `${peer[key].toFixed(0)} ${unit}`, (ours[key] / peer[key]).toFixed(2)]
    return [`${x} ${along}`, ...cells('step_ms', 'ms'), ...cells('peak_rss_mb', 'MB')]
  })
  return [
    ...plots, ...table(['', 'step here', 'HF PEFT', 'ratio', 'peak memory here', 'HF PEFT', 'ratio'], lines),
    '', `Processes on each side: ${settings.rounds}, with ${settings.steps} steps each after one that does not count. ${madeOn(machine)}.`,
  ].join('\n')
}
