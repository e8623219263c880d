import type { Tensor1D, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core'
import type { AttentionCall } from './ops/attention.ts'
import type { RandomStream } from './random.ts'
import type {
  Around, AttentionSite, EmbeddingSite, Join, LinearSite, ResidualSite, Role, Sequence, SequenceSite, Site,
} from './sites.ts'
import type { Selection } from './targets.ts'

/** A tensor a method trains, as it starts. */
export interface Init {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** The tensors a method trains at one site, by the method's own short names. */
export type Own = Readonly<Record<string, Variable>>

/**
 * A way to adapt a model: a value with a step for each kind of site it works at. A method knows no model and no
 * other method.
 */
export interface Method {
  /** Which sites it takes. */
  readonly selection: Selection
  /** Linear sites it takes when the user names none. */
  readonly defaultRoles: readonly Role[]
  /** The tensors to train at a site; `draw` gives a random stream for each name. Throws InputError on bad options. */
  readonly init: (site: Site, draw: (name: string) => RandomStream) => Readonly<Record<string, Init>>

  readonly linear?: (site: LinearSite, own: Own) => Around<Tensor2D, Tensor2D>
  readonly embedding?: (site: EmbeddingSite, own: Own) => Around<Tensor1D, Tensor2D>
  readonly attention?: (site: AttentionSite, own: Own) => Around<AttentionCall, Tensor4D>
  readonly residual?: (site: ResidualSite, own: Own) => Around<Join, Tensor2D>
  readonly sequence?: (site: SequenceSite, own: Own) => Around<Sequence, Sequence>

  /** The weight with the site's tensors folded in; a method that has it can be merged. */
  readonly merge?: (site: LinearSite, weight: Tensor2D, own: Own) => Tensor2D
  /** How adapters of this method are written in HF PEFT's files. */
  readonly wire: Wire
}

/** One method's part of HF PEFT's file format; the only place where that format's words are used. */
export interface Wire {
  /** `peft_type` in adapter_config.json. */
  readonly type: string
  /** The method's fields of adapter_config.json; `targets` are the module names it was aimed at. */
  readonly config: (targets: readonly string[] | string) => Readonly<Record<string, unknown>>
  /** What follows a site's name in a tensor's key, by the method's short name. */
  readonly suffixes: Readonly<Record<string, string>>
}
