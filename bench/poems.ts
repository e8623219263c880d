// Chinese poems from nothing to tasks: how a vocabulary is cut, pretraining beside torch's, another form of poems and what is forgotten of the
// first, and tasks with few examples by five methods.
//
//   npm run bench:poems                 goes on where it stopped, a seed after the other; hours on two cores
//   npm run bench:poems -- --only vocabulary,pretraining,domain,rates,tasks
//   npm run bench:poems -- --seeds 1,2  of these seeds alone
//   npm run bench:poems -- --table      writes the tables alone
//
// Writes bench/results/poems.json after each run, and the tables of docs/chinese.md. Results of other settings are made anew.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadPoems, splitPoems } from '../examples/poems/corpus.ts'
import { poemRows, type PoemRows } from '../examples/poems/rows.ts'
import { configOf, SETTINGS } from '../examples/poems/setup.ts'
import type { Kind } from '../examples/poems/tokenizers.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { lineChart, type Point } from '../src/plot/plot.ts'
import { cacheFolder } from '../src/setup/cache.ts'
import { writeSection } from './doc-section.ts'
import { mean, spread, table } from './markdown.ts'
import { climb, LADDER } from './ladder.ts'
import { adaptToDomain, learnTask, measureVocabulary, METHODS, pretrain, STEPS, WAYS, type Texts, type Way } from './poems-run.ts'
import { path } from './process.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'

const SEEDS = [0, 1, 2]
const SIZES: Readonly<Record<Kind, readonly number[]>> = { characters: [2000, 4000, 6000], WordPiece: [8000, 16_000], 'byte-level BPE': [4000, 8000, 16_000] }
const EACH = [8, 32, 128]
/** Learning rates are found once, on the task of tunes with the poems of another seed. */
const STAGES = ['pretraining', 'domain', 'rates', 'tasks', 'vocabulary'] as const
const RATES = { task: 'tune', each: 32, seed: SEEDS.length } as const

interface Run {
  readonly stage: (typeof STAGES)[number]
  /** What was measured: a vocabulary, a way to the domain, a task with a method. */
  readonly of: string
  readonly seed: number
  readonly steps: number
  readonly figures: Readonly<Record<string, number>>
}

const NAMES = Object.keys(METHODS) as (keyof typeof METHODS)[]

/** The methods, and what all weights learn without pretraining. */
const LEARNERS = [
  ...NAMES.map((method) => ({ name: method, method, start: 'pretrained' }) as const),
  { name: 'all weights, not pretrained', method: 'all weights', start: 'untrained' } as const,
]

const rateName = (method: string, rate: number): string => `${method} at ${rate}`
const vocabularyName = (kind: string, size: number): string => `${kind}, ${size}`
const taskName = (task: string, method: string, each: number): string => `${task}, ${method}, ${each} each`

const { values } = parseArgs({ options: { only: { type: 'string', default: STAGES.join() }, seeds: { type: 'string', default: SEEDS.join() }, table: { type: 'boolean', default: false } } })
const folder = join(cacheFolder(), 'bench', 'poems')
const results = await resumed<Resumed<Run>>('poems', { seeds: SEEDS, sizes: SIZES, each: EACH, model: configOf(0), ...SETTINGS })
if (!values.table) {
  const data = { rows: await poemRows(join(folder, 'tokenizer')), texts: await someShi() }
  for (const seed of values.seeds.split(',').map(Number)) for (const stage of STAGES.filter((name) => values.only.split(',').includes(name))) await measureStage(stage, seed, data)
}
if (WAYS.every(({ name }) => Number.isFinite(lossOf(name, 'ci')))) await writeAtomic(path('../docs/figures/chinese-forgetting.svg'), `${forgettingChart()}\n`)
for (const [stage, lines] of Object.entries(tables())) await writeSection('chinese', `bench:poems, ${stage}`, withSeeds(stage as Run['stage'], lines))

/** What vocabularies are made of and tried on. */
async function someShi(): Promise<Texts> {
  const { train, evaluate } = splitPoems((await loadPoems()).filter(({ form }) => form === 'shi'))
  return { train: train.slice(0, 20_000).map(({ text }) => text), evaluate: evaluate.slice(0, 1000).map(({ text }) => text) }
}

async function measureStage(stage: Run['stage'], seed: number, { rows, texts }: { readonly rows: PoemRows; readonly texts: Texts }): Promise<void> {
  const own = join(folder, String(seed))
  if (stage === 'vocabulary') {
    for (const [kind, sizes] of Object.entries(SIZES) as [Kind, readonly number[]][]) {
      for (const size of sizes) await measure(stage, vocabularyName(kind, size), seed, () => measureVocabulary(folder, kind, size, texts, seed))
    }
    return
  }
  if (stage === 'pretraining') {
    const isThere = await access(join(own, 'pretrained', 'config.json')).then(() => true, () => false) // what was pretrained elsewhere is not here
    await measure(stage, 'shi', seed, () => pretrain(own, rows, seed), isThere)
  }
  if (stage === 'domain') for (const way of WAYS) await measure(stage, way.name, seed, () => adaptToDomain(own, rows, way, seed))
  if (stage === 'rates' && seed === SEEDS[0]) for (const learner of LEARNERS) await rateOf(learner, rows)
  if (stage !== 'tasks') return
  for (const task of ['dynasty', 'tune'] as const) {
    for (const each of EACH) {
      const { train, evaluate: held } = rows[task](each, seed)
      for (const learner of LEARNERS) {
        const learningRate = await rateOf(learner, rows)
        const { name, method, start } = learner
        await measure(stage, taskName(task, name, each), seed, async () => ({ accuracy: await learnTask(own, rows.tokenizer, task, { train, held }, { name: method, learningRate, start, seed }) }))
      }
    }
  }
}

/** The learning rate of a learner: the best on poems to learn from that are not learned from there. */
function rateOf({ name, method, start }: (typeof LEARNERS)[number], rows: PoemRows): Promise<number> {
  const { task, each, seed } = RATES
  const [{ train }, { train: held }] = [rows[task](each, seed), rows[task](each, seed + 1)]
  return climb(METHODS[method].begin, async (learningRate) => {
    const { accuracy = NaN } = await measure('rates', rateName(name, learningRate), seed, async () =>
      ({ accuracy: await learnTask(join(folder, `${SEEDS[0] ?? 0}`), rows.tokenizer, task, { train, held }, { name: method, learningRate, start, seed }) }))
    return accuracy
  })
}

/** Measures what is not there yet. */
async function measure(stage: Run['stage'], of: string, seed: number, work: () => Promise<object>, isThere = true): Promise<Run['figures']> {
  const isIt = (run: Run): boolean => run.stage === stage && run.of === of && run.seed === seed && run.steps === STEPS[stage]
  const known = results.runs.find(isIt)
  if (isThere && known !== undefined) return known.figures
  const figures = { ...(await work()) } as Run['figures']
  results.runs = [...results.runs.filter((run) => !isIt(run)), { stage, of, seed, steps: STEPS[stage], figures }]
  console.log(`${stage}, ${of}, seed ${seed}: ${JSON.stringify(figures)}`)
  await keep('poems', results)
  return figures
}

function withSeeds(stage: Run['stage'], lines: readonly string[]): string {
  const runs = results.runs.filter((run) => run.stage === stage && run.steps === STEPS[stage])
  const seeds = [...new Set(runs.map(({ seed }) => seed))].sort()
  if (seeds.length === 0) return 'Not measured yet.'
  const of = seeds.length === 1 ? `Seed ${seeds.join()} alone` : `Mean of the seeds ${seeds.join(', ')}, lowest to highest`
  return [...lines, '', `${of}. ${madeOnAll(runs)}.`].join('\n')
}

/** What is learned of ci against what is kept of shi, by the strength of EWC and by how far the weights go. */
function forgettingChart(): string {
  const ways = (series: string, has: (way: Way) => boolean): Point[] => {
    const between = WAYS.filter(has)
    const ends = WAYS.filter(({ name, ewc, alpha }) => name !== 'LoRA' && ewc === undefined && alpha === undefined)
    return [...ends, ...between].map((way) => ({ x: lossOf(way.name, 'shi'), y: lossOf(way.name, 'ci'), series, label: labelOf(way) })).sort((a, b) => a.x - b.x)
  }
  const points = [...ways('EWC', ({ ewc }) => ewc !== undefined), ...ways('interpolation', ({ alpha }) => alpha !== undefined), { x: lossOf('LoRA', 'shi'), y: lossOf('LoRA', 'ci'), series: 'LoRA' }]
  return lineChart(points, { x: 'loss on shi, the first form', y: 'loss on ci, the one that is learned' })
}

function labelOf({ ewc, alpha }: Way): string {
  return String(ewc ?? alpha ?? '')
}

function lossOf(way: string, figure: 'ci' | 'shi'): number {
  return mean(results.runs.flatMap(({ stage, of, steps, figures }) => (stage === 'domain' && of === way && steps === STEPS[stage] ? figures[figure] ?? NaN : [])))
}

function tables(): Readonly<Record<Exclude<Run['stage'], 'rates'>, string[]>> {
  const runs = results.runs.filter(({ stage, steps }) => steps === STEPS[stage])
  const figures = (stage: Run['stage'], of: string, figure: string, digits = 3, factor = 1): string =>
    spread(runs.flatMap((run) => (run.stage === stage && run.of === of ? factor * (run.figures[figure] ?? NaN) : [])), digits)
  const vocabularies = Object.entries(SIZES).flatMap(([kind, sizes]) => sizes.map((size) => vocabularyName(kind, size)))
  return {
    vocabulary: table(
      ['vocabulary', 'tokens a character', 'unknown, %', 'loss of a hidden token', 'loss a character'],
      vocabularies.map((of) => [
        of, figures('vocabulary', of, 'tokensPerCharacter', 2), figures('vocabulary', of, 'unknown', 1, 100), figures('vocabulary', of, 'loss', 2), figures('vocabulary', of, 'lossPerCharacter', 2),
      ]),
    ),
    pretraining: table(['held-out loss of a hidden token', 'here', 'torch'], [[`${STEPS.pretraining} steps`, figures('pretraining', 'shi', 'ours'), figures('pretraining', 'shi', 'torch')]]),
    domain: table(['', 'loss on ci', 'loss on shi'], WAYS.map(({ name }) => [name, figures('domain', name, 'ci'), figures('domain', name, 'shi')])),
    tasks: [
      ...table(
        ['poems of each class', ...EACH.map(String)],
        (['dynasty', 'tune'] as const).flatMap((task) => LEARNERS.map(({ name }) => [`${task}, ${name}`, ...EACH.map((each) => figures('tasks', taskName(task, name, each), 'accuracy', 1, 100))])),
      ),
      '',
      `${STEPS.tasks} steps of 16 poems. Learning rates and what they gave, % of other poems that are right, of ${RATES.each} of each tune: ${LEARNERS.map(({ name }) => ratesOf(name)).join('; ')}.`,
    ],
  }

  function ratesOf(method: string): string {
    const tried = LADDER.flatMap((rate) => runs.filter(({ stage, of }) => stage === 'rates' && of === rateName(method, rate)).map((run) => ({ rate, accuracy: run.figures['accuracy'] ?? NaN })))
    return `${method} ${tried.map(({ rate, accuracy }) => `${rate}: ${(100 * accuracy).toFixed(1)}`).join(', ')}`
  }
}
