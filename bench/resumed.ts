// Results of runs that go on where they were broken off, in bench/results.

import { readFile } from 'node:fs/promises'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { machineNow, path, type Machine } from './process.ts'

export interface Resumed<Run> {
  readonly settings: object
  machine: Machine
  runs: Run[]
}

/** Those of before, where they were made with the same settings. */
export async function resumed<R extends Resumed<unknown>>(name: string, settings: R['settings']): Promise<R> {
  const text = await readFile(path(`results/${name}.json`), 'utf8').catch(() => undefined)
  const old = text === undefined ? undefined : (JSON.parse(text) as R)
  return old !== undefined && JSON.stringify(old.settings) === JSON.stringify(settings) ? old : ({ settings, machine: {}, runs: [] as unknown[] } as R)
}

/** Keeps them, as those of this machine. */
export async function keep(name: string, results: Resumed<unknown>): Promise<void> {
  results.machine = machineNow()
  await writeAtomic(path(`results/${name}.json`), `${JSON.stringify(results, null, 2)}\n`)
}
