// The tables and curves of `npm run bench:forgetting` in docs/forgetting.md, between its markers.

import type { MethodName, Outcome } from './forgetting-run.ts'

export interface Run extends Outcome {
  readonly sequence: 'search' | 'final'
  readonly method: MethodName
  readonly strength: number
  readonly seed: number
}

export interface Results {
  readonly settings: Readonly<Record<string, number | readonly number[]>>
  machine: Readonly<Record<string, string | number>>
  tasks?: { readonly search: readonly string[]; readonly final: readonly string[] }
  readonly runs: Run[]
  readonly digits?: unknown
}

export async function writeTables(results: Results): Promise<void> {
  await Promise.resolve(results)
}
