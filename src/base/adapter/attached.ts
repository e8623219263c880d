// What is attached to a model: the one place where it changes.

import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import { checkAwaited } from '../awaited.ts'
import type { SiteTensors } from '../method.ts'
import { checkNotTrained, Model } from '../model.ts'
import { layerOf, type Site } from '../sites.ts'
import type { Adapter, Attachment } from './adapter.ts'
import { wiringOf } from './wiring.ts'

/** How many adapters have a tensor. */
const holders = new WeakMap<Tensor, number>()

/**
 * Removes an adapter and frees its tensors, but for those that another adapter has too, see `shareAdapter`; the model is then as it was before.
 *
 * @throws InputError while a training runs on the model
 * @example detach(adapter)
 */
export function detach(adapter: Adapter): void {
  checkAwaited('adapter', adapter)
  const { model } = adapter
  const others = model.attached.adapters.filter((other) => other !== adapter)
  if (others.length === model.attached.adapters.length) return
  commit('detach', model, others, model.attached.enabled.filter((other) => other !== adapter))
  for (const tensor of tensorsOf(adapter)) {
    const others = (holders.get(tensor) ?? 1) - 1
    holders.set(tensor, others)
    if (others === 0) tensor.dispose()
  }
}

function tensorsOf({ trainable, frozen }: Adapter): Tensor[] {
  return [...Object.values(trainable), ...Object.values(frozen)]
}

/**
 * Gives an attached adapter another name.
 *
 * @throws InputError when the name is taken, or while a training runs on the model
 * @example rename(adapter, 'spam-2')
 */
export function rename(adapter: Adapter, name: string): void {
  const attachment = find(adapter)
  checkNotTrained(adapter.model, 'rename')
  if (name !== adapter.name) checkName(adapter.model, name)
  attachment.name = name
}

/**
 * Lets an adapter take part in the forward pass again.
 *
 * @throws InputError when another enabled adapter cannot stand beside it, or while a training runs on the model
 * @example enable(adapter)
 */
export function enable(adapter: Adapter): void {
  setEnabled('enable', find(adapter).model, [...adapter.model.attached.enabled, adapter])
}

/**
 * Leaves an adapter attached but out of the forward pass.
 *
 * @throws InputError when it is attached to no model, or while a training runs on that
 * @example disable(adapter)
 */
export function disable(adapter: Adapter): void {
  setEnabled('disable', adapter.model, find(adapter).model.attached.enabled.filter((other) => other !== adapter))
}

/**
 * Leaves an adapter out of some layers from now on, to run faster (AdapterDrop: Rücklé et al. 2020, arXiv:2010.11918);
 * with no layers it takes part in all of them again. While they are left out its tensors there get no gradient, which
 * `valueAndGrads` takes for a mistake unless it is told which these are: `withLayersDropped` does that for a step of training.
 *
 * @throws InputError naming the layers in which the adapter has nothing, or while a training runs on the model
 * @example skipLayers(adapter, [0, 1, 2])
 */
export function skipLayers(adapter: Adapter, layers: readonly number[]): void {
  const attachment = find(adapter)
  const known = new Set(adapter.sites.map(({ name }) => layerOf(name)))
  const unknown = layers.filter((layer) => !known.has(layer))
  if (unknown.length > 0) throw new InputError(`skipLayers: adapter '${adapter.name}' has nothing in layer ${unknown.join(', ')}.`)
  checkNotTrained(adapter.model, 'skipLayers')
  attachment.skipped = layers
  const { adapters, enabled } = adapter.model.attached
  commit('skipLayers', adapter.model, adapters, enabled)
}

/**
 * Enables exactly these adapters of a model, in the order they were attached.
 *
 * @throws InputError when two of them cannot stand side by side, or while a training runs on the model; nothing has changed then
 */
export function setEnabled(what: string, model: Model, adapters: readonly Adapter[]): void {
  commit(what, model, model.attached.adapters, adapters.map(find))
}

/**
 * The model with exactly these adapters, in the order they were attached, beside the model as it is: what is enabled there
 * stays so. Both compute with the same parameters and tensors.
 *
 * @param skipped the layers that each is left out of @default those it was told to skip
 * @throws InputError when two of them cannot stand side by side
 */
export function viewWith(model: Model, adapters: readonly Adapter[], skipped: (adapter: Adapter) => readonly number[] = (adapter) => adapter.skipped): Model {
  const viewOf = model.viewOf ?? model
  const chosen = adapters.map(find)
  const strangers = chosen.filter((adapter) => adapter.model !== viewOf)
  if (strangers.length > 0) throw new InputError('Adapters that belong to another model:', strangers.map(({ name }) => `'${name}'`))
  const enabled = viewOf.attached.adapters.filter((adapter) => chosen.includes(adapter))
  const wiring = wiringOf(model, enabled.map((adapter) => ({ ...adapter, skipped: skipped(adapter) })))
  return new Model(model.parts, { viewOf, attached: { ...viewOf.attached, enabled, wiring } })
}

/**
 * The adapters of a model, in the order they were attached.
 *
 * @example adaptersOf(model).map(({ name }) => name)
 */
export function adaptersOf(model: Model): readonly Adapter[] {
  checkAwaited('model', model)
  const { attached, viewOf } = model
  return (viewOf?.attached ?? attached).adapters
}

/** The tensors that an adapter has at one of its sites, by the method's short names. */
export function tensorsAt(adapter: Adapter, site: Site): SiteTensors {
  const tensors = find(adapter).tensors.get(site)
  if (tensors === undefined) throw new InputError(`Adapter '${adapter.name}' has nothing at '${site.name}'.`)
  return tensors
}

/** Puts a new adapter beside those that a model has. Throws before anything has changed. */
export function add(adapter: Attachment, { enabled }: { readonly enabled: boolean }): void {
  const { attached } = adapter.model
  commit('attach', adapter.model, [...attached.adapters, adapter], enabled ? [...attached.enabled, adapter] : attached.enabled)
  for (const tensor of tensorsOf(adapter)) holders.set(tensor, (holders.get(tensor) ?? 0) + 1)
}

/** @throws InputError when the name is taken, or nothing can be attached */
export function checkName(model: Model, name: string): void {
  if (model.viewOf !== undefined) throw new InputError('attach: this is a view of a model with chosen adapters; attach to the model itself.')
  if (typeof name !== 'string' || name.trim() === '') throw new InputError(`attach: expected a text as the adapter's name, got ${shown(name)}.`)
  if (!adaptersOf(model).some((other) => other.name === name)) return
  throw new InputError(`attach: the model already has an adapter called '${name}'; detach it or choose another name.`)
}

/** Keeps what is attached to a model as it is while a training runs on it. @returns what ends that */
export function holdAttached(model: Model): () => void {
  const held = model.viewOf ?? model
  const count = (change: number): void => { held.attached = { ...held.attached, trainings: held.attached.trainings + change } }
  count(1)
  return () => { count(-1) }
}

/** The one place where the adapters of a model change. Throws before anything has. */
function commit(what: string, model: Model, adapters: readonly Attachment[], chosen: readonly Adapter[]): void {
  checkNotTrained(model, what)
  const enabled = adapters.filter((adapter) => chosen.includes(adapter))
  model.attached = { ...model.attached, adapters, enabled, wiring: wiringOf(model, enabled) }
}

function find(adapter: Adapter): Attachment {
  checkAwaited('adapter', adapter)
  const attachment = adapter.model.attached.adapters.find((other) => other === adapter)
  if (attachment === undefined) throw new InputError(`Adapter '${adapter.name}' is not attached to its model any more.`)
  return attachment
}
