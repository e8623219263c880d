import type { PrefixRows } from './from-text.ts'

/** Options of prefix-tuning. */
export interface PrefixOptions {
  /** Rows in front of each attention's own. @default 20, or as many as `init` has */
  readonly virtualTokens?: number
  /** Start of the rows: N(0, 1), zeros, or the keys and values of a text, from `prefixFromText`. @default 'normal' */
  readonly init?: 'normal' | 'zeros' | PrefixRows
  /** Trains the rows through a network; saving folds it away. `hiddenSize` is its inner width. @default none */
  readonly reparametrization?: { readonly hiddenSize: number }
}

/** Prefix-tuning's options with the defaults filled in. */
export type PrefixConfig = Required<Omit<PrefixOptions, 'reparametrization'>> & Pick<PrefixOptions, 'reparametrization'>
