import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Batch } from './batch.ts'
import type { Pass } from './pass.ts'
import type { Range, SectionReader } from './settings.ts'
import type { Sequence, Tower } from './sites.ts'
import type { PictureLimits } from './pixel-input.ts'
import type { Limits } from './token-input.ts'
import type { Loss, LossParts, TokenLabels } from './tasks/losses.ts'
import type { SimilarityLoss } from './tasks/similarity.ts'
import type { ProblemType, Task } from './tasks/task.ts'

export type { ProblemType, Task }

/** config.json as it is on the Hub. */
export type ConfigJson = Readonly<Record<string, unknown>>

/**
 * How the tokens of a row become one vector: for classification the model's own way or the mean over the real tokens; for
 * sentence embedding that mean, the first token, or the last real one; for image embedding the model's own way, that mean or the first token.
 */
export type Pooling = 'pooler' | 'mean' | 'cls' | 'last'

/** What an encoder hands to a head. */
export interface Encoded {
  readonly rows: Tensor2D // (B·T, D), virtual rows included
  readonly sequence: Omit<Sequence, 'rows'>
  /** What is added to the mean loss of a language model beside the task's own. @default nothing */
  readonly balance?: Scalar
  /** What other towers give beside it, of a model of several. @default none */
  readonly towers?: Readonly<Partial<Record<Tower, Encoded>>>
}

/** What a task's head is made for. */
export interface HeadOptions {
  readonly labels: number
  readonly pooling: Pooling
  /** Sentence embeddings have length 1. @default false */
  readonly normalize?: boolean
}

/** The last part of a model, for one task. */
export interface Head {
  /** Modules that a checkpoint of the bare encoder lacks: made new, and trained with every adapter. */
  readonly modules: readonly string[]
  /** (B, C) for one class a row, (B, T, C) for one a token, (B, D) for an embedding. */
  readonly run: (pass: Pass, encoded: Encoded, batch: Batch) => Tensor
  /** Where it joins pictures and texts: two lists of vectors, of a picture and of a text each, the products of which say how well they fit. */
  readonly fit?: (pass: Pass, images: Tensor2D, texts: Tensor2D) => readonly [images: Tensor2D, texts: Tensor2D]
  /** In place of the task's. */
  readonly loss?: Loss
  /** Where it ends in a vocabulary: the loss of what `run` gives, without having that. */
  readonly vocabularyLoss?: (pass: Pass, encoded: Encoded, labels: Batch['labels'], options: LossOptions & { readonly held: TokenLabels }) => LossParts
  /** Numbers of an embedding, where those are not as many as the model is wide. */
  readonly width?: number
  /** How it makes sentence embeddings, where it does. */
  readonly embedding?: Required<Pick<HeadOptions, 'pooling' | 'normalize'>>
}

/** How the classes count in a loss, as in PyTorch's `cross_entropy`. */
export interface LossOptions {
  /** Share of each target that is spread over all classes (arXiv:1512.00567). @default 0 */
  readonly labelSmoothing?: number
  /** How much each class counts; the mean is over the weights of the labels. @default 1 for each */
  readonly classWeights?: ArrayLike<number>
  /**
   * A loss of the library's for sentence embedding, or one's own from what the model gives for a batch: a mean over its rows, or a sum
   * with its weight. @default the task's
   */
  readonly loss?: OwnLoss | SimilarityLoss
}

/** See `LossOptions.loss`. Written in operations of tfjs, which has to know their gradients; it is called again in the backward pass. */
export type OwnLoss = (output: Tensor, batch: Batch) => Scalar | LossParts

/** A model family: the whole of what a file in models/ provides. Every setting of its class in transformers is read, off or idle. */
export interface Family {
  /** What the settings describe; what is wrong with them goes to the reader. */
  readonly read: (read: SectionReader, bounds: Bounds, asked: ReadOptions) => Architecture
  /**
   * Settings that are refused where they ask for something, and the values with which they ask for nothing; undefined for one that
   * other families refuse and this one reads.
   */
  readonly off: Readonly<Record<string, readonly unknown[] | undefined>>
  /** Settings that change no number. */
  readonly idle: readonly string[]
}

/** How a model is to be read, where its settings leave a choice. */
export interface ReadOptions {
  /** Pictures may have other sizes than the table of positions is for. @default false */
  readonly interpolatePositions?: boolean
}

/** How large a model can be: by a checkpoint's own tensors, where there is one. */
export interface Bounds {
  /** Of a table or a product, in any direction. */
  readonly size: Range & { readonly max: number }
  readonly layers: Range
}

/** What one config.json describes. */
export interface Architecture {
  /** What its token ids must keep to; none where it takes none. */
  readonly text?: Limits
  /** What its pictures must keep to; none where it takes none. */
  readonly pictures?: PictureLimits
  /** Of an encoder-decoder: the token that each text it writes begins with. */
  readonly decoderStart?: number
  /** A small batch that it takes: what the trace runs on. */
  readonly example: () => Batch
  /** Everything that is wrong with a batch. @param limits what token ids must keep to now, see `Model.limits`. Default: `text` */
  readonly check: (batch: Batch, limits?: Limits) => string[]
  /** Its layers on a batch that it has checked. */
  readonly encode: (pass: Pass, batch: Batch) => Encoded
  readonly hiddenSize: number
  /** Standard deviation of newly made weights. */
  readonly initializerRange: number
  /** The encoder's name inside a model with a head, as in the checkpoint keys of the Hub: 'bert'. */
  readonly baseName: string
  readonly heads: Readonly<Partial<Record<Task, (options: HeadOptions) => Head>>>
  /** What transformers' classes begin with: 'Bert'. */
  readonly className: string
  /** Its classes that are not called as those of other families. @default none */
  readonly classNames?: Readonly<Partial<Record<Task, string>>>
  readonly keys: CheckpointKeys
  /** Weights that config.json makes one tensor with another, both by full name: the head's with the table of the words. */
  readonly ties: Readonly<Record<string, string>>
  /** Modules whose weights are never quantised, as transformers has it of the family. @default none */
  readonly keptWide?: RegExp
  /** Of a decoder in LLaMA's or GPT-2's words: what its file in models/ has read, for those who write it in the words of other programs. */
  readonly decoder?: object
}

/** How keys in checkpoints of this family, old ones too, differ from the names the model uses. */
export interface CheckpointKeys {
  readonly rename: readonly (readonly [pattern: RegExp, replacement: string])[]
  /** How keys are called in what is saved, where not as parameters are. @default as those */
  readonly written?: readonly (readonly [pattern: RegExp, replacement: string])[]
  /** Other keys of some parameters, which count where the parameter's own is not in the file. @default none */
  readonly alsoCalled?: Readonly<Record<string, string>>
  /**
   * Products that checkpoints hold as one, the rows of each below those of the one before: its name to those of the products, as ends of
   * module paths. @default none
   */
  readonly joined?: Readonly<Record<string, readonly string[]>>
  /** Modules and parameters of the encoder that not every task uses; they are left in the file, and copied when the model is saved. */
  readonly unused: readonly string[]
  /** Their products in transformers' encoder without a head, each with its outputs. @default none */
  readonly unusedProducts?: Readonly<Record<string, number>>
  /** Keys that a checkpoint may hold and that are of no use: buffers, and the heads of other tasks. */
  readonly ignored: readonly RegExp[]
}
