// What a test shows of a method on a model. scripts/parity.ts makes docs/parity.md of the tests that say so.

import type { TaskMeta } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    parity?: Parity
  }
}

export type Capability = 'train' | 'save' | 'load' | 'merge'

/** A part of a cell in docs/parity.md. */
export interface Parity {
  readonly table: 'contract' | 'golden' | 'peer'
  /** Row: a method of the contract; a folder of test/golden with what a peer computed; or what a peer reads. */
  readonly row: string
  /** A model of the contract, or the folder of one in test/golden. */
  readonly model: string
  readonly shows: readonly Capability[]
  /** The largest difference it allows; none where bits are compared or nothing is measured. */
  readonly tolerance?: number
  /** The call that makes the method. */
  readonly call?: string
  /** Which models have what the method asks for, where not all do. */
  readonly only?: string
  /** What reads the files that were saved here. */
  readonly peer?: 'HF PEFT' | 'HF PEFT with an older transformers' | 'AdapterHub' | 'HF transformers'
  /** Why it cannot be done, in the library's own words. */
  because?: string
}

/** Options of a test that shows something. */
export interface Shown {
  readonly meta: { readonly parity: Parity }
}

export function shown(parity: Parity): Shown {
  return { meta: { parity } }
}

/** For tests that are one of many: what they show depends on their case. */
export function show(test: { readonly meta: TaskMeta }, { meta }: Shown): void {
  Object.assign(test.meta, meta)
}

/** For a test that holds the library against what a peer computed on one of the models in test/golden. */
export function shownByGolden(row: string, model: string, shows: readonly Capability[], tolerance?: number): Shown {
  return shown({ table: 'golden', row, model, shows, ...(tolerance === undefined ? {} : { tolerance }) })
}

/** For a test in which a peer reads and runs what was saved here. */
export function shownByPeer(peer: Parity['peer'] & {}, row: string, model: string, tolerance: number): Shown {
  return shown({ table: 'peer', row, model, shows: ['save'], tolerance, peer })
}
