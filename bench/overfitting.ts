// Few examples, and what is done against learning them by heart: dropout, weight decay, label smoothing, a smaller rank, early stopping.
//
//   npm run bench:overfitting                goes on where it stopped
//   npm run bench:overfitting -- --table     writes table and plot alone
//   npm run bench:overfitting -- --quick     a few steps of each, to see that all of them run; no result
//
// Writes bench/results/overfitting.json after each run, the table of docs/overfitting.md and docs/figures/overfitting.svg. Results of other settings are made
// anew.

import { parseArgs } from 'node:util'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { lineChart, type Point } from '../src/plot/plot.ts'
import { writeSection } from './doc-section.ts'
import { mean, spread, table } from './markdown.ts'
import { GENRES, learn, load, SETTINGS, WAYS, type Measured, type Way } from './overfitting-run.ts'
import { path } from './process.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'

const SEEDS = [0, 1, 2]
const EACH = [8, 32]
const NAMES = Object.keys(WAYS) as Way[]

interface Run extends Measured {
  readonly way: Way
  readonly each: number
  readonly seed: number
}

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, table: { type: 'boolean', default: false } } })
const results = await resumed<Resumed<Run>>('overfitting', { ...SETTINGS, seeds: SEEDS, each: EACH, genres: GENRES })
if (!values.table) {
  const data = await load()
  for (const seed of values.quick ? [0] : SEEDS) {
    for (const each of EACH) {
      for (const way of NAMES) {
        if (!values.quick && results.runs.some((run) => run.seed === seed && run.each === each && run.way === way)) continue
        const measured = await learn(data, way, each, seed, values.quick ? 20 : SETTINGS.steps)
        const { accuracy, loss, step } = measured
        console.log(`seed ${seed}, ${each} each, ${way}: ${JSON.stringify({ accuracy, loss, step, train: measured.places.at(-1)?.train })}`)
        if (values.quick) continue
        results.runs.push({ way, each, seed, ...measured })
        await keep('overfitting', results)
      }
    }
  }
}
if (!values.quick) {
  await writeSection('overfitting', 'bench:overfitting', textOf())
  const points = pointsOf(EACH[0] ?? NaN)
  if (points.length > 0) await writeAtomic(path('../docs/figures/overfitting.svg'), `${lineChart(points, { x: 'step', y: 'loss', title: `${EACH[0] ?? ''} passages of each genre` })}\n`)
}

/** Held-out losses, and of training without any means the loss of what is learned from. */
function pointsOf(each: number): Point[] {
  const line = (way: Way, series: string, of: 'train' | 'held'): Point[] => {
    const own = results.runs.filter((run) => run.each === each && run.way === way)
    return (own[0]?.places ?? []).map(({ step }, i) => ({ x: step, y: mean(own.map(({ places }) => places[i]?.[of] ?? NaN)), series }))
  }
  return [...line('nothing', 'nothing: what is learned', 'train'), ...NAMES.flatMap((way) => line(way, way, 'held'))]
}

function textOf(): string {
  if (results.runs.length === 0) return 'Not measured yet.'
  const rows = EACH.flatMap((each) => NAMES.map((way) => {
    const own = results.runs.filter((run) => run.each === each && run.way === way)
    return [
      `${each}`, way, spread(own.map(({ accuracy }) => 100 * accuracy)), spread(own.map(({ loss }) => loss), 2), spread(own.map(({ places }) => places.at(-1)?.train ?? NaN), 2),
      spread(own.map(({ places }) => Math.min(...places.map(({ held }) => held))), 2), own.length === 0 ? '' : mean(own.map(({ step }) => step)).toFixed(0),
    ]
  }))
  const { batch, steps, evaluate, rank, learningRate, every, patience } = SETTINGS
  return [
    '![Loss by step](figures/overfitting.svg)',
    '',
    ...table(['of each genre', 'against overfitting', 'held out, % right', 'loss there', 'loss of what was learned', 'least loss on the way', 'weights of step'], rows),
    '',
    `${GENRES.join(', ')}; MiniLM, LoRA of rank ${rank} at all products, ${steps} steps of ${batch} passages at learning rate ${learningRate}; measured on ${evaluate} passages of other samples. ` +
      `Early stopping looks every ${every} steps at passages of its own, as many as are learned from, and ends after ${patience} looks without a better loss. Mean of the seeds ${SEEDS.join(', ')}, lowest to highest. ${madeOnAll(results.runs)}.`,
  ].join('\n')
}
