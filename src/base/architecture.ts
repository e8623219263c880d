import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Input } from './batch.ts'
import type { Pass } from './pass.ts'
import type { Sequence } from './sites.ts'

/** config.json as it is on the Hub. */
export type ConfigJson = Readonly<Record<string, unknown>>

/** What a loaded model is for; decides its head. */
export type Task =
  | 'feature-extraction'
  | 'sequence-classification'
  | 'token-classification'
  | 'question-answering'
  | 'masked-lm'
  | 'causal-lm'

/** How the tokens of a row become one vector: the model's own way, or the mean over the real tokens. */
export type Pooling = 'pooler' | 'mean'

/** What an encoder hands to a head. */
export interface Encoded {
  readonly rows: Tensor2D // (B·T, D), virtual rows included
  readonly sequence: Omit<Sequence, 'rows'>
}

export interface HeadOptions {
  readonly labels: number
  readonly pooling: Pooling
}

/** The last part of a model, for one task. */
export interface Head {
  /** Modules that a checkpoint of the bare encoder lacks: made new, and trained with every adapter. */
  readonly modules: readonly string[]
  /** (B, C) for one class a row, (B, T, C) for one a token. */
  readonly run: (pass: Pass, encoded: Encoded) => Tensor
  /** The loss from those logits and a batch's labels. @default the cross entropy of each row, or token */
  readonly loss?: Loss
}

/** @throws InputError when labels are missing, of the wrong number or out of range */
export type Loss = (logits: Tensor, labels: Int32Array | undefined) => Scalar

/** A model family read from one config.json; the whole of what a file in models/ provides. */
export interface Architecture {
  readonly vocabSize: number
  readonly maxLength: number
  readonly hiddenSize: number
  /** Standard deviation of newly made weights. */
  readonly initializerRange: number
  /** The encoder's name inside a model with a head, as in the checkpoint keys of the Hub: 'bert'. */
  readonly baseName: string
  readonly encode: (pass: Pass, input: Input) => Encoded
  readonly heads: Readonly<Partial<Record<Task, (options: HeadOptions) => Head>>>
  /** The Hub's class for a task, for the config.json of a saved model. */
  readonly classNames: Readonly<Partial<Record<Task, string>>>
  readonly keys: CheckpointKeys
}

/** How keys in checkpoints of this family, old ones too, differ from the names the model uses. */
export interface CheckpointKeys {
  readonly rename: readonly (readonly [pattern: RegExp, replacement: string])[]
  /** Modules of the encoder that not every task uses; they are left in the file, and copied when the model is saved. */
  readonly spare: readonly string[]
  /** Keys that a checkpoint may hold and that are of no use: buffers, and the heads of other tasks. */
  readonly dropped: readonly RegExp[]
}
