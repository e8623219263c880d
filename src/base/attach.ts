import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core'
import { InputError, TargetError } from '../errors.ts'
import type { Init, Method, Own } from './method.ts'
import type { Model } from './model.ts'
import type { AttentionCall } from './ops/attention.ts'
import { randomStream } from './random.ts'
import type { Around, Join, Sequence, Site } from './sites.ts'
import { selectSites } from './targets.ts'

export interface AttachOptions {
  /** @default 'default' */
  readonly name?: string
  /** Seed of the initial values. @default 0 */
  readonly seed?: number
  /** Modules of the model that are trained in full beside the method. @default the task's new head */
  readonly train?: readonly string[]
  /** Starting values by trained tensor name, in place of the method's own; every name must be there. */
  readonly values?: ReadonlyMap<string, Float32Array>
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
  /** Every trained tensor by name: `<site>.<short name>`, or the parameter's own name for a module trained in full. */
  readonly trainable: Readonly<Record<string, Variable>>
  /** Names in `trainable` that are parameters of the model, trained as copies. */
  readonly copies: readonly string[]
  readonly enabled: boolean
  summary(): Summary
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
  const { name = 'default', seed = 0, train = model.parts.head.modules, values } = options
  const others = attached.get(model) ?? []
  if (others.some((other) => other.name === name)) {
    throw new InputError(`attach: the model already has an adapter called '${name}'; detach it or choose another name.`)
  }
  const sites = sitesOf(model, method)
  const copies = parametersOf(model, train)
  const inits = new Map<Site, Readonly<Record<string, Init>>>()
  for (const site of sites) inits.set(site, method.init(site, (local) => randomStream(seed, site.name, local)))
  checkValues(values, inits, copies, model)

  const trainable: Record<string, Variable> = {}
  const owned = new Map<Site, Own>()
  for (const [site, specs] of inits) {
    const own: Record<string, Variable> = {}
    for (const [local, init] of Object.entries(specs)) {
      const full = `${site.name}.${local}`
      own[local] = trainable[full] = variableOf(values?.get(full) ?? init.values, init.shape)
    }
    owned.set(site, own)
  }
  for (const full of copies) {
    const param = paramOf(model, full)
    trainable[full] = variableOf(values?.get(full) ?? (param.dataSync() as Float32Array), param.shape)
  }
  const adapter: Attachment = {
    name, model, method, sites, trainable, copies, owned, enabled: true,
    summary: () => summarize(adapter),
  }
  attached.set(model, [...others, adapter])
  rewire(model)
  return adapter
}

/** Removes an adapter and frees its tensors; the model is then as it was before. */
export function detach(adapter: Adapter): void {
  const { model } = adapter
  const others = (attached.get(model) ?? []).filter((other) => other !== adapter)
  if (others.length === attached.get(model)?.length) return
  attached.set(model, others)
  rewire(model)
  tf.dispose(Object.values(adapter.trainable))
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

function sitesOf(model: Model, method: Method): Site[] {
  const linear = model.parts.sites.filter((site) => site.kind === 'linear')
  const chosen: ReadonlySet<Site> = new Set(
    method.linear === undefined ? [] : selectSites(linear, method.selection, method.defaultRoles),
  )
  return model.parts.sites.filter((site) => (site.kind === 'linear' ? chosen.has(site) : method[site.kind] !== undefined))
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

function checkValues(
  values: AttachOptions['values'],
  inits: ReadonlyMap<Site, Readonly<Record<string, Init>>>,
  copies: readonly string[],
  model: Model,
): void {
  if (values === undefined) return
  const shapes = new Map<string, readonly number[]>()
  for (const [site, specs] of inits) for (const [local, { shape }] of Object.entries(specs)) shapes.set(`${site.name}.${local}`, shape)
  for (const name of copies) shapes.set(name, paramOf(model, name).shape)
  const problems = [...values.keys()].filter((name) => !shapes.has(name)).map((name) => `unexpected: ${name}`)
  for (const [name, shape] of shapes) {
    const given = values.get(name)
    const size = shape.reduce((product, n) => product * n, 1)
    if (given === undefined) problems.push(`missing: ${name}`)
    else if (given.length !== size) problems.push(`${name}: expected [${shape.join(', ')}] = ${size} numbers, got ${given.length}`)
  }
  if (problems.length > 0) throw new InputError('The starting values do not fit the adapter:', problems)
}

function paramOf(model: Model, name: string): Tensor {
  const param = model.parts.params.get(name)
  if (param === undefined) throw new InputError(`The model has no parameter '${name}'.`)
  return param
}

/** Anonymous: tfjs keeps names in one table for the whole process. */
function variableOf(values: Float32Array, shape: readonly number[]): Variable {
  return tf.tidy(() => tf.variable(tf.tensor(values.slice(), [...shape], 'float32')))
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

function summarize({ name, method, sites, trainable, copies, model }: Attachment): Summary {
  const sizes = Object.values(trainable).map((variable) => variable.size)
  const count = sizes.reduce((sum, n) => sum + n, 0)
  const replaced = copies.reduce((sum, copy) => sum + paramOf(model, copy).size, 0)
  const frozen = [...model.parts.params.values()].reduce((sum, param) => sum + param.size, 0) - replaced
  const total = frozen + count
  return { name, method: method.wire.type, sites: sites.length, trainable: count, total, share: count / total, bytes: count * 4 }
}

