// Places in a graph that adapters are put into when it runs: inputs that may be left away, for pairs of A and B at products, and for parameters that
// adapters bring whole.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { tensorsAt } from '../../base/adapter/attached.ts'
import type { LowRank } from '../../base/method.ts'
import { Model } from '../../base/model.ts'
import type { Around } from '../../base/pass.ts'
import type { LinearSite } from '../../base/sites.ts'
import type { Graph, Port } from './graph.ts'
import { named, type Interface } from './interface.ts'
import type { Source } from './recorder.ts'

export interface Slots {
  readonly sites: readonly LinearSite[]
  /** Parameters by name. */
  readonly copies: readonly string[]
}

/** What an adapter puts into its slots. */
export interface Filling {
  readonly pairs: readonly { readonly site: LinearSite; readonly update: () => LowRank }[]
  readonly copies: readonly { readonly name: string; readonly values: () => tf.Tensor }[]
}

const RANK = 'lora_rank'
/** Ranks that it is recorded at, told from all other sizes. */
const RANKS = [1009, 1031, 1021]

/** @throws InputError for what is more than products and parameters of the model's own shape */
export function fillingOf(adapter: Adapter): Filling {
  const { name, method, sites, copies, brought, trainable, model } = adapter
  const places = sites.filter((site) => site.kind === 'linear')
  const { lowRank } = method
  const others = [...sites.filter((site) => site.kind !== 'linear').map((site) => site.name), ...brought, ...copies.filter((copy) => trainable[copy]?.shape.join() !== model.parts.params.get(copy)?.shape.join())]
  if ((lowRank === undefined && sites.length > 0) || others.length > 0) {
    throw new InputError(`exportOnnx: adapter '${name}' does more than to add B A to products and to bring parameters of the model's shapes (${lowRank === undefined ? `what ${method.name} does` : others.join(', ')}), ` +
      'which is all that can be put into a graph when it runs. Export it as a part of the graph: exportOnnx(withAdapters(model, [name]), folder).')
  }
  return {
    pairs: places.map((site) => ({ site, update: () => (lowRank as NonNullable<typeof lowRank>)(site, tensorsAt(adapter, site)) })),
    copies: copies.map((copy) => ({ name: copy, values: () => trainable[copy] as tf.Tensor })),
  }
}

/** Slots for all of them. */
export function slotsFor(adapters: readonly Adapter[]): Slots {
  const fillings = adapters.map(fillingOf)
  const sites = new Map(fillings.flatMap(({ pairs }) => pairs.map(({ site }) => [site.name, site] as const)))
  return { sites: [...sites.values()], copies: [...new Set(fillings.flatMap(({ copies }) => copies.map(({ name }) => name)))] }
}

/** Names of the two inputs of a site. */
export function namesAt(site: Pick<LinearSite, 'name'>): readonly [A: string, B: string] {
  return [`${site.name}.lora_A.weight`, `${site.name}.lora_B.weight`]
}

/** The interface with slots: y + x Aᵀ Bᵀ at each site. */
export function withSlots(own: Interface, { sites }: Slots): Interface {
  if (sites.length === 0) return own
  return {
    ...own,
    sizes: own.sizes.map((sizes, i) => ({ ...sizes, [RANK]: RANKS[i] ?? NaN })),
    run: (model, sizes, source) => own.run(slotted(model, sites, source, sizes[RANK] as number), sizes, source),
    inputs: () => [...own.inputs(), ...sites.flatMap(portsAt)],
    axes: { ...own.axes, [RANK]: [[namesAt(sites[0] as LinearSite)[0], 0]] },
  }
}

/** Of a pair and of no rank: nothing is added. Of a parameter the model's own values. */
export function setDefaults(graph: Graph, { sites, copies }: Slots): void {
  for (const { name, shape } of sites.flatMap(portsAt)) graph.weight({ name, dtype: 'float32', shape: shape.map((size) => (typeof size === 'number' ? size : 0)), data: () => new Uint8Array(0) })
  for (const name of copies) {
    const weight = graph.initializers.get(name)
    if (weight !== undefined) graph.inputs.push({ name, dtype: 'float32', shape: weight.shape })
  }
}

function portsAt(site: LinearSite): readonly Port[] {
  const [A, B] = namesAt(site)
  return [{ name: A, dtype: 'float32', shape: [named(RANK), site.inSize] }, { name: B, dtype: 'float32', shape: [site.outSize, named(RANK)] }]
}

function slotted(model: Model, sites: readonly LinearSite[], source: Source, rank: number): Model {
  const { wiring } = model.attached
  const linear = new Map(wiring.handlers.linear)
  for (const site of sites) {
    const [before, [nameA, nameB]] = [linear.get(site.name), namesAt(site)]
    const around: Around<Tensor2D, Tensor2D> = (x, next, pass) => {
      const [A, B] = [source.input(nameA, [rank, site.inSize]), source.input(nameB, [site.outSize, rank])]
      return tf.add(before === undefined ? next(x) : before(x, next, pass), tf.matMul(tf.matMul(x, A as Tensor2D, false, true), B as Tensor2D, false, true))
    }
    linear.set(site.name, around)
  }
  return new Model(model.parts, { attached: { ...model.attached, wiring: { ...wiring, handlers: { ...wiring.handlers, linear } } } })
}
