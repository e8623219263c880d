// What a quantised base costs in quality: LoRA on bases in float32, int8 and NF4, three tasks, several seeds.
//
//   npm run bench:quantised                    goes on where it stopped
//   npm run bench:quantised -- --again int8    the runs of this kind anew
//   npm run bench:quantised -- --table         writes the table and the curves alone
//
// Writes bench/results/quantised.json after each run, the table in docs/quantised.md and the curves in docs/figures/quantised-*.svg. A run is
// the same on a machine that does other things besides. Results of other settings are made anew.

import { parseArgs } from 'node:util'
import { GENRE } from '../examples/pretrain/setup.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { lineChart } from '../src/plot/plot.ts'
import { writeSection } from './doc-section.ts'
import { mean, spread, table } from './markdown.ts'
import { path } from './process.ts'
import { KINDS, learn, SETTINGS, TASKS, type Kind, type Place, type TaskName } from './quantised-tasks.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'

interface Run {
  readonly task: TaskName
  readonly kind: Kind
  readonly seed: number
  readonly places: readonly Place[]
}

type Results = Resumed<Run>

const { values } = parseArgs({ options: { again: { type: 'string' }, table: { type: 'boolean', default: false } } })
const SEEDS = [0, 1, 2]
const TITLES: Readonly<Record<TaskName, readonly [name: string, measure: string]>> = {
  spam: ['spam, MiniLM', 'accuracy, %'], genre: ['genre of 8, MiniLM', 'accuracy, %'], language: [`GPT-2 learns '${GENRE}'`, 'loss'],
}

const results = await resumed<Results>('quantised', { ...SETTINGS, seeds: SEEDS })
results.runs = results.runs.filter(({ kind }) => kind !== values.again)
if (!values.table) await measure()
const drawn: string[] = []
for (const task of TASKS) if (await drawCurves(task)) drawn.push(`![${TITLES[task][0]}: held-out ${TITLES[task][1].replace(', %', '')} by step, for each kind of base](figures/quantised-${task}.svg)`)
await writeSection('quantised', 'bench:quantised', [tableOf(), ...drawn].join('\n\n'))

async function measure(): Promise<void> {
  for (const task of TASKS) {
    for (const seed of SEEDS) {
      for (const kind of KINDS) {
        if (runsOf(task, kind).some((run) => run.seed === seed)) continue
        const run: Run = { task, kind, seed, places: await learn(task, kind, seed) }
        results.runs.push(run)
        console.log(`${task} ${kind} seed ${seed}: ${scoreOf(run).toFixed(4)}`)
        await keep('quantised', results)
      }
    }
  }
}

function runsOf(task: TaskName, kind: Kind): readonly Run[] {
  return SEEDS.flatMap((seed) => results.runs.find((run) => run.task === task && run.kind === kind && run.seed === seed) ?? [])
}

/** Accuracy in %, or the loss of a task that has none, as it was at a place. */
function scoreAt({ loss, accuracy }: Place): number {
  return accuracy === undefined ? loss : 100 * accuracy
}

function scoreOf({ places }: Run): number {
  const last = places.at(-1)
  return last === undefined ? NaN : scoreAt(last)
}

function tableOf(): string {
  const rows = TASKS.flatMap((task) => KINDS.flatMap((kind) => (runsOf(task, kind).length === 0 ? [] : [rowOf(task, kind)])))
  const missing = TASKS.length * KINDS.length * SEEDS.length - results.runs.length
  const { rank, alpha, steps, batch, evaluate, learningRate, language } = SETTINGS
  return [
    ...table(['task', 'base', 'measure', 'held out', 'against float32', 'beyond the seeds', 'before training'], rows),
    '',
    ...(missing === 0 ? [] : [`Not the whole: ${missing} runs are still to be made, by the same command.`, '']),
    `After ${steps} steps, on ${evaluate} held-out rows, of the language model ${language.evaluate}; mean of the seeds ${SEEDS.join(', ')}, lowest to highest; "against float32" seed by seed. "Beyond the seeds": the mean difference is more than ` +
      'lies between the highest and the lowest of the seeds on float32. "Before training" is the base alone, where it has its head.',
    '',
    `LoRA of rank ${rank} and alpha ${alpha}: at query and value of MiniLM, with a new head, ${batch} rows of at most 32 tokens a step, learning rate ${learningRate}; at every product of ` +
      `a GPT-2 with 4 layers of 256, pretrained for ${language.pretraining} steps on the other genres, ${language.batch} rows of 128 tokens a step, learning rate ${language.learningRate}. ` +
      `${madeOnAll(results.runs)}.`,
  ].join('\n')
}

function rowOf(task: TaskName, kind: Kind): readonly string[] {
  const [own, plain] = [runsOf(task, kind), runsOf(task, 'float32')]
  const digits = task === 'language' ? 4 : 1
  const differences = own.flatMap((run) => plain.filter(({ seed }) => seed === run.seed).map((base) => scoreOf(run) - scoreOf(base)))
  const scores = plain.map(scoreOf)
  const isWhole = differences.length === SEEDS.length // a spread of fewer seeds says little
  const beyond = Math.abs(mean(differences)) > Math.max(...scores) - Math.min(...scores) ? '**yes**' : 'no'
  return [
    TITLES[task][0], kind, TITLES[task][1], spread(own.map(scoreOf), digits),
    ...(kind === 'float32' || differences.length === 0 ? ['', ''] : [spread(differences, digits), isWhole ? beyond : 'not known yet']),
    task === 'language' ? own.slice(0, 1).map(({ places }) => (places[0]?.loss ?? NaN).toFixed(digits)).join('') : '',
  ]
}

/** The mean of the seeds; false where there are no runs. */
async function drawCurves(task: TaskName): Promise<boolean> {
  const points = KINDS.flatMap((kind) => {
    const own = runsOf(task, kind)
    const steps = (own[0]?.places ?? []).slice(task === 'language' ? 0 : 1) // a new head knows nothing
    return steps.map(({ step }) => ({ x: step, y: mean(own.map(({ places }) => places.find((place) => place.step === step)).map((place) => (place === undefined ? NaN : scoreAt(place)))), series: kind }))
  })
  if (points.length > 0) await writeAtomic(path(`../docs/figures/quantised-${task}.svg`), `${lineChart(points, { x: 'step', y: `held-out ${TITLES[task][1]}`, title: TITLES[task][0] })}\n`)
  return points.length > 0
}
