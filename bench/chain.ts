// What the stages before a small task bring: MiniLM learns four genres of the Brown corpus from 64 labelled passages, from the
// model as it is, after masked LM on the corpus, after the classification of other genres, and after both.
//
//   npm run bench:chain                goes on where it stopped
//   npm run bench:chain -- --table     writes the table alone
//
// The learning rate of the last stage is the one at which training without other stages does best, with a seed of its own and
// on passages of the samples to train on. Writes bench/results/chain.json after each run, and the table in docs/training.md.
// Results of other settings are made anew.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { chainRunner, CHAINS, loadData, restOf, SETTINGS, type Chain, type Measured } from './chain-run.ts'
import { writeSection } from './doc-section.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'

const { values } = parseArgs({ options: { table: { type: 'boolean', default: false } } })

const SEEDS = [0, 1, 2]
const SEARCH_SEED = 3
const LADDER = [1e-3, 3e-3, 1e-2]

interface Run extends Measured {
  readonly chain: Chain
  readonly seed: number
  readonly learningRate: number
}

type Results = Resumed<Run>

const results = await resumed<Results>('chain', { ...SETTINGS, ladder: LADDER, seeds: SEEDS, searchSeed: SEARCH_SEED })
if (!values.table) await measure()
await writeSection('training', 'bench:chain', tableOf(results.runs))

async function measure(): Promise<void> {
  const data = await loadData()
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    for (const seed of [SEARCH_SEED, ...SEEDS]) {
      const isSearch = seed === SEARCH_SEED
      const runner = chainRunner(folder, data, seed)
      for (const chain of isSearch ? CHAINS.slice(0, 1) : CHAINS) {
        for (const learningRate of isSearch ? LADDER : [best()]) {
          if (results.runs.some((run) => run.seed === seed && run.chain === chain && run.learningRate === learningRate)) continue
          const measured = await runner(chain, learningRate, isSearch ? restOf(data, seed) : undefined)
          results.runs.push({ chain, seed, learningRate, ...measured })
          console.log(`seed ${seed}, ${chain} at ${learningRate}: ${JSON.stringify(measured)}`)
          await keep('chain', results)
        }
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The first of the learning rates with the highest accuracy in the search. */
function best(): number {
  const score = (rate: number): number => results.runs.find(({ seed, learningRate }) => seed === SEARCH_SEED && learningRate === rate)?.accuracy ?? 0
  return LADDER.reduce((a, b) => (score(b) > score(a) ? b : a))
}

function tableOf(runs: readonly Run[]): string {
  const of = (chain: Chain): readonly Run[] => SEEDS.flatMap((seed) => runs.find((run) => run.chain === chain && run.seed === seed) ?? [])
  const direct = of('target')
  const rows = CHAINS.map((chain) => {
    const own = of(chain)
    const gains = own.map(({ accuracy }, i) => 100 * (accuracy - (direct[i]?.accuracy ?? NaN)))
    return [
      chain, spread(own.map(({ accuracy }) => 100 * accuracy)), chain === 'target' ? '' : spread(gains),
      spread(own.flatMap(({ intermediate }) => (intermediate === undefined ? [] : 100 * intermediate))),
      own.some(({ domain }) => domain !== undefined) ? [0, 1].map((i) => mean(own.map(({ domain }) => domain?.[i] ?? NaN)).toFixed(2)).join(' → ') : '',
    ]
  })
  const { domain, intermediate, target } = SETTINGS
  return [
    ...[['stages', 'accuracy at the target', 'against the target alone', 'at the intermediate task', 'loss of masked tokens'], Array(5).fill('---'), ...rows]
      .map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `Target: ${target.genres.join(', ').replaceAll('_', ' ')}, ${target.labelled} labelled passages, ${target.steps} steps at learning rate ${best()}, ` +
      `measured on ${target.evaluate} passages of other samples. Intermediate: ${intermediate.genres.join(', ').replaceAll('_', ' ')}, ${intermediate.steps} steps ` +
      `at ${intermediate.learningRate}. Domain: masked LM on all passages to train on, ${domain.steps} steps at ${domain.learningRate}. ` +
      `Each step ${SETTINGS.batch} passages of ${SETTINGS.tokens} tokens; LoRA of rank ${SETTINGS.rank} at query and value in each stage; mean of the seeds ` +
      `${SEEDS.join(', ')}, lowest to highest. ${madeOnAll(results.runs)}.`,
  ].join('\n')
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length
}

function spread(numbers: readonly number[]): string {
  return numbers.length === 0 ? '' : `${mean(numbers).toFixed(1)} (${Math.min(...numbers).toFixed(1)} to ${Math.max(...numbers).toFixed(1)})`
}
