// What a pass through a model runs on, and what methods have put into it.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core'
import type { FrozenWeight } from './engine/frozen-weight.ts'
import type { KvCache } from './generate/cache.ts'
import type { KeptPass, Places } from './kept-rows.ts'
import type { Pass } from './pass.ts'
import type { Grouped, Join, Sequence, Tracer } from './sites.ts'
import type { AttentionCall } from './ops/attention-call.ts'

/** Everything one forward pass runs on. */
export interface PassState {
  /** A parameter by its full name, or an adapter's tensor in its place. */
  readonly param: (name: string) => FrozenWeight | Tensor
  readonly handlers: Handlers
  /** Dropout is on. */
  readonly training: boolean
  /** Decides every random number of the pass, together with the place it is drawn at. */
  readonly seed: number
  /** How often the modules below were used before in this pass. @default 0 */
  readonly turn?: number
  /** Keys and values of earlier passes, which this one goes on from and adds to. */
  readonly cache?: KvCache | undefined
  /** Layers but the last keep their input alone for the backward pass, and run again in it. @default false */
  readonly gradientCheckpointing?: boolean
  /** Padding is left out of the layers, where rows have different lengths and the model's layers do not need it. @default false */
  readonly packs?: boolean
  /** The borders of rows that stand one behind the other. @default rows of one length */
  readonly borders?: readonly number[]
  /** The tokens of padded rows. @default rows have no padding */
  readonly places?: Places
  /** Where what layers give for rows is kept. @default nowhere */
  readonly kept?: KeptPass | undefined
  /** The model draws the dropout of its settings; methods draw theirs. @default true */
  readonly ownDropout?: boolean
  /** Present while the model is being traced: places are noted and nothing is computed. */
  readonly tracer?: Tracer
}

/** Wraps the plain behaviour of a site; `next` is that behaviour or the method attached before. */
export type Around<In, Out> = (input: In, next: (input: In) => Out, pass: Pass) => Out

/** What is attached, by kind and site name. */
export interface Handlers {
  readonly linear: ReadonlyMap<string, Around<Tensor2D, Tensor2D>>
  readonly experts: ReadonlyMap<string, Around<Grouped, Tensor2D>>
  readonly embedding: ReadonlyMap<string, Around<Tensor1D, Tensor2D>>
  readonly attention: ReadonlyMap<string, Around<AttentionCall, Tensor4D>>
  readonly residual: ReadonlyMap<string, Around<Join, Tensor2D>>
  readonly sequence: ReadonlyMap<string, Around<Sequence, Sequence>>
}
