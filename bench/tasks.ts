// Three tasks of different kinds on one MiniLM: genre, part of speech and hidden tokens of the Brown corpus, by an adapter each or by one LoRA with three heads,
// whose losses and gradients are put together in several ways.
//
//   npm run bench:tasks                goes on where it stopped
//   npm run bench:tasks -- --table     writes the table alone
//   npm run bench:tasks -- --quick     a few steps of each way, to see that all of them run; no result
//
// Writes bench/results/tasks.json after each run, and the table of docs/tasks.md. Results of other settings are made anew.

import { parseArgs } from 'node:util'
import { writeSection } from './doc-section.ts'
import { mean, spread, table } from './markdown.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'
import { GENRES, learn, loadData, SETTINGS, WAYS, type Measured, type Way } from './tasks-run.ts'

const SEEDS = [0, 1, 2]

interface Run extends Measured {
  readonly way: Way
  readonly seed: number
}

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, table: { type: 'boolean', default: false } } })
const results = await resumed<Resumed<Run>>('tasks', { ...SETTINGS, seeds: SEEDS, genres: GENRES })
if (!values.table) {
  const data = await loadData()
  for (const seed of values.quick ? [0] : SEEDS) {
    for (const way of Object.keys(WAYS) as Way[]) {
      if (!values.quick && results.runs.some((run) => run.seed === seed && run.way === way)) continue
      const measured = await learn(data, way, seed, values.quick ? 5 : SETTINGS.steps)
      console.log(`seed ${seed}, ${way}: ${JSON.stringify(measured)}`)
      if (values.quick) continue
      results.runs.push({ way, seed, ...measured })
      await keep('tasks', results)
    }
  }
}
if (!values.quick) await writeSection('tasks', 'bench:tasks', textOf())

function textOf(): string {
  if (results.runs.length === 0) return 'Not measured yet.'
  const { steps, batch, tokens, rank, alpha, learningRate, evaluate } = SETTINGS
  const rows = (Object.keys(WAYS) as Way[]).map((way) => {
    const own = results.runs.filter((run) => run.way === way)
    const of = (figure: keyof Measured, factor = 1): number[] => own.map((run) => factor * run[figure])
    return [
      way, spread(of('genre', 100)), spread(of('partOfSpeech', 100)), spread(of('hidden'), 2),
      own.length === 0 ? '' : mean(of('trained')).toLocaleString('en', { maximumFractionDigits: 0 }), own.length === 0 ? '' : mean(of('operations', 1e-12)).toFixed(1),
    ]
  })
  return [
    ...table(['learned', 'genre, % right', 'part of speech, % right', 'loss of a hidden token', 'trained parameters', 'operations, 10¹²'], rows),
    '',
    `Each task sees ${steps} batches of ${batch} passages of at most ${tokens} tokens, in every row; ${GENRES.length} genres. LoRA of rank ${rank}, alpha ${alpha}, at query and value; learning rate ${learningRate}, which was not searched for. ` +
      `Measured on ${evaluate} passages of other samples. Mean of the seeds ${[...new Set(results.runs.map(({ seed }) => seed))].join(', ')}, lowest to highest. ${madeOnAll(results.runs)}.`,
  ].join('\n')
}
