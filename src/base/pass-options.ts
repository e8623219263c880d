// What a model says of a place beside its name and sizes: the options of the verbs of `Pass`.

import type { Tensor } from '@tensorflow/tfjs-core'
import type { Kernel, ParameterSpec, ResidualSite, Role } from './sites.ts'

/** What a model says of a product besides its name and sizes. */
export interface LinearOptions {
  /** What the product is for, by which methods choose it. @default none */
  readonly role?: Role
  /** It has a bias. @default true */
  readonly bias?: boolean
  /** Checkpoints hold the weight as (in, out). @default false */
  readonly transposed?: boolean
  /** The rows are patches of these axes, and the product is a convolution in checkpoints. @default none */
  readonly kernel?: Kernel
}

/** What a model says of a product with experts. */
export interface ExpertsOptions extends Pick<LinearOptions, 'transposed'>, Pick<ParameterSpec, 'pieces'> {
  /** Experts. */
  readonly count: number
  /** Each has a bias. @default false */
  readonly bias?: boolean
}

/** What a model says of an attention. */
export interface AttentionOptions {
  /** Keys and values come from another sequence. @default false */
  readonly cross?: boolean
  /** See `AttentionCall`. @default all keys */
  readonly window?: number | undefined
  /** Name of the attention, in this pass and before, whose keys and values these are: what joined them there is here too. @default its own */
  readonly keysOf?: string | undefined
}

/** What a model says of a place where a branch meets the residual stream. */
export interface ResidualOptions {
  readonly part: ResidualSite['part']
  /** Name of the norm before the branch. @default none */
  readonly preNorm?: string
  /** Name of the norm after the sum. @default none */
  readonly postNorm?: string
  /** Before the branch. @default 'layer' */
  readonly norm?: 'layer' | 'rms' | 'zero-centred rms'
  /** Of layer norms. @default true */
  readonly bias?: boolean
  readonly epsilon: number
  /** What the branch has made for later parts of the layers: it is not gone when the branch ends. @default nothing */
  readonly leaves?: () => readonly Tensor[]
}

/** What a model says of the place where its sequence of embeddings begins. */
export interface SequenceOptions {
  /** Most tokens the model's positions allow. */
  readonly maxLength: number
  /** The embedding that the rows were looked up in. @default none: they were computed */
  readonly table?: string
  /** Other embeddings with a row for each word. @default none */
  readonly besides?: readonly string[]
}

/** What a model says of its layers. */
export interface LayersOptions {
  /** Whether a layer puts tensors into the context for those above it: it does not run again in the backward pass. @default none does */
  readonly leaves?: (index: number) => boolean
}
