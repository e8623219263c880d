import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { CheckpointError, InputError } from '../../errors.ts'
import { inFloat32 } from '../engine/bfloat16.ts'
import { saveAdapter } from './adapter-file.ts'
import type { Init, Method, SiteTensors } from '../method.ts'
import { checkAlive, type Model } from '../model.ts'
import { plan, type Copy, type Plan } from './plan.ts'
import { layerOf, type Site } from '../sites.ts'
import { summarize, type Summary } from './summary.ts'
import { sameValues, type Ties } from '../ties.ts'
import type { NamedTensors, FormatContext } from './file-format.ts'
import { sortBase, vocabSizeOf, wordProblems, wordsOf } from './vocabulary.ts'
import { replacedNames, wiringOf } from './wiring.ts'

/** What `attach` takes beside the method. */
export interface AttachOptions {
  /** @default 'default' */
  readonly name?: string
  /** Seed of the initial values. @default 0 */
  readonly seed?: number
  /**
   * Modules of the model, whole paths or their ends, that are trained in full beside the method. What is one tensor in the
   * model stays one: of a head that is the table of the words, both move, whichever is named. @default the task's head
   */
  readonly train?: readonly string[]
  /** Takes part in the forward pass at once. @default true */
  readonly enabled?: boolean
}

/** What is known of an adapter that is put together from tensors. */
export interface AttachTensorsOptions extends AttachOptions {
  readonly origin?: Origin | ((context: FormatContext) => Origin)
  /** Parameters that are one tensor in the model and stay one in the adapter. @default as in the model */
  readonly ties?: Ties
}

/** What came with an adapter's files besides its tensors. */
export interface Origin {
  /** What a reader should know: settings that nobody here knows, or that could not be kept to the letter. */
  readonly warnings: readonly string[]
  /** Settings that this library does not know; they are written again when the adapter is saved. */
  readonly unknown: Readonly<Record<string, unknown>>
}

/** A method plugged into a model: the tensors it trains and the sites they act at. */
export interface Adapter {
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

interface Attachment extends Adapter {
  name: string
  enabled: boolean
  skipped: readonly number[]
  readonly owned: ReadonlyMap<Site, SiteTensors>
}

const MADE_HERE: Origin = { warnings: [], unknown: {} }

const attached = new WeakMap<Model, readonly Attachment[]>()

/**
 * Plugs a method into a model. The model's own parameters stay as they are; from now on its forward pass runs through
 * the adapter too. Several adapters can be attached; the last is the outermost.
 *
 * @throws TargetError when a target matches nothing; InputError when the options do not fit, the name is taken, or an enabled
 *   adapter cannot stand beside it
 * @example const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 */
export function attach(model: Model, method: Method, options: AttachOptions = {}): Adapter {
  const { seed = 0, train = model.parts.head.modules } = options
  checkAlive(model, 'attach')
  const planned = plan(model, method, { train, seed, fresh: true, ties: model.parts.ties })
  return plug(model, method, planned, options)
}

/**
 * Plugs a method in with tensors from elsewhere in place of starting values: the way of `loadAdapter`.
 *
 * @param tensorsFor gives the tensors by this library's names; a frozen one that it does not give starts as it always does
 * @throws CheckpointError naming every tensor that is missing, unexpected or of another shape
 */
export function attachTensors(
  model: Model,
  method: Method,
  tensorsFor: (context: FormatContext) => NamedTensors,
  options: AttachTensorsOptions = {},
): Adapter {
  checkAlive(model, 'loadAdapter')
  const { seed = 0, train = [], ties = model.parts.ties, origin, ...rest } = options
  const planFor = (words: number): Plan => plan(model, method, { train, seed, fresh: false, ties, words })
  const first = planFor(vocabSizeOf(model.parts))
  const named = underOwnNames(model, first, tensorsFor(first.context))
  const { own: given, base, problems: others } = sortBase(model, named.tensors, (name) => first.specs.has(name))
  const words = wordsOf(model, given, base)
  const planned = words === first.words ? first : planFor(words)
  const brought = new Map([...base].flatMap(([name, tensor]) => {
    const place = [name, ...[...model.parts.ties].flatMap(([tied, kept]) => (kept === name ? [tied] : []))]
      .find((each) => !planned.specs.has(ties.get(each) ?? each))
    return place === undefined ? [] : [[place, { ...tensor, frozen: true }] as const]
  }))
  const problems = [...named.problems, ...others]
  for (const key of given.keys()) if (!planned.specs.has(key)) problems.push(`unexpected: ${key}`)
  const specs = new Map<string, Init | Copy>(brought)
  for (const [key, spec] of planned.specs) {
    const tensor = given.get(key)
    if (tensor === undefined) {
      if (isFrozen(spec)) specs.set(key, spec)
      else problems.push(`missing: ${key} [${spec.shape.join(', ')}]`)
    } else if (tensor.shape.join() !== spec.shape.join()) {
      problems.push(`${key}: expected [${spec.shape.join(', ')}], the file has [${tensor.shape.join(', ')}]`)
    } else specs.set(key, { shape: spec.shape, values: tensor.values, frozen: isFrozen(spec) })
  }
  const all = { ...planned, specs, brought: [...brought.keys()] }
  problems.push(...wordProblems(model, words, replacedNames(all)))
  if (problems.length > 0) throw new CheckpointError('The adapter does not fit the model:', problems)
  const from = typeof origin === 'function' ? origin(planned.context) : origin
  return plug(model, method, all, { ...rest, ...(from === undefined ? {} : { origin: from }) })
}

/** What a file has under two names stands under the one that the adapter has it by. */
function underOwnNames({ parts }: Model, { specs, ties }: Plan, given: NamedTensors): { readonly tensors: NamedTensors; readonly problems: string[] } {
  const tensors = new Map(given)
  const problems: string[] = []
  for (const [other, own] of [...ties, ...Object.entries(parts.architecture.keys.alsoCalled ?? {})]) {
    const [tensor, kept] = [tensors.get(other), tensors.get(own)]
    if (tensor === undefined || specs.has(other) || !specs.has(own)) continue
    tensors.delete(other)
    if (kept === undefined) tensors.set(own, tensor)
    else if (ties.has(other) && !sameValues(tensor.values, kept.values)) {
      problems.push(`${other} and ${own} are one tensor (ensure_weight_tying), but differ in the file`)
    }
  }
  return { tensors, problems }
}

function plug(
  model: Model,
  method: Method,
  { context, specs, copies, ties, brought, words }: Plan,
  { name = 'default', enabled = true, origin = MADE_HERE }: AttachOptions & { readonly origin?: Origin },
): Adapter {
  checkName(model, name)
  const trainable: Record<string, Variable> = {}
  const frozen: Record<string, Tensor> = {}
  for (const [full, init] of specs) {
    if (isFrozen(init)) frozen[full] = tf.keep(tensorOf(init))
    else trainable[full] = tf.tidy(() => tf.variable(tensorOf(init))) // anonymous: tfjs has one table of names
  }
  const { sites } = context
  const owned = ownership(sites, { ...frozen, ...trainable })
  const adapter: Attachment = {
    name, model, method, sites, trainable, frozen, copies, ties, brought, words, context, owned, origin, enabled: false, skipped: [],
    summary: () => summarize(adapter),
    save: (folder) => saveAdapter(adapter, folder),
  }
  try {
    const active = enabledOf(model)
    commit(model, [...attachments(model), adapter], enabled ? [...active, adapter] : active)
  } catch (error) {
    tf.dispose([trainable, frozen])
    throw error
  }
  return adapter
}

/** Which of an adapter's tensors each site is given. */
function ownership(sites: readonly Site[], tensors: Readonly<Record<string, Tensor>>): Map<Site, SiteTensors> {
  const shared = Object.entries(tensors).filter(([full]) => !full.includes('.'))
  return new Map(
    sites.map((site) => {
      const prefix = `${site.name}.`
      const own = Object.entries(tensors).filter(([full]) => full.startsWith(prefix) && !full.slice(prefix.length).includes('.'))
      return [site, Object.fromEntries([...shared, ...own.map(([full, tensor]) => [full.slice(prefix.length), tensor] as const)])]
    }),
  )
}

function isFrozen(spec: Init | Copy): boolean {
  return 'frozen' in spec && spec.frozen
}

function tensorOf(spec: Init | Copy): Tensor {
  if ('copyOf' in spec) return tf.tidy(() => tf.mul(inFloat32(spec.copyOf), 1)) // made by the runtime; a clone would share the parameter's memory
  return tf.tensor(spec.values.slice(), [...spec.shape], 'float32') // a copy: the runtime shares the array it is given
}

/**
 * Removes an adapter and frees its tensors; the model is then as it was before.
 *
 * @example detach(adapter)
 */
export function detach(adapter: Adapter): void {
  const { model } = adapter
  const others = attachments(model).filter((other) => other !== adapter)
  if (others.length === attachments(model).length) return
  commit(model, others, enabledOf(model).filter((other) => other !== adapter))
  tf.dispose([...Object.values(adapter.trainable), ...Object.values(adapter.frozen)])
}

/**
 * Gives an attached adapter another name.
 *
 * @throws InputError when the name is taken
 * @example rename(adapter, 'spam-2')
 */
export function rename(adapter: Adapter, name: string): void {
  const attachment = find(adapter)
  if (name !== adapter.name) checkName(adapter.model, name)
  attachment.name = name
}

/**
 * Lets an adapter take part in the forward pass again.
 *
 * @throws InputError when another enabled adapter cannot stand beside it
 * @example enable(adapter)
 */
export function enable(adapter: Adapter): void {
  setEnabled(adapter.model, [...enabledOf(adapter.model), adapter])
}

/**
 * Leaves an adapter attached but out of the forward pass.
 *
 * @throws InputError when it is attached to no model
 * @example disable(adapter)
 */
export function disable(adapter: Adapter): void {
  setEnabled(adapter.model, enabledOf(find(adapter).model).filter((other) => other !== adapter))
}

/**
 * Leaves an adapter out of some layers from now on, to run faster (AdapterDrop: Rücklé et al. 2020, arXiv:2010.11918);
 * with no layers it takes part in all of them again. While they are left out its tensors there get no gradient, which
 * `valueAndGrads` takes for a mistake unless it is told which these are: `withLayersDropped` does that for a step of training.
 *
 * @throws InputError naming the layers in which the adapter has nothing
 * @example skipLayers(adapter, [0, 1, 2])
 */
export function skipLayers(adapter: Adapter, layers: readonly number[]): void {
  const attachment = find(adapter)
  const known = new Set(adapter.sites.map(({ name }) => layerOf(name)))
  const unknown = layers.filter((layer) => !known.has(layer))
  if (unknown.length > 0) throw new InputError(`skipLayers: adapter '${adapter.name}' has nothing in layer ${unknown.join(', ')}.`)
  attachment.skipped = layers
  commit(adapter.model, attachments(adapter.model), enabledOf(adapter.model))
}

/**
 * Enables exactly these adapters of a model, in the order they were attached.
 *
 * @throws InputError when two of them cannot stand side by side; nothing has changed then
 */
export function setEnabled(model: Model, adapters: readonly Adapter[]): void {
  commit(model, attachments(model), adapters.map(find))
}

/**
 * The adapters of a model, in the order they were attached.
 *
 * @example adaptersOf(model).map(({ name }) => name)
 */
export function adaptersOf(model: Model): readonly Adapter[] {
  return attachments(model)
}

/** The tensors an adapter trains at one of its sites, by the method's short names. */
export function tensorsAt(adapter: Adapter, site: Site): SiteTensors {
  const own = find(adapter).owned.get(site)
  if (own === undefined) throw new InputError(`Adapter '${adapter.name}' has nothing at '${site.name}'.`)
  return own
}

function attachments(model: Model): readonly Attachment[] {
  return attached.get(model) ?? []
}

function enabledOf(model: Model): Attachment[] {
  return attachments(model).filter(({ enabled }) => enabled)
}

/** The one place where the adapters of a model change. Throws before anything has. */
function commit(model: Model, all: readonly Attachment[], enabled: readonly Attachment[]): void {
  const wiring = wiringOf(model, all.filter((adapter) => enabled.includes(adapter)))
  for (const adapter of all) adapter.enabled = enabled.includes(adapter)
  attached.set(model, all)
  model.wiring = wiring
}

function find(adapter: Adapter): Attachment {
  const attachment = attachments(adapter.model).find((other) => other === adapter)
  if (attachment === undefined) throw new InputError(`Adapter '${adapter.name}' is not attached to its model any more.`)
  return attachment
}

function checkName(model: Model, name: string): void {
  if (!adaptersOf(model).some((other) => other.name === name)) return
  throw new InputError(`attach: the model already has an adapter called '${name}'; detach it or choose another name.`)
}
