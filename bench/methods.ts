// What every method gives and costs on MiniLM and the mails: held-out accuracy, trained parameters, time and memory.
//
//   npm run bench:methods               accuracy, then time; goes on where it stopped
//   npm run bench:methods -- --accuracy accuracy alone: beside other work too
//   npm run bench:methods -- --time     time and memory alone, anew: for a machine that does nothing else
//   npm run bench:methods -- --table    writes the table alone
//   npm run bench:methods -- --quick    a few steps of each method, to see that all of them run; no result
//
// The learning rate of each method is found first, on mails held out from those it may train on and with a seed of its own.
// Writes bench/results/methods.json after each run, and the table in docs/methods.md. Results of other settings, or of a
// method that is called otherwise now, are left out and made anew.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadTokenizer } from 'tfjs-peft'
import { loadMails, splitMails, type Mail } from '../examples/mails.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { climb } from './ladder.ts'
import { METHODS, MODEL, textOf, type BenchMethod } from './methods-rows.ts'
import type { AccuracyResult, AccuracyTask, Data, Rows, TimeResult, TimeTask } from './methods-run.ts'
import { writeTable, type Results, type Run, type Settings } from './methods-table.ts'
import { machineNow, median, path, run } from './process.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    accuracy: { type: 'boolean', default: false },
    time: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
})

const SETTINGS: Settings = values.quick
  ? { tokens: 32, batch: 8, steps: 3, seeds: [0], searchSeed: 3 }
  : { tokens: 32, batch: 16, steps: 100, seeds: [0, 1, 2], searchSeed: 3 }
const TIMED = { batch: 32, length: 128, warmup: 2, steps: values.quick ? 2 : 8 }
const ROUNDS = values.quick ? 1 : 2
const FILE = path('results/methods.json')

const results = values.quick ? fresh() : await read()
if (!values.time && !values.table) await measureAccuracy()
if (!values.accuracy && !values.table) await measureTime()
if (!values.quick) await writeTable(results)

async function measureAccuracy(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    const { search, final } = await writeData(folder)
    for (const row of METHODS) {
      const learningRate = values.quick ? row.learningRate : await searchRate(row, search)
      results.runs = results.runs.filter((other) => other.method !== row.name || other.learningRate === learningRate)
      for (const seed of SETTINGS.seeds) await accuracyOf(results.runs, row, learningRate, seed, final)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function searchRate(row: BenchMethod, data: string): Promise<number> {
  return climb(row.learningRate, async (rate) => (await accuracyOf(results.search, row, rate, SETTINGS.searchSeed, data)).f1)
}

async function accuracyOf(runs: Run[], row: BenchMethod, learningRate: number, seed: number, data: string): Promise<Run> {
  const key = { method: row.name, call: textOf(row), learningRate, seed }
  const known = runs.find((other) => Object.entries(key).every(([name, value]) => other[name as keyof typeof key] === value))
  if (known !== undefined) return known
  const { batch, steps } = SETTINGS
  const task: AccuracyTask = { kind: 'accuracy', method: row.name, learningRate, seed, batch, steps, data }
  const done = { ...key, ...((await child(task)) as AccuracyResult) }
  runs.push(done)
  console.log(`${runs === results.search ? 'search' : `seed ${seed}`}  ${row.name} at ${learningRate}: accuracy ${done.accuracy.toFixed(4)}, F1 ${done.f1.toFixed(4)}`)
  results.machine.accuracy = machineNow()
  await save()
  return done
}

/** All methods in turn, and again, so that a change in the machine's load falls on all of them. */
async function measureTime(): Promise<void> {
  const measured = new Map<string, TimeResult[]>(METHODS.map(({ name }) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name } of METHODS) {
      const task: TimeTask = { kind: 'time', method: name, ...TIMED }
      measured.get(name)?.push((await child(task)) as TimeResult)
    }
    console.log(`time       round ${round + 1} of ${ROUNDS}`)
  }
  results.timed = TIMED
  results.times = [...measured].map(([method, rounds]) => ({
    method,
    step_ms: median(rounds.flatMap(({ step_ms }) => step_ms)),
    peak_rss_mb: median(rounds.map(({ peak_rss_mb }) => peak_rss_mb)),
  }))
  results.machine.time = { ...machineNow(), tensorflow: measured.values().next().value?.[0]?.engine ?? '' }
  for (const { method, step_ms, peak_rss_mb } of results.times) {
    console.log(`time       ${method}: ${step_ms.toFixed(0)} ms a step, ${peak_rss_mb.toFixed(0)} MB`)
  }
  await save()
}

/** Rows to search on, all of them from the mails to train on, and rows for the results. */
async function writeData(folder: string): Promise<{ readonly search: string; readonly final: string }> {
  const tokenizer = await loadTokenizer(MODEL)
  const rowsOf = (mails: readonly Mail[]): Rows => {
    const { ids } = tokenizer.encode(mails.map(({ text }) => text), { maxLength: SETTINGS.tokens })
    return { ids: ids.map((row) => Array.from(row)), labels: mails.map(({ label }) => label) }
  }
  const { train, evaluate } = splitMails(await loadMails(values.quick ? { limit: 200 } : {}), { evaluate: 0.2 })
  const shuffled = Array.from(permutation(randomStream(SETTINGS.searchSeed, 'mails'), train.length), (i) => train[i] as Mail)
  const held = Math.round(train.length / 10)
  const write = async (name: string, data: Data): Promise<string> => {
    await writeFile(join(folder, name), JSON.stringify(data))
    return join(folder, name)
  }
  results.mails = { train: train.length, evaluate: evaluate.length, searchTrain: train.length - held, searchEvaluate: held }
  return {
    search: await write('search.json', { train: rowsOf(shuffled.slice(held)), evaluate: rowsOf(shuffled.slice(0, held)) }),
    final: await write('final.json', { train: rowsOf(train), evaluate: rowsOf(evaluate) }),
  }
}

function child(task: AccuracyTask | TimeTask): Promise<unknown> {
  return run('node', ['--import', 'tsx', path('methods-run.ts'), JSON.stringify(task)])
}

function fresh(): Results {
  return { settings: SETTINGS, machine: {}, search: [], runs: [] }
}

async function read(): Promise<Results> {
  const text = await readFile(FILE, 'utf8').catch(() => undefined)
  if (text === undefined) return fresh()
  const old = JSON.parse(text) as Results
  const same = JSON.stringify(old.settings) === JSON.stringify(SETTINGS)
  const calls = new Map(METHODS.map((row) => [row.name, textOf(row)]))
  const current = (runs: readonly Run[]): Run[] => (same ? runs.filter(({ method, call }) => calls.get(method) === call) : [])
  return { ...old, settings: SETTINGS, search: current(old.search), runs: current(old.runs) }
}

async function save(): Promise<void> {
  if (!values.quick) await writeAtomic(FILE, `${JSON.stringify(results, null, 2)}\n`)
}
