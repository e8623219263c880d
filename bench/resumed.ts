// Results of runs that go on where they were broken off, in bench/results.

import { readFile } from 'node:fs/promises'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { machineNow, madeOn, path, type Machine } from './process.ts'

/** What a run was made on; written when it is kept. */
export interface Made {
  readonly machine?: Machine
}

export interface Resumed<Run> {
  readonly settings: object
  runs: (Run & Made)[]
}

/** Those of before, where they were made with the same settings. */
export async function resumed<R extends Resumed<object>>(name: string, settings: R['settings']): Promise<R> {
  const text = await readFile(path(`results/${name}.json`), 'utf8').catch(() => undefined)
  const old = text === undefined ? undefined : (JSON.parse(text) as R)
  return old !== undefined && JSON.stringify(old.settings) === JSON.stringify(settings) ? old : ({ settings, runs: [] as unknown[] } as R)
}

/** Keeps them; those that are new are of this machine. */
export async function keep(name: string, results: Resumed<object>): Promise<void> {
  const machine = machineNow()
  results.runs = results.runs.map((run) => ({ machine, ...run }))
  await writeAtomic(path(`results/${name}.json`), `${JSON.stringify(results, null, 2)}\n`)
}

/** What runs were made on, as a page says it: machines, each with its commits. */
export function madeOnAll(runs: readonly Made[]): string {
  const commits = new Map<string, Set<string>>()
  for (const { machine } of runs) {
    if (machine === undefined) continue
    const { commit = '', ...rest } = machine
    const known = commits.get(madeOn(rest)) ?? new Set()
    commits.set(madeOn(rest), known.add(String(commit)))
  }
  return Array.from(commits, ([machine, of]) => `${machine}, commit ${[...of].join(', ')}`).join('; ')
}
