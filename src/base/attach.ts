import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core'
import { CheckpointError, InputError, TargetError } from '../errors.ts'
import type { Init, InitContext, Method, Own } from './method.ts'
import type { Model } from './model.ts'
import type { AttentionCall } from './ops/attention.ts'
import { randomStream } from './random.ts'
import type { Around, Join, Sequence, Site } from './sites.ts'
import type { NamedTensors, WireContext } from './wire.ts'

export interface AttachOptions {
  /** @default 'default' */
  readonly name?: string
  /** Seed of the initial values. @default 0 */
  readonly seed?: number
  /** Modules of the model that are trained in full beside the method. @default the task's new head */
  readonly train?: readonly string[]
}

/** What an adapter trains, at a glance. */
export interface Summary {
  readonly name: string
  readonly method: string
  readonly sites: number
  readonly trainable: number
  /** Parameters of the model and the adapter together. */
  readonly total: number
  /** trainable / total */
  readonly share: number
  /** Bytes of the trained tensors. */
  readonly bytes: number
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
  readonly enabled: boolean
}

interface Attachment extends Adapter {
  enabled: boolean
  readonly owned: ReadonlyMap<Site, Own>
}

const attached = new WeakMap<Model, Attachment[]>()

/**
 * Plugs a method into a model. The model's own parameters stay as they are; from now on its forward pass runs through
 * the adapter too. Several adapters can be attached; the last is the outermost.
 *
 * @throws TargetError when a target matches nothing; InputError when the options do not fit or the name is taken
 * @example const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 */
export function attach(model: Model, method: Method, options: AttachOptions = {}): Adapter {
  const { name = 'default', seed = 0, train = model.parts.head.modules } = options
  checkName(model, name)
  const { sites, specs, copies } = plan(model, method, train, seed)
  return plug(model, method, name, sites, specs, copies)
}

/**
 * Plugs a method in with tensors from elsewhere in place of starting values: the way of `loadAdapter`.
 *
 * @param tensorsFor gives the tensors by this library's names
 * @throws CheckpointError naming every tensor that is missing, unexpected or of another shape
 */
export function attachTensors(
  model: Model,
  method: Method,
  tensorsFor: (context: WireContext) => NamedTensors,
  options: AttachOptions = {},
): Adapter {
  const { name = 'default', seed = 0, train = [] } = options
  checkName(model, name)
  const { sites, specs, copies } = plan(model, method, train, seed)
  const given = tensorsFor({ sites, all: model.parts.sites })
  const problems = [...given.keys()].filter((key) => !specs.has(key)).map((key) => `unexpected: ${key}`)
  const loaded = new Map<string, Init>()
  for (const [key, spec] of specs) {
    const tensor = given.get(key)
    if (tensor === undefined) problems.push(`missing: ${key} [${spec.shape.join(', ')}]`)
    else if (tensor.shape.join() !== spec.shape.join()) {
      problems.push(`${key}: expected [${spec.shape.join(', ')}], the file has [${tensor.shape.join(', ')}]`)
    } else loaded.set(key, { ...spec, values: tensor.values })
  }
  if (problems.length > 0) throw new CheckpointError('The adapter does not fit the model:', problems)
  return plug(model, method, name, sites, loaded, copies)
}

interface Plan {
  readonly sites: readonly Site[]
  /** Every tensor of the adapter by its full name. */
  readonly specs: ReadonlyMap<string, Init>
  readonly copies: readonly string[]
}

function plan(model: Model, method: Method, train: readonly string[], seed: number): Plan {
  const { sites: all, needs } = model.parts
  const sites = method.select(all)
  const context = (path: string): InitContext => ({
    draw: (local) => randomStream(seed, path, local),
    param: (full) => paramOf(model, full),
  })
  const specs = new Map<string, Init>()
  for (const [local, init] of Object.entries(method.shared?.(sites, context('')) ?? {})) specs.set(local, init)
  for (const site of sites) {
    for (const [local, init] of Object.entries(method.init(site, context(site.name)))) specs.set(`${site.name}.${local}`, init)
  }
  const copies = [...new Set([...parametersOf(model, train), ...(method.copies?.(needs) ?? [])])]
  for (const full of copies) {
    const param = paramOf(model, full)
    specs.set(full, { shape: param.shape, values: param.dataSync() as Float32Array })
  }
  return { sites, specs, copies }
}

function plug(
  model: Model,
  method: Method,
  name: string,
  sites: readonly Site[],
  specs: ReadonlyMap<string, Init>,
  copies: readonly string[],
): Adapter {
  const trainable: Record<string, Variable> = {}
  const frozen: Record<string, Tensor> = {}
  for (const [full, init] of specs) {
    if (init.frozen === true) frozen[full] = tf.keep(tensorOf(init))
    else trainable[full] = tf.tidy(() => tf.variable(tensorOf(init))) // anonymous: tfjs has one table of names
  }
  const all: Readonly<Record<string, Tensor>> = { ...frozen, ...trainable }
  const shared = Object.entries(all).filter(([full]) => !full.includes('.'))
  const owned = new Map<Site, Own>(
    sites.map((site) => {
      const prefix = `${site.name}.`
      const own = Object.entries(all).filter(([full]) => full.startsWith(prefix) && !full.slice(prefix.length).includes('.'))
      return [site, Object.fromEntries([...shared, ...own.map(([full, tensor]) => [full.slice(prefix.length), tensor] as const)])]
    }),
  )
  const adapter: Attachment = { name, model, method, sites, trainable, frozen, copies, owned, enabled: true }
  attached.set(model, [...(attached.get(model) ?? []), adapter])
  rewire(model)
  return adapter
}

function tensorOf({ values, shape }: Init): Tensor {
  return tf.tensor(values.slice(), [...shape], 'float32') // a copy: the runtime shares the array it is given
}

/** Removes an adapter and frees its tensors; the model is then as it was before. */
export function detach(adapter: Adapter): void {
  const { model } = adapter
  const others = (attached.get(model) ?? []).filter((other) => other !== adapter)
  if (others.length === attached.get(model)?.length) return
  attached.set(model, others)
  rewire(model)
  tf.dispose([...Object.values(adapter.trainable), ...Object.values(adapter.frozen)])
}

/** Lets an adapter take part in the forward pass again. */
export function enable(adapter: Adapter): void {
  setEnabled(adapter, true)
}

/** Leaves an adapter attached but out of the forward pass. */
export function disable(adapter: Adapter): void {
  setEnabled(adapter, false)
}

/** The adapters of a model, in the order they were attached. */
export function adaptersOf(model: Model): readonly Adapter[] {
  return attached.get(model) ?? []
}

/** The tensors an adapter trains at one of its sites, by the method's short names. */
export function ownedBy(adapter: Adapter, site: Site): Own {
  const own = find(adapter).owned.get(site)
  if (own === undefined) throw new InputError(`Adapter '${adapter.name}' has nothing at '${site.name}'.`)
  return own
}

function setEnabled(adapter: Adapter, enabled: boolean): void {
  find(adapter).enabled = enabled
  rewire(adapter.model)
}

function find(adapter: Adapter): Attachment {
  const attachment = attached.get(adapter.model)?.find((other) => other === adapter)
  if (attachment === undefined) throw new InputError(`Adapter '${adapter.name}' is not attached to its model any more.`)
  return attachment
}

function parametersOf(model: Model, modules: readonly string[]): string[] {
  const names = [...model.parts.params.keys()]
  const found = modules.map((module) => names.filter((name) => name === module || name.startsWith(`${module}.`)))
  const problems = modules.filter((_, i) => found[i]?.length === 0)
  if (problems.length > 0) {
    throw new TargetError('Modules to train that the model does not have:', problems.map((module) => `'${module}'`))
  }
  return [...new Set(found.flat())]
}

function checkName(model: Model, name: string): void {
  if (!adaptersOf(model).some((other) => other.name === name)) return
  throw new InputError(`attach: the model already has an adapter called '${name}'; detach it or choose another name.`)
}

function paramOf(model: Model, name: string): Tensor {
  const param = model.parts.params.get(name)
  if (param === undefined) throw new InputError(`The model has no parameter '${name}'.`)
  return param
}

/** Folds the steps of all enabled adapters into one function a site, so that a pass does one look-up there. */
function rewire(model: Model): void {
  const handlers = {
    linear: new Map<string, Around<Tensor2D, Tensor2D>>(),
    embedding: new Map<string, Around<Tensor1D, Tensor2D>>(),
    attention: new Map<string, Around<AttentionCall, Tensor4D>>(),
    residual: new Map<string, Around<Join, Tensor2D>>(),
    sequence: new Map<string, Around<Sequence, Sequence>>(),
  }
  const overlay = new Map<string, Tensor>()
  for (const { method, owned, enabled, trainable, copies } of attached.get(model) ?? []) {
    if (!enabled) continue
    for (const [site, own] of owned) {
      if (site.kind === 'linear') put(handlers.linear, site.name, method.linear?.(site, own))
      else if (site.kind === 'embedding') put(handlers.embedding, site.name, method.embedding?.(site, own))
      else if (site.kind === 'attention') put(handlers.attention, site.name, method.attention?.(site, own))
      else if (site.kind === 'residual') put(handlers.residual, site.name, method.residual?.(site, own))
      else put(handlers.sequence, site.name, method.sequence?.(site, own))
    }
    for (const name of copies) overlay.set(name, trainable[name] as Tensor) // copies are keys of trainable
  }
  model.wiring = { handlers, overlay }
}

function put<In, Out>(steps: Map<string, Around<In, Out>>, name: string, step: Around<In, Out> | undefined): void {
  if (step === undefined) return
  const inner = steps.get(name)
  steps.set(
    name,
    inner === undefined ? step : (input, next, pass) => step(input, (through) => inner(through, next, pass), pass),
  )
}

/** What an adapter trains, in numbers. */
export function summarize({ name, method, sites, trainable, copies, model }: Adapter): Summary {
  const count = sizeOf(Object.values(trainable))
  const replaced = sizeOf(copies.map((copy) => paramOf(model, copy)))
  const total = sizeOf([...model.parts.params.values()]) - replaced + count
  return { name, method: method.wire.type, sites: sites.length, trainable: count, total, share: count / total, bytes: count * 4 }
}

function sizeOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { size }) => sum + size, 0)
}
