// The tables and curves of `npm run bench:forgetting` in docs/forgetting.md, between its markers, and in docs/figures/forgetting-*.svg.

import { continualMeasures } from 'tfjs-peft/advanced'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { lineChart, type Point } from '../src/plot/plot.ts'
import { writeSection } from './doc-section.ts'
import { METHODS, type MethodName, type Outcome } from './forgetting-run.ts'
import { mean, spread, table } from './markdown.ts'
import { path } from './process.ts'
import { madeOnAll, type Resumed } from './resumed.ts'

export interface Run extends Outcome {
  readonly sequence: 'search' | 'final'
  readonly method: MethodName
  readonly strength: number
  readonly seed: number
}

export interface Results extends Resumed<Run> {
  readonly settings: Readonly<Record<string, number | readonly number[]>>
  tasks?: { readonly search: readonly string[]; readonly final: readonly string[] }
}

/** How the page calls a method, and what its strength is. */
const TITLES: Readonly<Record<MethodName, readonly [name: string, strength?: string]>> = {
  naive: ['nothing'],
  ewc: ['EWC', 'strength'],
  l2Sp: ['L2-SP', 'alpha'],
  synapticIntelligence: ['synaptic intelligence', 'strength'],
  lwf: ['LwF', 'strength'],
  replay: ['replay', 'old rows in a batch'],
  interpolation: ['interpolation', 'alpha'],
  joint: ['all tasks at once'],
}
const SWEPT: readonly MethodName[] = ['ewc', 'l2Sp', 'synapticIntelligence', 'lwf', 'replay']
const SCRIPT = 'bench:forgetting'

export async function writeTables(results: Results): Promise<void> {
  await writeSection('forgetting', SCRIPT, textOf(results))
  const search = (of: (run: Run) => number): Point[] => searched(results).filter(({ method }) => SWEPT.includes(method))
    .map((run) => ({ x: run.strength, y: 100 * of(run), series: TITLES[run.method][0] }))
  await draw('average', search((run) => mean(lastOf(run))), { x: 'strength', y: 'average accuracy, %', logX: true })
  await draw('first', search((run) => lastOf(run)[0] ?? NaN), { x: 'strength', y: 'accuracy on the first task, %', logX: true })
  await draw('alpha', alphaPoints(results), { x: 'alpha', y: 'accuracy, %' })
}

async function draw(name: string, points: readonly Point[], options: Parameters<typeof lineChart>[1]): Promise<void> {
  if (points.length > 0) await writeAtomic(path(`../docs/figures/forgetting-${name}.svg`), `${lineChart(points, options)}\n`)
}

function textOf(results: Results): string {
  const { settings, runs, tasks } = results
  const { rank, alpha, batch, steps, laterSteps, learningRate, fisher, memory, tokens, evaluate, seeds } = settings
  return [
    ...table(
      ['method', 'set to', ...(tasks?.final ?? []).map((name, i) => `${i + 1}: ${name}`), 'average accuracy'],
      METHODS.map((method) => accuracyRow(results, method)),
    ),
    '',
    ...table(
      ['method', 'first task forgotten', 'of that recovered', 'backward transfer', 'forward transfer'],
      METHODS.map((method) => measureRow(results, method)),
    ),
    '',
    'Accuracies in % after the last task, on the held-out rows of each; differences in points. Mean of the seeds ' +
      `${list(seeds)}, lowest to highest. "Recovered" is the share of what training with nothing loses on the first task.`,
    '',
    `MiniLM in bfloat16 with a LoRA of rank ${list(rank)} and alpha ${list(alpha)} and one head, trained with AdamW at ${list(learningRate)}: ` +
      `${list(steps)} steps of ${list(batch)} rows of at most ${list(tokens)} tokens on the first task, ${list(laterSteps)} on each later one; ` +
      `${list(evaluate)} held-out rows of each. Fisher information of ${list(fisher)} rows, replay from a memory of ${list(memory)} rows. ` +
      `${madeOnAll(runs)}.`,
    '',
    `The search: ${(tasks?.search ?? []).join('; ')}.`,
    '',
    ...table(['method', 'set by', 'average accuracy', 'first task forgotten'], METHODS.flatMap((method) => searchRow(results, method))),
  ].join('\n')
}

function accuracyRow(results: Results, method: MethodName): readonly string[] {
  const runs = final(results, method)
  const [title, strength] = TITLES[method]
  const set = strength === undefined || runs[0] === undefined ? '' : `${strength} ${runs[0].strength}`
  const tasks = (results.tasks?.final ?? []).map((_, task) => spread(runs.map((run) => 100 * (lastOf(run)[task] ?? NaN))))
  return [title, set, ...tasks, spread(runs.map((run) => 100 * mean(lastOf(run))))]
}

function measureRow(results: Results, method: MethodName): readonly string[] {
  const runs = final(results, method)
  const lost = (run: Run): number => 100 * (firstAccuracy(results, run.seed) - (lastOf(run)[0] ?? NaN))
  const naive = (run: Run): number => mean(final(results, 'naive').filter(({ seed }) => seed === run.seed).map(lost))
  const shares = method === 'naive' ? [] : runs.map((run) => 100 * (1 - lost(run) / naive(run))).filter(Number.isFinite)
  const measures = method === 'joint' ? [] : runs.map((run) => continualMeasures(run.accuracies, run.untrained))
  return [
    TITLES[method][0],
    spread(runs.map(lost).filter(Number.isFinite)),
    shares.length === 0 ? '' : `${spread(shares, 0)} %`,
    spread(measures.map(({ backwardTransfer }) => 100 * backwardTransfer)),
    spread(measures.map(({ forwardTransfer = NaN }) => 100 * forwardTransfer)),
  ]
}

function searchRow(results: Results, method: MethodName): readonly (readonly string[])[] {
  const [title, strength] = TITLES[method]
  const tried = searched(results).filter((run) => run.method === method)
  const each = (of: (run: Run) => number): string =>
    tried.map((run) => `${strength === undefined ? '' : `${run.strength}: `}${(100 * of(run)).toFixed(1)}`).join(', ')
  return tried.length === 0 ? [] : [[title, strength ?? '', each((run) => mean(lastOf(run))), each((run) => (run.accuracies[0]?.[0] ?? NaN) - (lastOf(run)[0] ?? NaN))]]
}

/** Mean over the seeds, on the straight line from the weights after the first task to those after the last one. */
function alphaPoints(results: Results): Point[] {
  const runs = final(results, 'naive').map((run) => [
    { alpha: 0, accuracies: run.accuracies[0] ?? [] }, ...(run.line ?? []), { alpha: 1, accuracies: lastOf(run) },
  ])
  const [first = []] = runs
  const at = (i: number, of: (accuracies: readonly number[]) => number): number => 100 * mean(runs.map((line) => of(line[i]?.accuracies ?? [])))
  return first.flatMap(({ alpha }, i) => [
    { x: alpha, y: at(i, mean), series: 'average' },
    ...(results.tasks?.final ?? []).map((name, task) => ({ x: alpha, y: at(i, (accuracies) => accuracies[task] ?? NaN), series: name })),
  ])
}

/** Of the first task right after it; the same for every method. */
function firstAccuracy(results: Results, seed: number): number {
  return final(results, 'naive').find((run) => run.seed === seed)?.accuracies[0]?.[0] ?? NaN
}

function final({ runs }: Results, method: MethodName): Run[] {
  return runs.filter((run) => run.sequence === 'final' && run.method === method)
}

function searched({ runs }: Results): Run[] {
  return runs.filter(({ sequence }) => sequence === 'search').sort((a, b) => a.strength - b.strength)
}

function lastOf({ accuracies }: Run): readonly number[] {
  return accuracies.at(-1) ?? []
}

function list(value: number | readonly number[] | undefined): string {
  return typeof value === 'number' ? String(value) : (value ?? []).join(', ')
}
