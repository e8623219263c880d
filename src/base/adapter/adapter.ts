import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import type { Classes } from './classes.ts'
import type { Method, SiteTensors } from '../method.ts'
import type { Model } from '../model.ts'
import type { Site } from '../sites.ts'
import type { Ties } from '../ties.ts'
import type { FormatContext } from './file-format.ts'
import type { Summary } from './summary.ts'

/** What came with an adapter's files besides its tensors. */
export interface Origin {
  /** What a reader should know: settings that nobody here knows, or that could not be kept to the letter. */
  readonly warnings: readonly string[]
  /** Settings that this library does not know; they are written again when the adapter is saved. */
  readonly unknown: Readonly<Record<string, unknown>>
}

/** A method plugged into a model: the tensors it trains and the sites they act at. */
export interface Adapter extends Classes {
  readonly name: string
  readonly model: Model
  readonly method: Method
  readonly sites: readonly Site[]
  /** Every trained tensor: `<site>.<short name>`, a shared one's short name, or the name of the parameter it is a copy of. */
  readonly trainable: Readonly<Record<string, Variable>>
  /** Tensors that belong to the adapter and stay as they are, named likewise. */
  readonly frozen: Readonly<Record<string, Tensor>>
  /** Names in `trainable` that are copies of the model's parameters. */
  readonly copies: readonly string[]
  /** Parameters that are one tensor with another and have one copy with it. */
  readonly ties: Ties
  /** Names in `frozen` of parameters of the model that the adapter brings in another size: tables of a resized vocabulary. */
  readonly brought: readonly string[]
  /** Words of its vocabulary. */
  readonly words: number
  /** What its files may depend on. */
  readonly context: FormatContext
  readonly enabled: boolean
  /** Layers it takes no part in for now; see `skipLayers`. */
  readonly skipped: readonly number[]
  /** Empty where the adapter was made here. */
  readonly origin: Origin
  /** How many parameters are trained, of how many, and where. */
  summary(): Summary
  /**
   * Writes adapter_config.json, adapter_model.safetensors and a model card, as `loadAdapter` and PEFT's
   * `PeftModel.from_pretrained` read them; a method that PEFT does not have in the files of AdapterHub's `adapters`.
   * All files change at one moment: a process that is killed meanwhile leaves the old ones or the new ones, for every reader.
   * What else is in the folder stays, a model card too.
   *
   * @throws CheckpointError when the files cannot be written, InputError when the adapter was detached; the old files are there then
   * @example await adapter.save('spam-lora')
   */
  save(folder: string): Promise<void>
}

/** An adapter as the functions see it that change it. */
export interface Attachment extends Adapter {
  name: string
  skipped: readonly number[]
  readonly tensors: ReadonlyMap<Site, SiteTensors>
}
