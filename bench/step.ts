// Time and memory of a LoRA training step, here and by HF PEFT, in turns on one machine: A B A B.
//
//   npm run bench                            all workloads
//   npm run bench -- --quick                 MiniLM alone
//   npm run bench -- --rounds 3 --steps 10
//
// Prints a table, writes bench/results/step.json. `floor` is the time of the step's matrix products by themselves in
// the same engine: what no implementation on it can be below.

import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { attach, loadModel, lora, Trainer } from 'tfjs-peft'
import { int, randomStream } from '../src/base/random.ts'
import { median, path, peersPython, run, writeResults } from './process.ts'
import { randomModelFolder, SHAPES } from './random-model.ts'

interface Workload {
  readonly shape: string
  readonly batch: number
  readonly length: number
}

/** What one process measured. */
interface Measured {
  readonly step_ms: readonly number[]
  readonly peak_rss_mb: number
  readonly first_step_s: number
  readonly floor_ms?: number
}

interface Row {
  readonly workload: string
  readonly dtype: string
  readonly ours: Summary
  readonly peer: Summary
  readonly ratio: { readonly step: number; readonly peak: number; readonly firstStep: number }
  readonly floor: number
}

interface Summary {
  readonly step_ms: number
  readonly peak_rss_mb: number
  readonly first_step_s: number
}

const WORKLOADS: readonly Workload[] = [
  { shape: 'minilm', batch: 32, length: 128 },
  { shape: 'bert-base', batch: 8, length: 128 },
]
const WARMUP = 3

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '2' },
    steps: { type: 'string', default: '8' },
    child: { type: 'string' },
  },
})
const steps = Number(values.steps)

if (values.child === undefined) await compare(values.quick ? WORKLOADS.slice(0, 1) : WORKLOADS)
else console.log(JSON.stringify(await measure(JSON.parse(values.child) as Workload)))

async function compare(workloads: readonly Workload[]): Promise<void> {
  const python = peersPython()
  const rows: Row[] = []
  for (const workload of workloads) {
    const model = await randomModelFolder(workload.shape)
    const here: Measured[] = []
    const there: Measured[] = []
    for (let round = 0; round < Number(values.rounds); round++) {
      here.push((await run('node', ['--import', 'tsx', path('step.ts'), '--child', JSON.stringify(workload), '--steps', String(steps)])) as Measured)
      const { batch, length } = workload
      there.push((await run(python, [path('peers/step.py'), '--model', model, '--batch', String(batch), '--length', String(length), '--steps', String(steps)])) as Measured)
    }
    rows.push(rowOf(workload, here, there))
    print(rows.at(-1))
  }
  await writeResults('step', rows)
}

async function measure({ shape, batch, length }: Workload): Promise<Measured> {
  const model = await loadModel(await randomModelFolder(shape), { task: 'sequence-classification', labels: ['a', 'b'] })
  attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
  const draw = randomStream(0, 'ids')
  const rows = batch * (WARMUP + steps)
  const ids = Array.from({ length: rows }, () => Int32Array.from({ length }, () => int(draw, 30_000)))
  const labels = Int32Array.from(ids, (_, i) => i % 2)
  const times: number[] = []
  let first = 0
  await new Trainer({ model, train: { ids, labels }, batchSize: batch, learningRate: 1e-4 }).fit({
    onEvent: (event) => {
      if (event.type !== 'step') return
      if (first === 0) first = process.uptime()
      times.push(event.milliseconds)
    },
  })
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e6
  return { step_ms: times.slice(WARMUP), peak_rss_mb: peak, first_step_s: first, floor_ms: floor(shape, batch, length) }
}

/** Milliseconds of the matrix products of one step: forward, and backward to the input, of frozen weights and attention. */
function floor(shape: string, B: number, T: number): number {
  const config = SHAPES[shape] as Readonly<Record<'hidden_size' | 'num_hidden_layers' | 'num_attention_heads' | 'intermediate_size', number>>
  const { hidden_size: D, num_hidden_layers: layers, num_attention_heads: H, intermediate_size: F } = config
  const products: (readonly [count: number, a: readonly number[], b: readonly number[]])[] = [
    [8, [B * T, D], [D, D]], // query, key, value, output: forward and back
    [2, [B * T, D], [D, F]],
    [2, [B * T, F], [F, D]],
    [2, [B * H, T, D / H], [B * H, D / H, T]], // scores, and the probabilities' gradient
    [4, [B * H, T, T], [B * H, T, D / H]],
  ]
  const time = products.reduce((sum, [count, a, b]) => sum + count * timeOf(a, b), 0)
  return layers * time
}

function timeOf(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [tf.randomUniform([...a]), tf.randomUniform([...b])]
  const times = Array.from({ length: 12 }, () => {
    const start = performance.now()
    tf.matMul(x, y).dispose()
    return performance.now() - start
  })
  tf.dispose([x, y])
  return median(times.slice(2))
}

function rowOf({ shape, batch, length }: Workload, here: readonly Measured[], there: readonly Measured[]): Row {
  const [ours, peer] = [summary(here), summary(there)]
  return {
    workload: `${shape} ${batch} x ${length}`,
    dtype: 'float32',
    ours,
    peer,
    ratio: { step: ours.step_ms / peer.step_ms, peak: ours.peak_rss_mb / peer.peak_rss_mb, firstStep: ours.first_step_s / peer.first_step_s },
    floor: median(here.map(({ floor_ms = NaN }) => floor_ms)),
  }
}

function summary(runs: readonly Measured[]): Summary {
  return {
    step_ms: median(runs.flatMap(({ step_ms }) => step_ms)),
    peak_rss_mb: median(runs.map(({ peak_rss_mb }) => peak_rss_mb)),
    first_step_s: median(runs.map(({ first_step_s }) => first_step_s)),
  }
}

function print(row: Row | undefined): void {
  if (row === undefined) return
  const { workload, ours, peer, ratio, floor: least } = row
  const line = (name: string, a: number, b: number, unit: string, r: number): string =>
    `${workload}  ${name.padEnd(10)} ${a.toFixed(unit === 's' ? 2 : 0)} ${unit} here, ${b.toFixed(unit === 's' ? 2 : 0)} ${unit} HF PEFT, ratio ${r.toFixed(2)}`
  console.log(line('step', ours.step_ms, peer.step_ms, 'ms', ratio.step))
  console.log(line('peak', ours.peak_rss_mb, peer.peak_rss_mb, 'MB', ratio.peak))
  console.log(line('first step', ours.first_step_s, peer.first_step_s, 's', ratio.firstStep))
  console.log(`${workload}  floor      ${least.toFixed(0)} ms of matrix products; the step takes ${(ours.step_ms / least).toFixed(2)} of it`)
}
