// The places of a model where a method can step in. Every kind has one contract for all models; the names are the
// checkpoint's own module paths, so a site's name is also the name of its weight and of its key in an adapter file.

import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { PackedRows } from './packed-rows.ts'

/** What a weight product does in its layer, in the field's usual terms. */
export type Role = 'query' | 'key' | 'value' | 'qkv' | 'attention-output' | 'gate' | 'up' | 'gate-up' | 'down' | 'router' | 'head'

/** One of several stacks of layers that a model has. */
export type Tower = 'encoder' | 'decoder' | 'text' | 'vision'

interface InTower {
  /** Where the model has several. @default none */
  readonly tower?: Tower
}

/** A weight product y = x Wᵀ + b. */
export interface LinearSite extends InTower {
  readonly kind: 'linear'
  readonly name: string
  readonly inSize: number
  readonly outSize: number
  readonly role: Role | undefined
  /** Names of its parameters. */
  readonly weight: string
  readonly bias: string | undefined
  /** See `ParameterSpec`. */
  readonly kernel?: Kernel
}

/** The axes of one row of a convolution's weight: channels, height and width. */
export type Kernel = readonly [channels: number, height: number, width: number]

/** A product of each row with the matrix of its expert: the weight is a stack of them. */
export interface ExpertsSite extends InTower {
  readonly kind: 'experts'
  readonly name: string
  /** Experts. */
  readonly count: number
  readonly inSize: number
  readonly outSize: number
  /** Its parameter (count, out, in), which has the site's own name. */
  readonly weight: string
  /** (count, out) */
  readonly bias: string | undefined
}

/** A table look-up. */
export interface EmbeddingSite extends InTower {
  readonly kind: 'embedding'
  readonly name: string
  readonly count: number
  readonly size: number
  readonly weight: string
}

/** A product of queries, keys and values, after projections and rotation and before the scores. */
export interface AttentionSite extends InTower {
  readonly kind: 'attention'
  readonly name: string
  readonly heads: number
  readonly kvHeads: number
  readonly headSize: number
  /** Keys and values come from another sequence. */
  readonly cross: boolean
  /** The attention whose keys and values it takes, with what a method puts there. @default it has its own */
  readonly keysOf?: string
}

/** The point where the branch of a sublayer rejoins the stream. */
export interface ResidualSite extends InTower {
  readonly kind: 'residual'
  readonly name: string
  readonly size: number
  readonly part: 'attention' | 'cross-attention' | 'feed-forward'
}

/** The token rows, or those of a picture, after their embedding and before positions and the first layer. */
export interface SequenceSite extends InTower {
  readonly kind: 'sequence'
  readonly name: string
  readonly size: number
  /** Most tokens the model's positions allow. */
  readonly maxLength: number
  /** Full name of the table the rows were looked up in; undefined where they were computed. */
  readonly table: string | undefined
  /** Other tables with a row for each word. @default none */
  readonly besides?: readonly string[]
}

/** A place of a model where a method can step in, told apart by `kind`. */
export type Site = LinearSite | ExpertsSite | EmbeddingSite | AttentionSite | ResidualSite | SequenceSite

/** Rows by the experts that take them, one expert's behind the other's. */
export interface Grouped {
  readonly rows: Tensor2D // (S, D)
  /** The expert of each row, int32 (S), ascending. */
  readonly experts: Tensor1D
}

/** The four tensors that meet at a residual site, each (B·T, D). */
export interface Join {
  /** What the sublayer was given: the stream, normed where the model norms first. */
  readonly input: Tensor2D
  /** What the sublayer gave. */
  readonly branch: Tensor2D
  readonly stream: Tensor2D
  /** The norm that follows the sum, where the model has one there. */
  readonly norm: ((x: Tensor2D) => Tensor2D) | undefined
}

/** Token rows on their way into the first layer. */
export interface Sequence {
  readonly rows: Tensor2D // (B·T, D)
  readonly batch: number
  readonly length: number
  /** Rows of different lengths stand one behind the other, as those of one sample, without padding. @default rows of one length */
  readonly packed?: PackedRows
  /** 1 for a real token, 0 for padding: (B, T), or (B, K) where rows of earlier passes come before these. */
  readonly mask: Tensor2D
  /** How many 1 each row of the mask has: known without a look at the tensor. */
  readonly lengths: readonly number[]
  /** How many rows of each sample, at its front, stand for no token of the text. */
  readonly virtual: number
  /**
   * Whether virtual rows and padding are tokens like others where a class is read off the sequence and where positions are
   * counted; else both go by the text's own tokens. @default false
   */
  readonly countsAll?: boolean
  /** The position of each row of the text, (B), where that is known already. @default they are counted */
  readonly positions?: Tensor1D
  /** The position of the first row: not 0 where something stands before the rows that is not among them. */
  readonly offset: number
}

/** The layer a site belongs to in its tower: the first number in its path; undefined outside the layers. */
export function layerOf(name: string): number | undefined {
  const segment = name.split('.').find((part) => /^\d+$/.test(part))
  return segment === undefined ? undefined : Number(segment)
}

/** A parameter a model needs, and how it is made when a new head is added. */
export interface ParameterSpec {
  readonly shape: readonly number[]
  readonly init: 'zeros' | 'ones' | 'normal' | number
  /** What it is to the module it belongs to. */
  readonly part: 'weight' | 'bias' | 'norm' | 'embedding'
  /** Checkpoints hold it with the last two axes the other way round. @default false */
  readonly transposed?: boolean
  /**
   * Checkpoints hold each row of it with these axes: it is a convolution whose steps are as long as its kernel, which is a product over
   * patches. @default as one axis
   */
  readonly kernel?: Kernel
  /**
   * Checkpoints hold a stack of experts as matrices of their own, `<module>.<expert>.<piece>.weight`: of each expert these, one below
   * the other. @default as one tensor
   */
  readonly pieces?: readonly string[]
  /** A checkpoint may be without it: it then is as `init` says. @default false */
  readonly optional?: boolean
  /** Its columns are the words: a vocabulary that grows has zeros there for the new ones. @default false */
  readonly words?: boolean
  /** The tower that it was first used in. @default none */
  readonly tower?: Tower
}

/** Notes what a model asks for. */
export interface Tracer {
  param(name: string, spec: ParameterSpec): void
  site(site: Site): void
}

/** Notes what is asked for as that of a tower. */
export function inTower(tracer: Tracer, tower: Tower): Tracer {
  return {
    param: (name, spec) => { tracer.param(name, { ...spec, tower }) },
    site: (site) => { tracer.site({ ...site, tower }) },
  }
}

/** A parameter of the model by full name, in float32; to be read inside a tidy and not to be disposed. */
export type ParamOf = (name: string) => Tensor
