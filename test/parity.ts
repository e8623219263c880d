// What a test shows of a method on a model. scripts/parity.ts makes docs/parity.md of the tests that say so.

declare module 'vitest' {
  interface TaskMeta {
    parity?: Parity
  }
}

/** A cell of a table in docs/parity.md. */
export interface Parity {
  readonly table: 'contract' | 'golden' | 'peer'
  /** Row: a method of the contract, or the folder in test/golden of what a peer computed, or what a peer reads. */
  readonly method: string
  /** The call that makes it. */
  readonly call?: string
  readonly model: string
  readonly shows: 'train' | 'save' | 'load' | 'merge'
  /** The largest difference it allows. @default the bits are the same, or there is nothing to measure */
  readonly tolerance?: number
  /** What reads the adapter that was saved here. */
  readonly peer?: 'HF PEFT' | 'AdapterHub' | 'HF transformers'
  /** Which models have what the method asks for, where not all do. */
  readonly only?: string
  /** Why it cannot do so; the library's own words. */
  because?: string
}

/** Options of a test. */
export interface Shown {
  readonly meta: { readonly parity: Parity }
}

export function shown(parity: Parity): Shown {
  return { meta: { parity } }
}

/** A test that holds the library against what a peer computed: a folder of test/golden, and that of its model. */
export function shownByGolden(folder: string, base: string, shows: Parity['shows'], tolerance?: number): Shown {
  return shown({ table: 'golden', method: folder, model: base, shows, ...(tolerance === undefined ? {} : { tolerance }) })
}

/** A test in which a peer reads what was saved here, of a model in test/golden. */
export function shownByPeer(peer: Parity['peer'] & {}, method: string, base: string, tolerance: number): Shown {
  return shown({ table: 'peer', method, model: base, shows: 'save', peer, tolerance })
}
