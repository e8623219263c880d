import type { ResidualSite } from '../base/sites.ts'

/** Options of a bottleneck adapter. */
export interface BottleneckOptions {
  /** The sublayers it stands at; never at cross attention, as in AdapterHub's presets. @default ['feed-forward'] */
  readonly parts?: readonly Exclude<ResidualSite['part'], 'cross-attention'>[]
  /**
   * What it reads: `branch`, the sublayer's output; `sum`, that and the stream together, through the norm that follows
   * where the model has one; `stream`, what the sublayer started from. @default 'branch'
   */
  readonly input?: 'branch' | 'sum' | 'stream'
  /** Width of the model over width of the bottleneck; or layer number, or `default`, to it. @default 16 */
  readonly reductionFactor?: number | Readonly<Record<string, number>>
  /** By its name in the Hub's config.json. @default 'relu' */
  readonly activation?: string
  /** A number; or trained from 1 on, one for all columns (`learned`) or one for each (`channel`). @default 1 */
  readonly scaling?: number | 'learned' | 'channel'
  /** Dropout on its output while training, in [0, 1). @default 0 */
  readonly dropout?: number
  /**
   * Start of the weights; biases start as zeros. `normal`: N(0, 0.02). `truncated`: N(0, 0.01) within two standard
   * deviations. `zero-up`: down as U(±1/√D) and up as zeros, so that the model starts equal to the base. @default 'normal'
   */
  readonly init?: 'normal' | 'truncated' | 'zero-up'
  /** Numbers of layers to leave as they are (AdapterDrop: Rücklé et al. 2020, arXiv:2010.11918). @default none */
  readonly skipLayers?: readonly number[]
}

/** A bottleneck's options with every default filled in. */
export type BottleneckConfig = Required<BottleneckOptions>
