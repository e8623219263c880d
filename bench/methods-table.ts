// The table of `npm run bench:methods` in docs/methods.md, between its two markers.

import { writeSection } from './doc-section.ts'
import { spread, table } from './markdown.ts'
import { METHODS, textOf, type BenchMethod } from './methods-rows.ts'

export interface Settings {
  /** Tokens of a mail that count. */
  readonly tokens: number
  readonly batch: number
  readonly steps: number
  readonly seeds: readonly number[]
  /** Seed of the search for learning rates. */
  readonly searchSeed: number
}

export interface Run {
  readonly method: string
  readonly call: string
  readonly learningRate: number
  readonly seed: number
  readonly accuracy: number
  readonly f1: number
  readonly trainable: number
  readonly total: number
}

export interface Results {
  readonly settings: Settings
  mails?: Readonly<Record<'train' | 'evaluate' | 'searchTrain' | 'searchEvaluate', number>>
  timed?: Readonly<Record<'batch' | 'length' | 'warmup' | 'steps', number>>
  readonly machine: { accuracy?: Readonly<Record<string, string | number>>; time?: Readonly<Record<string, string | number>> }
  /** One seed at several learning rates. */
  readonly search: Run[]
  runs: Run[]
  times?: readonly { readonly method: string; readonly step_ms: number; readonly peak_rss_mb: number }[]
}

export async function writeTable(results: Results): Promise<void> {
  await writeSection('methods', 'bench:methods', tablesOf(results))
}

function tablesOf(results: Results): string {
  const { settings, mails, timed } = results
  const { accuracy, time } = results.machine
  const machine = (of: typeof accuracy): string => (of === undefined ? 'not measured' : Object.entries(of).map(([name, value]) => `${name} ${value}`).join(', '))
  return [
    ...table(
      ['method', 'trained', 'of all', 'accuracy', 'F1 of spam', 'step', 'peak memory'],
      METHODS.map((row) => resultRow(row, results)),
    ),
    '',
    `Accuracy and F1: ${mails?.evaluate ?? '?'} held-out mails after ${settings.steps} steps of ${settings.batch} mails (of ${mails?.train ?? '?'}), ` +
      `the first ${settings.tokens} tokens of each; mean of the seeds ${settings.seeds.join(', ')}, lowest to highest. The latest of them: ${machine(accuracy)}.`,
    '',
    `Step and peak memory: ${timed?.batch ?? '?'} rows of ${timed?.length ?? '?'} tokens, float32; median step, the whole process's memory. ${machine(time)}.`,
    '',
    ...table(['method', 'as it was run', 'learning rate', 'F1 in the search, by learning rate'], METHODS.map((row) => settingRow(row, results))),
    '',
    `The search: seed ${settings.searchSeed}, trained on ${mails?.searchTrain ?? '?'} of the mails to train on and measured on the other ` +
      `${mails?.searchEvaluate ?? '?'}; it goes to the next learning rate as long as F1 gets better.`,
  ].join('\n')
}

function resultRow(row: BenchMethod, { runs, times }: Results): readonly string[] {
  const own = runs.filter(({ method }) => method === row.name)
  const [first] = own
  const time = times?.find(({ method }) => method === row.name)
  return [
    row.name,
    first === undefined ? '' : first.trainable.toLocaleString('en'),
    first === undefined ? '' : `${Number(((100 * first.trainable) / first.total).toPrecision(2))} %`,
    spread(own.map(({ accuracy }) => 100 * accuracy)),
    spread(own.map(({ f1 }) => 100 * f1)),
    time === undefined ? '' : `${time.step_ms.toFixed(0)} ms`,
    time === undefined ? '' : `${time.peak_rss_mb.toFixed(0)} MB`,
  ]
}

function settingRow(row: BenchMethod, { runs, search }: Results): readonly string[] {
  const tried = search.filter(({ method }) => method === row.name).sort((a, b) => a.learningRate - b.learningRate)
  return [
    row.name,
    `\`${textOf(row)}\``,
    String(runs.find(({ method }) => method === row.name)?.learningRate ?? ''),
    tried.map(({ learningRate, f1 }) => `${learningRate}: ${(100 * f1).toFixed(1)}`).join(', '),
  ]
}
