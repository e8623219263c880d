// Time and memory of training here and by HF PEFT (bottlenecks: AdapterHub's adapters), in turns on one machine: A B A B.
//
//   npm run bench                       everything, anew
//   npm run bench -- --quick            one workload, in under three minutes; writes nothing
//   npm run bench -- --resume           goes on where a run was broken off
//   npm run bench -- --only 'gpt2 8'    anew, those whose title has this in it: 'bert-base 8 x 128 LoRA float32 step'
//   npm run bench -- --table            writes the tables alone
//   npm run bench -- --rounds 3 --steps 10
//
// Writes bench/results/<kind of processor>/latest.json after each comparison, and at the end the tables of docs/performance.md, which says
// how to read them. Each run is a process of its own.

import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { compiled, path, peersPython, run } from './process.ts'
import { randomModelFolder } from './random-model.ts'
import { isOf, readResults, rowsOf, saveResults, type Compared, type Results, type Row, type Side } from './step-results.ts'
import type { Measured, Run } from './step-run.ts'
import { writeTables } from './step-table.ts'
import { COMPARISONS, peerDtype, titleOf, type Comparison, type Variant } from './step-workloads.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    resume: { type: 'boolean', default: false },
    only: { type: 'string' },
    table: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '2' },
    steps: { type: 'string', default: '5' },
  },
})
const settings = { rounds: Number(values.rounds), steps: Number(values.steps), warmup: 2 }

if (values.quick) for (const comparison of COMPARISONS.slice(0, 1)) print(await compare(comparison))
else if (!values.table) await compareAll()
if (!values.quick) await writeTables()

async function compareAll(): Promise<void> {
  const { only, resume } = values
  const before = resume || only !== undefined ? ((await readResults())?.compared ?? []) : []
  const isWanted = (comparison: Comparison): boolean => (only === undefined ? !before.some(isOf(comparison)) : titleOf(comparison).includes(only))
  const wanted = COMPARISONS.filter(isWanted)
  if (wanted.length === 0 && only !== undefined) throw new Error(`--only: no title has '${only}'; there are\n${COMPARISONS.map(titleOf).join('\n')}`)
  const done = new Map(before.map((compared) => [titleOf(compared.comparison), compared]))
  for (const comparison of wanted) {
    const compared = await compare(comparison)
    print(compared)
    done.set(titleOf(comparison), compared)
    const inOrder = COMPARISONS.map((one) => done.get(titleOf(one))).filter((one) => one !== undefined)
    await saveResults({ machine: machineOf(compared), settings, compared: inOrder })
  }
}

async function compare(comparison: Comparison): Promise<Compared> {
  const { workload: { shape, ...size }, method, dtype, measure, also } = comparison
  const model = await randomModelFolder(shape)
  const program = await compiled('step-run')
  const python = peersPython(...(method === 'bottleneck' ? ['adapters' as const] : []))
  const task: Run = { model, ...size, method, dtype, measure, steps: settings.steps, warmup: settings.warmup, compile: false, recompute: false }
  const here = (options: Partial<Run> = {}) => run('node', [program, JSON.stringify({ ...task, ...options })])
  let products: Measured['products'] = [] // as ours names them
  const there = (options: Partial<Run> = {}, by = python) => run(by, [path('peers/step.py'), JSON.stringify({ ...task, dtype: peerDtype(dtype), ...options, products })])
  const sides: readonly (readonly [Side, (() => Promise<unknown>), Variant?])[] = [
    ['ours', () => here()],
    ['peer', () => there()],
    ['ours, recompute', () => here({ recompute: true }), 'recompute'],
    ['peer, recompute', () => there({ recompute: true }), 'recompute'],
    ['peer, compile', () => there({ compile: true }), 'compile'],
    ['peer, float32', () => there({ dtype: 'float32' }), 'float32'],
    ['peer, bitsandbytes', () => there({ dtype }, peersPython('bnb')), 'bitsandbytes'],
  ]
  const runs: Partial<Record<Side, Measured[]>> = {}
  for (let round = 0; round < settings.rounds; round++) {
    for (const [side, measured, variant] of sides) {
      if (variant !== undefined && !also.includes(variant)) continue
      const { products: named, ...figures } = (await measured()) as Measured
      products = named ?? products
      ;(runs[side] ??= []).push(figures)
    }
  }
  return { comparison, commit: git('rev-parse', '--short', 'HEAD'), runs }
}

function print(compared: Compared): void {
  for (const row of rowsOf(compared)) console.log(`${titleOf(compared.comparison)}: ${lineOf(row)}`)
}

function lineOf({ metric, against, recompute, ours, peer, ratio, floor }: Row): string {
  const digits = metric.endsWith('s') && !metric.endsWith('ms') ? 2 : 0
  const most = floor === undefined ? '' : `, ${(ours / floor).toFixed(2)} of the floor`
  return `${metric} ${ours.toFixed(digits)} here${recompute ? ' with gradient checkpointing' : ''}, ${peer.toFixed(digits)} ${against}, ratio ${ratio.toFixed(2)}${most}`
}

function machineOf({ runs }: Compared): Results['machine'] {
  const versions = Object.assign({}, ...Object.values(runs).map(([first]) => first?.versions)) as Measured['versions']
  return { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, ...versions }
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8', cwd: path('.') }).trim()
}
