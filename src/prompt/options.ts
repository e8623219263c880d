import type { PromptPooling } from './virtual-rows.ts'

/** Options of prompt tuning. */
export interface PromptOptions {
  /** Rows in front of the text. @default 20, or as many as `init` has ids */
  readonly virtualTokens?: number
  /**
   * Start of the rows: N(0, 1); embeddings of tokens drawn from the vocabulary; or those of a text, repeated or cut to
   * the number of rows. @default 'normal'
   */
  readonly init?: 'normal' | 'vocabulary' | { readonly ids: ArrayLike<number> }
  /**
   * What a class for a sequence is read off: the text's own tokens, or as in HF PEFT all rows, of an encoder the first virtual one
   * and of a decoder the last, padding too. Files of PEFT have `'all'`. @default 'text'
   */
  readonly pooling?: PromptPooling
}

/** Prompt tuning's options with the defaults filled in. */
export type PromptConfig = Required<PromptOptions>

/** Options of P-tuning. */
export interface PTuningOptions {
  /** Rows in front of the text. @default 20 */
  readonly virtualTokens?: number
  /** The network. @default 'mlp' */
  readonly encoder?: 'mlp' | 'lstm'
  /** Inner width of the network. @default the width of the model */
  readonly hiddenSize?: number
  /** Layers of the LSTM. @default 2 */
  readonly layers?: number
  /** As for prompt tuning. @default 'text' */
  readonly pooling?: PromptPooling
}

/** P-tuning's options with the defaults filled in. */
export type PTuningConfig = Required<Omit<PTuningOptions, 'hiddenSize'>> & Pick<PTuningOptions, 'hiddenSize'>
