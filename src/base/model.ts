import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Adapter, Attachment } from './adapter/adapter.ts'
import type { Classes } from './adapter/classes.ts'
import type { Merged } from './adapter/merged.ts'
import type { Architecture, ConfigJson, Encoded, Head, LossOptions, Pooling } from './architecture.ts'
import { checkBatch, type Batch } from './batch.ts'
import { keepsExamplesApart } from './autodiff/tape.ts'
import type { FrozenWeight } from './engine/frozen-weight.ts'
import type { KvCache } from './generate/cache.ts'
import type { GenerationFile } from './checkpoint/generation-file.ts'
import { lastToken } from './tasks/heads.ts'
import { add, scale } from './ops/algebra.ts'
import { keptPass } from './kept-rows.ts'
import { storedOf } from './parameters.ts'
import { Pass, type Handlers } from './pass.ts'
import type { Site, ParameterSpec } from './sites.ts'
import { NO_HANDLERS } from './trace.ts'
import { NOTHING_COUNTS, type LossParts } from './tasks/losses.ts'
import { isVector, lossOf, taskRecord, type ProblemType, type Task, type TaskRecord } from './tasks/task.ts'
import type { Ties } from './ties.ts'
import type { Limits } from './token-input.ts'
import { checkNames, type Names } from './options.ts'

/** What attached methods put into a forward pass: steps at sites, and trained copies of parameters. */
export interface Wiring {
  readonly handlers: Handlers
  readonly replacements: ReadonlyMap<string, Tensor>
  /** Words, where an adapter has other tables than the model. */
  readonly vocabSize?: number
  /** What the outputs are, where an adapter has a head of its own. */
  readonly classes?: Classes
  /** A method needs padded rows. @default false */
  readonly seesPadding?: boolean
}

/** What is attached to a model. */
export interface Attached {
  /** In the order they were attached. */
  readonly adapters: readonly Attachment[]
  /** Those of them that take part in a pass. */
  readonly enabled: readonly Attachment[]
  /** What these come to. */
  readonly wiring: Wiring
  /** How many trainings run on the model: what is attached stays as it is meanwhile. */
  readonly trainings: number
}

/** How one pass through a model is run. */
export interface ForwardOptions {
  /** Dropout is on. @default false */
  readonly training?: boolean
  /** Decides the dropout masks. @default 0 */
  readonly seed?: number
  /**
   * Layers but the last keep only their input for the backward pass, and run a second time in it: the same gradients in
   * less memory and more time. Chen et al. 2016, arXiv:1604.06174. @default false
   */
  readonly gradientCheckpointing?: boolean
  /** Where keys and values are kept from pass to pass: the batch goes on from them, and only the last token gets logits. @default none */
  readonly cache?: KvCache
}

const FORWARD_OPTIONS: Names<ForwardOptions> = { training: true, seed: true, gradientCheckpointing: true, cache: true }

/** Writes models and their adapters into folders. */
export interface ModelFiles {
  readonly saveModel: (model: Model, folder: string) => Promise<void>
  readonly saveAdapter: (adapter: Adapter, folder: string) => Promise<void>
}

/** A vocabulary that is another than that of a model's files. */
export interface OwnVocabulary {
  /** Writes the tokenizer that goes with it. @default that of the files does */
  readonly saveTokenizer?: (folder: string) => Promise<void>
}

/** All that a model is made of, for `Model`'s constructor. */
export interface ModelParts extends Classes {
  readonly source: string
  /** Folder the model was read from. */
  readonly folder: string
  /** Files of that folder that go along when the model is saved: the tokenizer's, and the settings of generation. */
  readonly companions: readonly string[]
  readonly config: ConfigJson
  /** What its files say of generation. */
  readonly generation: GenerationFile
  readonly task: Task
  /** How a row becomes one vector, where the task has one for each row. */
  readonly pooling?: Pooling
  readonly architecture: Architecture
  readonly head: Head
  readonly sites: readonly Site[]
  /** What each parameter is. */
  readonly specs: ReadonlyMap<string, ParameterSpec>
  readonly params: ReadonlyMap<string, FrozenWeight>
  /** Head parameters that the checkpoint did not have and that were made new. */
  readonly initialized: readonly string[]
  /** Parameters the task does not use, by name, and their keys in the checkpoint, where they are left. */
  readonly unused: ReadonlyMap<string, string>
  /** Keys of the checkpoint that are of no use here. */
  readonly ignored: readonly string[]
  /** Parameters that are one tensor with another, which is the one in `params`. */
  readonly ties: Ties
  /** Where its vocabulary is another than that of its files. */
  readonly grown?: OwnVocabulary
  /** Whether passes of a training draw the dropout that config.json asks for; methods draw theirs. @default true */
  readonly dropout?: boolean
  /** Adapters in its weights, as far as they are known. @default none */
  readonly merged?: readonly Merged[]
  /** What a reader should know of how the files were read. */
  readonly notes: readonly string[]
  /** Writes it and what is attached to it; a model without it cannot be saved. */
  readonly files?: ModelFiles
}

const NOTHING_ATTACHED: Attached = { adapters: [], enabled: [], wiring: { handlers: NO_HANDLERS, replacements: new Map() }, trainings: 0 }

/** A frozen model. Its parameters never change; what is attached to it computes beside them. */
export class Model {
  readonly parts: ModelParts
  /** The model that this is a view of, see `withAdapters`; undefined of a model by itself. */
  readonly viewOf: Model | undefined
  /** Set by `attach` and its relatives alone. */
  attached: Attached

  constructor(parts: ModelParts, { viewOf, attached = NOTHING_ATTACHED }: Partial<Pick<Model, 'viewOf' | 'attached'>> = {}) {
    this.parts = parts
    this.viewOf = viewOf
    this.attached = attached
  }

  /** Names of the classes now, in order: an enabled adapter may have a head and classes of its own. None where the task has none. */
  get labels(): readonly string[] {
    return (this.attached.wiring.classes ?? this.parts).labels
  }

  /** Of sequence classification: what its outputs are now. @default 'single_label_classification' */
  get problem(): ProblemType | undefined {
    return (this.attached.wiring.classes ?? this.parts).problem
  }

  /** What its task is. */
  get record(): TaskRecord {
    const record = taskRecord(this.parts.task, this.problem)
    const { loss } = this.parts.head
    return loss === undefined ? record : { ...record, loss }
  }

  /** What token ids must keep to now; an adapter may bring a larger vocabulary. Undefined where the model takes none. */
  get limits(): Limits | undefined {
    const { text } = this.parts.architecture
    return text === undefined ? undefined : { ...text, vocabSize: this.attached.wiring.vocabSize ?? text.vocabSize }
  }

  /**
   * Runs the model.
   *
   * @returns sequence classification (B, C); token classification (B, T, C); question answering (B, T, 2), scores of a
   *   token as the first and as the last of the answer; masked and causal LM (B, T, V); features (B, T, D); sentence
   *   embedding (B, D). The caller disposes it.
   * @throws InputError when the batch does not fit the model
   * @example const logits = model.forward({ ids: Int32Array.of(101, 7592, 102), batch: 1, length: 3 })
   */
  forward(batch: Batch, options: ForwardOptions = {}): Tensor {
    checkNames('forward', options, FORWARD_OPTIONS)
    return outputOf(this, batch, options, !isVector(this.parts.task))
  }

  /**
   * The loss of the task against `batch.labels`: the mean cross entropy; of a regression the mean squared error, of several
   * labels a row the mean binary cross entropy, with B · C numbers as labels. Differentiable. What is labelled −100 does not
   * count. A causal LM's labels are the ids themselves, (B, T): each token is held against the prediction before it.
   * Question answering takes two for each row, (B, 2): the first and the last token of the answer. Sentence embedding
   * takes the rows of A texts and behind them others to choose from: each label is the place of a text's own among them.
   *
   * @throws InputError when labels are missing, of the wrong number or out of range, when none of them counts, or the options do not
   *   fit them
   * @example const { value, grads } = valueAndGrads(() => model.loss(batch, { training: true, seed: step }), adapter.trainable)
   */
  loss(batch: Batch, options: ForwardOptions & LossOptions = {}): Scalar {
    return tf.tidy(() => {
      const { sum, weight } = this.lossParts(batch, options)
      if (weight === 0) throw new InputError(NOTHING_COUNTS)
      return scale(sum, 1 / weight)
    })
  }

  /**
   * The loss as a sum and what it is divided by, so that several batches are divided once, at the end. Differentiable.
   *
   * @throws InputError as `loss`
   * @example const { sum, weight } = model.lossParts(batch)
   */
  lossParts(batch: Batch, options: ForwardOptions & LossOptions = {}): LossParts {
    checkNames('loss', options, { ...FORWARD_OPTIONS, labelSmoothing: true, classWeights: true, loss: true })
    let weight = 0
    const sum = tf.tidy(() => {
      const { parts, balance } = taskLoss(this, batch, options)
      weight = parts.weight
      return balance === undefined || this.record.language !== true ? parts.sum : add(parts.sum, scale(balance, weight))
    })
    return { sum, weight }
  }

  /**
   * Saves the model as the Hub keeps models: config.json, model.safetensors and the tokenizer's files. `loadModel` and
   * `AutoModel….from_pretrained` read the folder. What is attached is not part of it, and a warning says so: see `merge`. All files change at one moment:
   * a process that is killed meanwhile leaves the old ones or the new ones, for every reader. The folder may be the one that the
   * model was loaded from. Weights, pooling and tokenizer files of another model that it held go; what else is in it stays.
   *
   * @throws CheckpointError when the files cannot be written, or those of the tokenizer are not there any more; InputError when
   *   the model was disposed; the old files are there then
   * @example await merge(model, adapter).save('spam-model')
   */
  async save(folder: string): Promise<void> {
    const [adapter] = this.attached.enabled
    if (adapter !== undefined) {
      console.warn(`save: this saves the model without what is attached to it, '${adapter.name}'. The adapter by itself: adapter.save(folder); ` +
        'both in one: merge(model, adapter).save(folder).')
    }
    await filesOf(this, 'save').saveModel(this, folder)
  }

  /**
   * Frees every parameter. Adapters are disposed by themselves.
   *
   * @throws InputError while a training runs on it
   */
  dispose(): void {
    checkNotTrained(this, 'dispose')
    for (const weight of this.parts.params.values()) weight.dispose()
    this.attached = NOTHING_ATTACHED
  }
}

/** What the head gives for a batch. @param ofPadding the numbers of padding count too. Default: they may be any */
export function outputOf(model: Model, batch: Batch, options: ForwardOptions = {}, ofPadding = false): Tensor {
  const whole = (): Tensor => tf.tidy(() => run(model, batch, options, ofPadding, (pass, encoded) => model.parts.head.run(pass, encoded, batch)).output)
  const { cache, training = false } = options
  const ids = cache === undefined || training ? undefined : stepOf(model, batch)
  if (cache === undefined || ids === undefined) return whole()
  const { parts, attached: { wiring, enabled }, limits } = model
  checkAlive(model, 'forward')
  checkBatch(parts.architecture, batch, limits)
  return cache.step(ids, {
    same: [parts, wiring],
    tensors: () => enabled.flatMap(({ trainable, frozen }) => Object.values<Tensor>({ ...trainable, ...frozen })),
    most: Math.min(limits?.maxLength ?? Infinity, limits?.steadyTo ?? Infinity),
  }, whole)
}

/** The newest token of each row, of a batch that is nothing else. */
function stepOf({ parts: { architecture: { decoderStart } } }: Model, { ids, mask, decoderIds, decoderMask, typeIds, batch, length }: Batch): Int32Array | undefined {
  const [newest, hides] = decoderStart === undefined ? [length === 1 ? ids : undefined, mask] : [decoderIds, decoderMask]
  return newest?.length === batch && hides === undefined && typeIds === undefined ? newest : undefined
}

/** What the layers give for a batch, without a head. */
export function layersOf(model: Model, batch: Batch, options: ForwardOptions): Tensor {
  return tf.tidy(() => run(model, batch, options, false, (_, encoded) => encoded.rows).output)
}

/**
 * The loss of a task, and what the model adds to the mean loss of a language. Where words are the task's outputs, their logits are not made
 * as a whole, unless a loss of one's own takes them.
 */
export function taskLoss(model: Model, batch: Batch, options: ForwardOptions & LossOptions): { readonly parts: LossParts; readonly balance: Scalar | undefined } {
  const { record, parts: { head, task } } = model
  const { held } = record
  let weight = 0
  const ofPadding = options.loss !== undefined && !isVector(task)
  const { output, balance } = run(model, batch, options, ofPadding, (pass, encoded) => {
    const parts = head.vocabularyLoss === undefined || held === undefined || options.loss !== undefined
      ? lossOf(record, head.run(pass, encoded, batch), batch, options)
      : head.vocabularyLoss(pass, encoded, batch.labels, { ...options, held })
    weight = parts.weight
    return parts.sum
  })
  return { parts: { sum: output as Scalar, weight }, balance }
}

/** @param ofPadding what the layers give for padding counts @param end makes what is asked for of what they give */
function run(
  model: Model, batch: Batch, options: ForwardOptions, ofPadding: boolean, end: (pass: Pass, encoded: Encoded) => Tensor,
): { readonly output: Tensor; readonly balance: Scalar | undefined } {
  const { training = false, seed = 0, gradientCheckpointing = false, cache } = options
  checkAlive(model, 'forward')
  const { architecture } = model.parts
  const { handlers, replacements, seesPadding = false } = model.attached.wiring
  const packs = (cache === undefined ? !ofPadding : cache.takesPacked) && !seesPadding && model.record.seesPadding !== true && !keepsExamplesApart()
  checkBatch(architecture, batch, model.limits)
  const param = (name: string): FrozenWeight | Tensor => replacements.get(name) ?? storedOf(model, name)
  const padding = (ofPadding || model.record.seesPadding === true) && batch.mask?.includes(0) === true // has numbers of its own, which count
  const kept = cache !== undefined || keepsExamplesApart() || padding ? undefined : keptPass(model, batch, training)
  return tf.tidy(() => {
    const pass = new Pass({ param, handlers, training, seed, gradientCheckpointing: gradientCheckpointing && cache === undefined, cache, packs, kept, ownDropout: model.parts.dropout !== false })
    const encoded = architecture.encode(architecturePass(pass, model.parts), batch)
    return { output: end(pass, cache === undefined ? encoded : lastToken(encoded)), balance: encoded.balance }
  })
}

/** @throws InputError when the model was disposed, or an adapter that it is a view with was detached: their tensors are gone */
export function checkAlive({ parts: { params, source }, attached, viewOf }: Model, what: string): void {
  for (const { isDisposed } of params.values()) if (isDisposed) throw new InputError(`${what}: the model (${source}) was disposed. Load it again.`)
  const gone = viewOf === undefined ? [] : attached.enabled.filter((adapter) => !viewOf.attached.adapters.includes(adapter))
  if (gone.length > 0) throw new InputError(`${what}: this is a view of the model with adapters that were detached:`, gone.map(({ name }) => `'${name}'`))
}

/** @throws InputError while a training runs on the model: what it is made of stays as it is */
export function checkNotTrained({ attached, viewOf, parts: { source } }: Model, what: string): void {
  if ((viewOf?.attached ?? attached).trainings === 0) return
  throw new InputError(`${what}: a training runs on this model (${source}), and what is attached to it stays as it is until that ends. ` +
    'Wait for it, or end it: leave its loop, or abort its signal. To compute with other adapters meanwhile: predict(model, rows, { adapter }), withAdapters(model, names).')
}

/** @throws InputError where there are no files */
export function filesOf({ parts: { files } }: Model, what: string): ModelFiles {
  if (files !== undefined) return files
  throw new InputError(`${what}: this model was made without files, so that it cannot be written; take one of loadModel or createModel, or give its parts the files of one.`)
}

/** The encoder's part of a pass: below the base name where the task has a head. */
export function architecturePass(pass: Pass, { architecture, task }: Pick<ModelParts, 'architecture' | 'task'>): Pass {
  return taskRecord(task).headless === true ? pass : pass.at(architecture.baseName)
}
