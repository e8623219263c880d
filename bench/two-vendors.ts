// A model is trained from nothing on one vendor's drawings of emoji, and methods adapt it to another vendor's: what pictures.ts and clip.ts share. Goes on with the
// seeds that are not in bench/results yet.

import { attach, detach, fullFineTuning, interpolate, merge, Trainer, type Adapter, type Examples, type Guard, type Method, type Model, type TrainerOptions } from 'tfjs-peft'
import { writeSection } from './doc-section.ts'
import { spread, table } from './markdown.ts'
import { keep, resumed, type Resumed } from './resumed.ts'

/** Shares of drawings, by the table's columns. */
export type Shares = Readonly<Record<string, number>>

export type Note = (what: string, trained: number, shares: Shares) => void

interface Run {
  readonly seed: number
  readonly rows: { readonly what: string; readonly trained: number; readonly shares: Shares }[]
}

const ALPHA = 0.5

/** Runs the seeds, keeps what each notes, and writes the table into docs/pictures.md. @param name of the command behind bench: */
export async function bySeed(name: string, settings: object, seeds: number, runSeed: (seed: number, note: Note) => Promise<void>): Promise<void> {
  const results = await resumed<Resumed<Run>>(name, { ...settings, alpha: ALPHA })
  const all = Array.from({ length: seeds }, (_, seed) => seed)
  for (const seed of all.filter((each) => !results.runs.some((run) => run.seed === each))) {
    const rows: Run['rows'] = []
    await runSeed(seed, (what, trained, shares) => {
      console.log(`seed ${seed}, ${what}: ${trained} trained; ${Object.entries(shares).map(([column, share]) => `${column} ${share.toFixed(3)}`).join(', ')}`)
      rows.push({ what, trained, shares })
    })
    results.runs.push({ seed, rows })
    await keep(name, results)
  }
  const text = textOf(results.runs.filter(({ seed }) => all.includes(seed)))
  console.log(text)
  await writeSection('pictures', `bench:${name}`, text)
}

function textOf(runs: readonly Run[]): string {
  const rows = runs.flatMap((run) => run.rows)
  const columns = Object.keys(rows[0]?.shares ?? {})
  const lines = table(['', 'numbers trained', ...columns], [...new Set(rows.map(({ what }) => what))].map((what) => {
    const own = rows.filter((row) => row.what === what)
    return [what, String(own[0]?.trained ?? 0), ...columns.map((column) => spread(own.map(({ shares }) => 100 * (shares[column] ?? NaN))))]
  }))
  return [`Seeds: ${runs.length}; the mean, and from the lowest to the highest.`, '', ...lines].join('\n')
}

/** The model with all of it trained, in place of what it was. */
export async function fromNothing(model: Model, options: Omit<TrainerOptions, 'model'>): Promise<Model> {
  const adapter = attach(model, fullFineTuning())
  await new Trainer({ model, ...options }).fit()
  const merged = merge(model, adapter)
  model.dispose()
  return merged
}

export interface Adapting {
  readonly model: Model
  readonly train: Examples
  readonly seed: number
  readonly settings: Pick<TrainerOptions, 'batchSize' | 'epochs' | 'learningRate'>
  /** With these adapters. */
  readonly measure: (adapter: readonly string[]) => Promise<Shares>
  readonly note: Note
}

export interface AdaptOptions {
  /** Half of the way from the start is noted too. @default false */
  readonly halfWay?: boolean
  readonly guard?: (adapter: Adapter) => Promise<Guard & { dispose(): void }>
}

/** Trains an adapter, notes how the model does with it, and takes it off. */
export async function adapted({ model, train, seed, settings, measure, note }: Adapting, what: string, method: Method, { halfWay = false, guard }: AdaptOptions = {}): Promise<void> {
  const adapter = attach(model, method, { name: 'twitter', seed })
  const held = await guard?.(adapter)
  await new Trainer({ model, train, ...settings, seed, guards: held === undefined ? [] : [held] }).fit()
  held?.dispose()
  note(what, adapter.summary().trainable, await measure(['twitter']))
  if (halfWay) {
    const half = interpolate(adapter, ALPHA, { name: 'half' })
    note(`${what}, half way (α = ${ALPHA})`, half.summary().trainable, await measure(['half']))
    detach(half)
  }
  detach(adapter)
}
