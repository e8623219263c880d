import { InputError, TargetError } from '../errors.ts'
import type { Tensor } from '@tensorflow/tfjs-core'
import { inFloat32 } from './bfloat16.ts'
import type { Init, InitContext, Method } from './method.ts'
import type { Model } from './model.ts'
import { randomStream } from './random.ts'
import type { Site } from './sites.ts'
import type { WireContext } from './wire.ts'

/** A tensor that starts as a copy of a parameter of the model. */
export interface Copy {
  readonly shape: readonly number[]
  readonly copyOf: Tensor
}

/** What an adapter will be made of. */
export interface Plan {
  readonly context: WireContext
  /** Every tensor of the adapter by its full name. */
  readonly specs: ReadonlyMap<string, Init | Copy>
  readonly copies: readonly string[]
}

export interface PlanOptions {
  /** Modules of the model that are trained in full, by path or path end. */
  readonly train: readonly string[]
  readonly seed: number
  /** The starting values will be used. */
  readonly fresh: boolean
}

/**
 * Works out the sites a method takes in a model and every tensor it needs there.
 *
 * @throws TargetError when a target or module does not exist, or nothing is left; InputError when options do not fit a site
 */
export function plan(model: Model, method: Method, { train, seed, fresh }: PlanOptions): Plan {
  const { sites: all, needs: params } = model.parts
  const sites = method.select(all)
  const trained = parametersOf(model, train)
  checkTrained(sites, trained)
  const param = (full: string): Tensor => paramOf(model, full)
  const initContext = (path: string): InitContext => ({ draw: (local) => randomStream(seed, path, local), param, fresh })
  const specs = new Map<string, Init | Copy>()
  for (const [local, init] of Object.entries(method.shared?.(sites, initContext('')) ?? {})) specs.set(local, init)
  for (const site of sites) {
    for (const [local, init] of Object.entries(method.init(site, initContext(site.name)))) specs.set(`${site.name}.${local}`, init)
  }
  const own = method.copies?.(params, sites) ?? []
  const copies = [...new Set([...trained, ...own])]
  for (const full of copies) specs.set(full, { shape: storedOf(model, full).shape, copyOf: storedOf(model, full) })
  if (specs.size === 0) throw new TargetError(`${method.wire.type}: nothing is left to train.`)
  return { context: { sites, all, params, param, copies: own.filter((name) => !trained.includes(name)) }, specs, copies }
}

function parametersOf(model: Model, modules: readonly string[]): string[] {
  const names = [...model.parts.params.keys()]
  const found = modules.map((module) => names.filter((name) => name === module || `.${name}`.includes(`.${module}.`)))
  const problems = modules.filter((_, i) => found[i]?.length === 0)
  if (problems.length > 0) {
    throw new TargetError('Modules to train that the model does not have:', problems.map((module) => `'${module}'`))
  }
  return [...new Set(found.flat())]
}

/** A weight cannot be adapted and trained in full at once. */
function checkTrained(sites: readonly Site[], trained: readonly string[]): void {
  const both = sites.filter((site) => 'weight' in site && trained.includes(site.weight))
  if (both.length === 0) return
  throw new TargetError('Modules that are adapted and also named in `train`; take them out of one:', both.map(({ name }) => `'${name}'`))
}

/**
 * A parameter in float32: to be read inside a tidy, because it is a new tensor where the model holds bfloat16.
 *
 * @throws InputError
 */
export function paramOf(model: Model, name: string): Tensor {
  return inFloat32(storedOf(model, name))
}

/** @throws InputError */
export function storedOf(model: Model, name: string): Tensor {
  const param = model.parts.params.get(name)
  if (param === undefined) throw new InputError(`The model has no parameter '${name}'.`)
  return param
}
