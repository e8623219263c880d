// Two fields, medicine and security: what masked LM on texts of a field brings for a classifier of them that has few labels.
//
//   npm run bench:domains                goes on where it stopped
//   npm run bench:domains -- --table     writes the tables alone
//   npm run bench:domains -- --quick     a few steps of each, to see that all of them run; no result
//
// Writes bench/results/domains.json after each run, and the tables of docs/domains.md. Results of other settings are made anew.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder } from '../src/setup/cache.ts'
import { writeSection } from './doc-section.ts'
import { adapt, classify, EACH, FIELD_NAMES, FIELDS, load, SETTINGS, startOf, STARTS, type Data, type Field, type Start } from './domains-run.ts'
import { spread, table } from './markdown.ts'
import { keep, madeOnAll, resumed, type Resumed } from './resumed.ts'

interface Run {
  readonly field: Field
  readonly seed: number
  /** Of masked LM on the field: the loss of a hidden token. */
  readonly before?: number
  readonly after?: number
  /** Of a classifier. */
  readonly start?: Start
  readonly each?: number
  readonly accuracy?: number
}

const SEEDS = [0, 1, 2]
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, table: { type: 'boolean', default: false } } })
const quick = values.quick ? { seeds: [0], steps: [5, 5] as const, folder: 'domains-quick' } : { seeds: SEEDS, steps: [SETTINGS.domain.steps, SETTINGS.target.steps] as const, folder: 'domains' }
const results = await resumed<Resumed<Run>>('domains', { ...SETTINGS, each: EACH, seeds: SEEDS })
if (!values.table) {
  const data: Record<Field, Data> = { medicine: await load('medicine'), security: await load('security') }
  for (const seed of quick.seeds) {
    const folder = (name: string): string => join(cacheFolder(), 'bench', quick.folder, `${seed}-${name}`)
    for (const field of FIELD_NAMES) {
      const isThere = await access(join(folder(field), 'config.json')).then(() => true, () => false)
      await measure({ field, seed }, async () => await adapt(data[field], folder(field), seed, quick.steps[0]), isThere)
    }
    for (const field of FIELD_NAMES) {
      for (const each of EACH) {
        for (const start of STARTS) {
          await measure({ field, seed, start, each }, async () => ({ accuracy: await classify(data[field], await startOf(start, folder, field), each, seed, quick.steps[1]) }))
        }
      }
    }
  }
}
if (!values.quick) for (const field of FIELD_NAMES) await writeSection('domains', `bench:domains, ${field}`, textOf(field))

/** Measures what is not there yet. */
async function measure(key: Pick<Run, 'field' | 'seed' | 'start' | 'each'>, work: () => Promise<Partial<Run>>, isThere = true): Promise<void> {
  const isIt = (run: Run): boolean => run.field === key.field && run.seed === key.seed && run.start === key.start && run.each === key.each
  if (!values.quick && isThere && results.runs.some(isIt)) return
  const run = { ...key, ...(await work()) }
  console.log(JSON.stringify(run))
  if (values.quick) return
  results.runs = [...results.runs.filter((other) => !isIt(other)), run]
  await keep('domains', results)
}

function textOf(field: Field): string {
  const own = results.runs.filter((run) => run.field === field)
  if (own.length === 0) return 'Not measured yet.'
  const { batch, domain, target } = SETTINGS
  const { classes, tokens } = FIELDS[field]
  const of = (figure: 'before' | 'after'): string => spread(own.flatMap((run) => run[figure] ?? []), 2)
  return [
    ...table(
      ['begins with', ...EACH.map((each) => `${each} labels of each class`)],
      STARTS.map((start) => [start, ...EACH.map((each) => spread(own.flatMap((run) => (run.start === start && run.each === each && run.accuracy !== undefined ? 100 * run.accuracy : []))))]),
    ),
    '',
    `Held-out rows that are right, %, of ${target.evaluate}, as many of each of ${classes.length} classes; ${target.steps} steps of ${batch} rows of at most ${tokens} tokens by LoRA of rank 8 at query and value, learning rate ${target.learningRate}, which was not searched for. Masked LM on the field, ` +
      `${domain.steps} steps of the same LoRA with head and table of the words, takes the loss of a held-out hidden token from ${of('before')} to ${of('after')}. Mean of the seeds ${SEEDS.join(', ')}, lowest to highest. ${madeOnAll(results.runs)}.`,
  ].join('\n')
}
