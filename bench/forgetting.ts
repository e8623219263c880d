// What each way to keep from forgetting keeps: MiniLM with one LoRA and one head learns three tasks one after the other.
//
//   npm run bench:forgetting                    goes on where it stopped
//   npm run bench:forgetting -- --minutes 8     stops after the run in which so much time is over
//   npm run bench:forgetting -- --table         writes the tables and the curves alone
//
// The strength of each guard is chosen on a sequence of other tasks, with a seed of its own: of those that keep at least half of
// what training with nothing loses on the first task, the one with the highest average accuracy at the end. What is reported
// comes from tasks that had no part in the choice. Writes bench/results/forgetting.json after each run,
// and the tables and curves of docs/forgetting.md. Results of other settings are made anew.

import { parseArgs } from 'node:util'
import { METHODS, runSequence, SETTINGS, type MethodName } from './forgetting-run.ts'
import { writeTables, type Results, type Run } from './forgetting-table.ts'
import { loadSequences, SIZES } from './forgetting-tasks.ts'
import { keep, resumed } from './resumed.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: 'Infinity' }, table: { type: 'boolean', default: false } } })

/** What each method is set by, from weak to strong; of interpolation it is alpha, of which less is stronger. */
const STRENGTHS: Readonly<Record<MethodName, readonly number[]>> = {
  naive: [0],
  ewc: [300, 1000, 3000, 5000, 10_000, 30_000],
  l2Sp: [0.3, 1, 2, 3, 10],
  synapticIntelligence: [100, 1000, 3000, 10_000, 100_000],
  lwf: [0.05, 0.2, 0.5, 1, 2],
  replay: [1, 2, 4, 6],
  interpolation: [0.75, 0.5, 0.25],
  joint: [0],
}
const SEEDS = [0, 1, 2]
const SEARCH_SEED = 3

const results = await resumed<Results>('forgetting', { ...SETTINGS, ...SIZES, seeds: SEEDS, searchSeed: SEARCH_SEED })
if (!values.table) await measure()
await writeTables(results)

async function measure(): Promise<void> {
  const end = performance.now() + Number(values.minutes) * 60_000
  const sequences = await loadSequences()
  results.tasks = { search: sequences.search.map(({ name }) => name), final: sequences.final.map(({ name }) => name) }
  const once = async (sequence: Run['sequence'], method: MethodName, strength: number, seed: number): Promise<void> => {
    const known = results.runs.some((run) => run.sequence === sequence && run.method === method && run.strength === strength && run.seed === seed)
    if (known || performance.now() > end) return
    const start = performance.now()
    const outcome = await runSequence(sequences[sequence], method, strength, seed)
    results.runs.push({ sequence, method, strength, seed, ...outcome })
    const last = outcome.accuracies.at(-1) ?? []
    console.log(`${sequence} ${method} ${strength} seed ${seed}: ${last.map((accuracy) => accuracy.toFixed(3)).join(' ')}, ${((performance.now() - start) / 1000).toFixed(0)} s`)
    await keep('forgetting', results)
  }
  for (const method of METHODS) if (method !== 'joint') for (const strength of STRENGTHS[method]) await once('search', method, strength, SEARCH_SEED)
  for (const seed of SEEDS) for (const method of METHODS) await once('final', method, best(method), seed)
}

/** Of the strengths that keep at least half of what is lost without, or of all if none does, the best on average in the search. */
function best(method: MethodName): number {
  const lost = ({ accuracies }: Run): number => (accuracies[0]?.[0] ?? NaN) - (accuracies.at(-1)?.[0] ?? NaN)
  const score = ({ accuracies }: Run): number => (accuracies.at(-1) ?? []).reduce((sum, accuracy) => sum + accuracy, 0)
  const search = results.runs.filter((run) => run.sequence === 'search')
  const most = Math.max(...search.filter((run) => run.method === 'naive').map(lost)) / 2
  const tried = search.filter((run) => run.method === method && STRENGTHS[method].includes(run.strength))
  const fit = tried.filter((run) => lost(run) <= most)
  const [first, ...others] = fit.length > 0 ? fit : tried
  return first === undefined ? 0 : others.reduce((a, b) => (score(b) > score(a) ? b : a), first).strength
}
