import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { AttentionCall } from './ops/attention.ts'
import type { RandomStream } from './random.ts'
import type {
  Around, AttentionSite, EmbeddingSite, Join, LinearSite, ResidualSite, Sequence, SequenceSite, Site,
} from './sites.ts'
import type { Need } from './survey.ts'
import type { Wire } from './wire.ts'

/** A tensor of a method, as it starts. */
export interface Init {
  readonly shape: readonly number[]
  readonly values: Float32Array
  /** Kept as it is instead of trained. @default false */
  readonly frozen?: boolean
}

/** Starting tensors by the method's own short names. */
export type Inits = Readonly<Record<string, Init>>

/** The tensors of a method at one site, those shared by all its sites included, by the method's own short names. */
export type Own = Readonly<Record<string, Tensor>>

/** What a method may look at when it makes its starting tensors. */
export interface InitContext {
  /** A random stream of its own for each name. */
  readonly draw: (name: string) => RandomStream
  /** A frozen parameter of the model, by full name; not to be disposed. */
  readonly param: (name: string) => Tensor
}

/**
 * A way to adapt a model: a value with a step for each kind of site it works at. A method knows no model and no
 * other method.
 */
export interface Method {
  /** The sites it takes. @throws TargetError when the user named what is not there */
  readonly select: (sites: readonly Site[]) => readonly Site[]
  /** Its tensors at one site. @throws InputError on options that do not fit the site */
  readonly init: (site: Site, context: InitContext) => Inits
  /** Its tensors that all sites use. */
  readonly shared?: (sites: readonly Site[], context: InitContext) => Inits
  /** Parameters of the model it trains as copies. */
  readonly copies?: (params: ReadonlyMap<string, Need>) => readonly string[]

  readonly linear?: (site: LinearSite, own: Own) => Around<Tensor2D, Tensor2D>
  readonly embedding?: (site: EmbeddingSite, own: Own) => Around<Tensor1D, Tensor2D>
  readonly attention?: (site: AttentionSite, own: Own) => Around<AttentionCall, Tensor4D>
  readonly residual?: (site: ResidualSite, own: Own) => Around<Join, Tensor2D>
  readonly sequence?: (site: SequenceSite, own: Own) => Around<Sequence, Sequence>

  /** The weight with the site's tensors folded in; a method that has it can be merged. */
  readonly merge?: (site: LinearSite | EmbeddingSite, weight: Tensor2D, own: Own) => Tensor2D
  /** How adapters of this method are written in files. */
  readonly wire: Wire
}
