import * as tf from '@tensorflow/tfjs-core'
import { TargetError } from '../../errors.ts'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { taskRecord } from '../tasks/task.ts'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { NO_VALUES, type Init, type InitContext, type Method } from '../method.ts'
import type { Model } from '../model.ts'
import { allNames, paramOf, storedOf } from '../parameters.ts'
import { randomStream } from '../random.ts'
import type { EmbeddingSite, LinearSite, Site } from '../sites.ts'
import { freshValues } from '../trace.ts'
import type { Ties } from '../ties.ts'
import { headModules, type Classes } from './classes.ts'
import { otherRows, resizedSpecs, resizedSites } from './resized.ts'
import { vocabSizeOf } from './vocabulary.ts'
import { modulesOf } from './module-names.ts'
import type { FormatContext, NamedTensors } from './file-format.ts'

/** A tensor that starts as a copy of a parameter of the model. */
export interface Copy {
  readonly shape: readonly number[]
  readonly copyOf: FrozenWeight
}

/** A tensor that another adapter has too, and that stays one: trained, or kept as it is. */
export type Shared = { readonly shape: readonly number[] } & ({ readonly trained: Variable } | { readonly kept: Tensor })

/** What an adapter will be made of. */
export interface Plan {
  readonly context: FormatContext
  /** Every tensor of the adapter by its full name. */
  readonly specs: ReadonlyMap<string, Init | Copy | Shared>
  readonly copies: readonly string[]
  readonly ties: Ties
  /** Parameters of the model that the adapter brings in another size, and does not train. */
  readonly brought: readonly string[]
  /** Rows of its table of words. */
  readonly words: number
  /** What its outputs are, where it has a head of its own. */
  readonly classes: Classes | undefined
}

export interface PlanOptions {
  /** Modules of the model that are trained in full, by path or path end. */
  readonly train: readonly string[]
  readonly seed: number
  /** The starting values will be used. */
  readonly fresh: boolean
  /** Parameters that are one tensor in the model, and stay one where they are trained; the others get a copy each. */
  readonly ties: Ties
  /** Rows of the table of words. @default as the model has */
  readonly words?: number
  /** Tables that come with the adapter, by the names of what is theirs in the model. @default none */
  readonly tables?: NamedTensors
  /** Classes of its own: the task's head is then new, and trained. */
  readonly classes: Classes | undefined
}

/**
 * Works out the sites a method takes in a model and every tensor it needs there.
 *
 * @throws TargetError when a target or module does not exist, or nothing is left; InputError when options do not fit a site
 */
export function plan(model: Model, method: Method, options: PlanOptions): Plan {
  const { train, seed, fresh, ties, words = vocabSizeOf(model.parts), tables, classes } = options
  const rows = otherRows(model.parts, { words, classes: (classes ?? model.parts).labels.length })
  const all = resizedSites(model.parts.sites, rows)
  const params = resizedSpecs(model.parts, rows)
  const { sites, followers } = withFollowers(method, all, ties, new Map([...model.parts.ties, ...ties]))
  const ownHead = classes === undefined ? [] : headModules(model.parts.architecture.baseName, allNames(model))
  const trained = parametersOf(model, [...new Set([...train, ...ownHead])], ties)
  checkTrained(sites, trained, ties)
  const param = (full: string): Tensor => paramOf(model, full)
  const start = (full: string): Tensor => {
    const table = tables?.get(model.parts.ties.get(full) ?? full)
    return table === undefined ? param(full) : tf.tensor(table.values, [...table.shape])
  }
  const initContext = (path: string): InitContext => ({ draw: (local) => randomStream(seed, path, local), param: start, all, fresh })
  const specs = new Map<string, Init | Copy>()
  for (const [local, init] of Object.entries(method.shared?.(sites, initContext('')) ?? {})) specs.set(local, init)
  for (const site of sites) {
    for (const [local, init] of Object.entries(method.init(site, initContext(site.name)))) specs.set(`${site.name}.${local}`, init)
  }
  const own = method.copies?.(params, [...sites, ...followers.map(({ site }) => site)]) ?? []
  if (sites.length === 0 && own.length > 0 && own.every((name) => trained.includes(name))) {
    throw new TargetError(`${method.name}: all that it would train is named in \`train\` too; take it out of one:`, own.map((name) => `'${name}'`))
  }
  const copies = [...new Set([...trained, ...own])]
  for (const full of copies) {
    const stored = storedOf(model, full)
    const spec = params.get(model.parts.ties.get(full) ?? full)
    const shape = spec?.shape ?? stored.shape
    const isNew = spec !== undefined && ownHead.some((module) => full.startsWith(`${module}.`))
    specs.set(full, isNew ? { shape, values: fresh ? freshValues(full, spec, model.parts.architecture.initializerRange, seed) : NO_VALUES } : { shape, copyOf: stored })
  }
  if (specs.size === 0) throw new TargetError(`${method.name}: nothing is left to train.`)
  const { ties: allTies, architecture: { keys } } = model.parts
  const unused = taskRecord(model.parts.task).headless === true ? Object.keys(keys.unusedProducts ?? {}).map((module) => `${module}.weight`) : [] // in transformers' models they are
  const modules = modulesOf([...allNames(model), ...model.parts.unused.keys(), ...unused]).map((name) => ({ name }))
  const context = {
    sites, followers, all, params, ties: allTies, alsoCalled: keys.alsoCalled ?? {}, modules, task: model.parts.task, param,
    copies: own.filter((name) => !trained.includes(name)),
  }
  return { context, specs, copies, ties, brought: [], words, classes }
}

/**
 * The sites a method takes. Where it keeps tied weights one, it has its tensors at the table alone, and the head follows it,
 * whichever of the two was named.
 */
function withFollowers(method: Method, all: readonly Site[], ties: Ties, known: Ties): Pick<FormatContext, 'sites' | 'followers'> {
  const chosen = method.select(all)
  if (method.tied === undefined) return { sites: chosen, followers: [] }
  const { follows = (site: LinearSite | EmbeddingSite): boolean => site.kind === 'linear' && ties.has(site.weight) } = method
  const followers = [...known].flatMap(([name, kept]) => {
    const site = all.find((each) => (each.kind === 'linear' || each.kind === 'embedding') && each.weight === name)
    const owner = all.find((each) => each.kind === 'embedding' && each.weight === kept)
    if ((site?.kind !== 'linear' && site?.kind !== 'embedding') || owner?.kind !== 'embedding' || !(chosen.includes(site) || chosen.includes(owner))) return []
    if (!follows(site, owner, { all, ties })) return []
    return [{ site, owner }]
  })
  const taken = new Set([...chosen, ...followers.map(({ owner }) => owner)])
  for (const { site } of followers) taken.delete(site)
  return { sites: all.filter((site) => taken.has(site)), followers }
}

function parametersOf(model: Model, modules: readonly string[], ties: Ties): string[] {
  const names = allNames(model)
  const found = modules.map((module) => names.filter((name) => name === module || `.${name}`.includes(`.${module}.`)))
  const problems = modules.filter((_, i) => found[i]?.length === 0)
  if (problems.length > 0) {
    throw new TargetError('Modules to train that the model does not have:', problems.map((module) => `'${module}'`))
  }
  return [...new Set(found.flat().map((name) => ties.get(name) ?? name))]
}

/** A weight cannot be adapted and trained in full at once. */
function checkTrained(sites: readonly Site[], trained: readonly string[], ties: Ties): void {
  const both = sites.filter((site) => 'weight' in site && trained.includes(ties.get(site.weight) ?? site.weight))
  if (both.length === 0) return
  throw new TargetError('Modules that are adapted and also named in `train`; take them out of one:', both.map(({ name }) => `'${name}'`))
}
