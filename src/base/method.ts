import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { RandomStream } from './random.ts'
import type { AttentionSite, EmbeddingSite, ExpertsSite, Grouped, Join, LinearSite, ResidualSite, Sequence, SequenceSite, Site, ParameterSpec, ParamOf } from './sites.ts'
import type { FileFormat } from './adapter/file-format.ts'
import type { Around } from './pass.ts'
import type { Ties } from './ties.ts'
import type { AttentionCall } from './ops/attention-call.ts'

/** A tensor of a method, as it starts. */
export interface Init {
  readonly shape: readonly number[]
  /** Numbers, or a tensor made of the model's; it is copied, and a tidy frees it. */
  readonly values: Float32Array | Tensor
  /** Kept as it is instead of trained. @default false */
  readonly frozen?: boolean
}

/** Stands for the values of a tensor that will come from a file: its size is compared before there is room for it. */
export const NO_VALUES: Float32Array = new Float32Array(0)

/** Starting tensors by the method's own short names. */
export type Inits = Readonly<Record<string, Init>>

/** The tensors of a method at one site, those shared by all its sites included, by the method's own short names. */
export type SiteTensors = Readonly<Record<string, Tensor>>

/** What a method may look at when it makes its starting tensors. */
export interface InitContext {
  /** A random stream of its own for each name. */
  readonly draw: (name: string) => RandomStream
  readonly param: ParamOf
  /** All places of the model. */
  readonly all: readonly Site[]
  /** The values will be used; false when those of the trained tensors come from a file, and `NO_VALUES` will do. */
  readonly fresh: boolean
}

/** The parameters of a site, on their way into a merged model. */
export interface SiteParams {
  /** Of experts all of them, (count, out, in). */
  readonly weight: Tensor2D
  readonly bias: Tensor1D | undefined
}

/** An update of a weight, ΔW = scale · B A: of a linear site's, or of an embedding's transposed. */
export interface LowRank {
  readonly A: Tensor2D // (rank, in)
  readonly B: Tensor2D // (out, rank)
  readonly scale: number
}

/**
 * A way to adapt a model: a value with a step for each kind of site it works at. A method knows no model and no
 * other method.
 */
export interface Method {
  /** What it is called in messages and summaries: the name of the function that makes it. */
  readonly name: string
  /** The sites it takes. @throws TargetError when the user named what is not there */
  readonly select: (sites: readonly Site[]) => readonly Site[]
  /** Its tensors at one site. @throws InputError on options that do not fit the site */
  readonly init: (site: Site, context: InitContext) => Inits
  /** Its tensors that all sites use. */
  readonly shared?: (sites: readonly Site[], context: InitContext) => Inits
  /** Parameters of the model it trains as copies, by full name. */
  readonly copies?: (params: ReadonlyMap<string, ParameterSpec>, sites: readonly Site[]) => readonly string[]
  /** Works on the model's own weight, so no other method can come between the two. @default false */
  readonly innermost?: boolean
  /**
   * It needs padded rows; else its steps at attention and at the sequence take rows without padding too, see `AttentionCall.borders` and
   * `Sequence.packed`. @default true with such a step, else false
   */
  readonly seesPadding?: boolean

  /** `param` gives what the model computes with during a pass: another method's copy where there is one. */
  readonly linear?: (site: LinearSite, own: SiteTensors, param: ParamOf) => Around<Tensor2D, Tensor2D>
  readonly experts?: (site: ExpertsSite, own: SiteTensors) => Around<Grouped, Tensor2D>
  readonly embedding?: (site: EmbeddingSite, own: SiteTensors, param: ParamOf) => Around<Tensor1D, Tensor2D>
  readonly attention?: (site: AttentionSite, own: SiteTensors) => Around<AttentionCall, Tensor4D>
  readonly residual?: (site: ResidualSite, own: SiteTensors) => Around<Join, Tensor2D>
  readonly sequence?: (site: SequenceSite, own: SiteTensors) => Around<Sequence, Sequence>

  /**
   * Its step at a head that is one tensor with the table where it has its tensors. A method that has it adds the same to
   * both. @throws InputError where its options tell the two apart
   */
  readonly tied?: (site: LinearSite, owner: EmbeddingSite, own: SiteTensors) => Around<Tensor2D, Tensor2D>
  /**
   * Whether a head, or another table, that is one tensor with a table follows it, where either is taken; another table then has the table's step. @default a head, where they stay one in the adapter, which
   * its files may deny
   */
  readonly follows?: (site: LinearSite | EmbeddingSite, owner: EmbeddingSite, context: { readonly all: readonly Site[]; readonly ties: Ties }) => boolean
  /** The site's parameters with its tensors folded in; a method that has it can be merged. */
  readonly merge?: (site: LinearSite | ExpertsSite | EmbeddingSite, params: SiteParams, own: SiteTensors) => SiteParams
  /** What it adds to the site's weight, where that is all it does; adapters of such methods can be combined. */
  readonly lowRank?: (site: LinearSite | ExpertsSite | EmbeddingSite, own: SiteTensors) => LowRank
  /**
   * Its tensors with which the site computes on (1 − alpha) · the weights as they were + alpha · the adapted ones; beside
   * the weights, on alpha times what it adds. Those not named stay. A method that has it can be interpolated.
   */
  readonly interpolate?: (site: Site, own: SiteTensors, alpha: number, param: ParamOf) => SiteTensors
  /** How adapters of this method are written in files. */
  readonly format: FileFormat
}
