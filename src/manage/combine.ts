import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { attachTensors } from '../base/adapter/attach.ts'
import { adaptersOf, tensorsAt } from '../base/adapter/attached.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import type { LowRank } from '../base/method.ts'
import type { Model } from '../base/model.ts'
import { firstColumns, svd } from '../base/ops/svd.ts'
import { paramOf, storedOf } from '../base/parameters.ts'
import { NO_TIES } from '../base/ties.ts'
import { randomStream, type RandomStream } from '../base/random.ts'
import type { EmbeddingSite, LinearSite, Site } from '../base/sites.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { weightSites } from '../base/adapter/targets.ts'
import { sameClasses } from '../base/adapter/classes.ts'
import { vocabSizeOf } from '../base/adapter/vocabulary.ts'
import type { NamedTensor } from '../base/adapter/file-format.ts'
import { lora } from '../lora/lora.ts'
import { adapterNamed } from '../base/adapter/named.ts'
import { combineValues, weightedSum, type Rule } from './rules.ts'
import { checkNames } from '../base/options.ts'

/**
 * How updates s·B A become one.
 *
 * - `'cat'`: exactly the weighted sum, of the ranks' sum
 * - `'svd'`: the weighted sum cut to `rank`; exact where that is no less than the ranks' sum
 * - `'linear'`, `'ties'`, `'dare-linear'`, `'dare-ties'`, `'magnitude-prune'`: A's with A's and B's with B's, of equal rank.
 *   Products of one adapter's B with another's A come in: an approximation, as in PEFT
 * - with `'-svd'`: the same rules on whole updates, cut to `rank`
 *
 * The svd kinds also take what changes a weight by more than B A: of DoRA, m / ‖W + s B A‖ (W + s B A) − W. That has full
 * rank, of which the result keeps the `rank` largest directions.
 */
export type CombineKind =
  | 'cat' | 'svd' | 'linear' | 'ties' | 'dare-linear' | 'dare-ties' | 'magnitude-prune'
  | 'ties-svd' | 'dare-linear-svd' | 'dare-ties-svd' | 'magnitude-prune-svd'

/** One adapter of a combination. */
export interface Part {
  readonly adapter: Adapter | string
  /** @default 1 */
  readonly weight?: number
}

/** What `combine` makes of several adapters, and under which name. */
export interface CombineOptions {
  readonly kind: CombineKind
  /** Name of the new adapter. */
  readonly name: string
  /** Share of the elements that pruning keeps, in (0, 1]; the ties, dare and prune kinds need it. @default none: the others keep all */
  readonly density?: number
  /** Rank of the result of the svd kinds. @default the largest of the adapters; DoRA's changes have none of their own */
  readonly rank?: number
  /** Decides what the dare kinds drop. @default 0 */
  readonly seed?: number
  /** The new adapter takes part in the forward pass at once, beside those it was made of. @default false */
  readonly enabled?: boolean
}

const RULES: Readonly<Record<string, Rule>> = {
  linear: { prune: 'none', combine: 'sum' },
  svd: { prune: 'none', combine: 'sum' },
  ties: { prune: 'magnitude', combine: 'agreeing' },
  'dare-linear': { prune: 'random', combine: 'sum' },
  'dare-ties': { prune: 'random', combine: 'agreeing' },
  'magnitude-prune': { prune: 'magnitude', combine: 'sum' },
}

/**
 * Attaches a new LoRA adapter made of others, each with a weight; those stay as they are. Where one of them has nothing
 * at a module, it adds nothing there. Parameters trained in full (heads, biases) become base + Σ weight · difference
 * from the base.
 *
 * Differs from PEFT: a rank pattern, a scale of its own and starts from the weight (PiSSA) count for each adapter at each
 * module; two adapters may hold copies of one parameter. PEFT combines the A and B of DoRAs and starts their magnitudes
 * anew, which loses what those learned; here the svd kinds combine the whole change of the weight, into a LoRA.
 *
 * @throws InputError when a method does more than change weights, or more than add B A where the kind needs that, or
 *   options do not fit
 * @example combine(model, [{ adapter: 'a', weight: 0.7 }, { adapter: 'b', weight: 0.3 }], { kind: 'cat', name: 'mix' })
 */
export function combine(model: Model, parts: readonly Part[], options: CombineOptions): Adapter {
  checkNames('combine', options, { kind: true, name: true, density: true, rank: true, seed: true, enabled: true })
  const chosen = parts.map(({ adapter, weight = 1 }) => ({
    adapter: typeof adapter === 'string' ? adapterNamed(model, adapter) : adapter,
    weight,
  }))
  check(model, chosen, options)
  const sites = weightSites(model.parts.sites).filter((site) => chosen.some(({ adapter }) => adapter.sites.includes(site)))
  const tensors = new Map<string, NamedTensor>()
  const ranks = new Map<Site, number>()
  for (const site of sites) {
    tf.tidy(() => {
      const { A, B } = options.kind.endsWith('svd') ? cutAt(model, site, chosen, options) : combineAt(site, partsAt(site, chosen), options)
      tensors.set(`${site.name}.A`, named(A))
      tensors.set(`${site.name}.B`, named(B))
      ranks.set(site, A.shape[0])
    })
  }
  const rank = Math.max(...ranks.values())
  const others = Object.fromEntries([...ranks].filter(([, other]) => other !== rank).map(([{ name }, other]) => [name, other]))
  const method = lora({
    rank,
    alpha: rank, // so that the scale is 1: the scales are in the tensors
    targets: moduleNames(sites, weightSites(model.parts.sites)),
    rankPattern: others,
    alphaPattern: others,
    bias: biasesOf(sites, chosen),
  })
  const train = [...new Set(chosen.flatMap(({ adapter: { copies, context } }) => copies.filter((name) => !context.copies.includes(name))))]
  const { name, enabled = false } = options
  return attachTensors(
    model,
    method,
    ({ copies }) => {
      for (const copy of [...train, ...copies]) tensors.set(copy, combineCopies(model, copy, chosen))
      return tensors
    },
    { name, train, enabled, ...(chosen.some(({ adapter }) => tiesUsed(adapter) === false) ? { ties: NO_TIES } : {}) },
  )
}

interface Weighted {
  readonly adapter: Adapter
  readonly weight: number
}

interface Update extends LowRank {
  readonly weight: number
}

interface Change {
  readonly delta: Tensor2D // (out, in)
  readonly weight: number
}

type Pair = Pick<LowRank, 'A' | 'B'>

function partsAt(site: LinearSite | EmbeddingSite, chosen: readonly Weighted[]): Update[] {
  return chosen.flatMap(({ adapter, weight }) =>
    adapter.sites.includes(site) && adapter.method.lowRank !== undefined
      ? [{ ...adapter.method.lowRank(site, tensorsAt(adapter, site)), weight }]
      : [],
  )
}

/** What each adapter changes at a site's weight, whole. */
function changesAt(model: Model, site: LinearSite | EmbeddingSite, chosen: readonly Weighted[]): Change[] {
  return chosen.flatMap(({ adapter, weight }) => (adapter.sites.includes(site) ? [{ delta: changeOf(model, site, adapter), weight }] : []))
}

function changeOf(model: Model, site: LinearSite | EmbeddingSite, adapter: Adapter): Tensor2D {
  const { lowRank, merge } = adapter.method
  const own = tensorsAt(adapter, site)
  if (lowRank !== undefined) {
    const { A, B, scale } = lowRank(site, own)
    return tf.mul(tf.matMul(B, A), scale)
  }
  const before = paramOf(model, site.weight) as Tensor2D
  const bias = site.kind === 'linear' && site.bias !== undefined ? (paramOf(model, site.bias) as Tensor1D) : undefined
  const after = merge?.(site, { weight: before, bias }, own) // checked: it has one
  if (after === undefined || after.bias !== bias) {
    throw new InputError(`combine: '${adapter.name}' changes the bias of '${site.name}', which a LoRA cannot.`)
  }
  const delta = tf.sub<Tensor2D>(after.weight, before)
  return site.kind === 'linear' ? delta : tf.transpose(delta)
}

function cutAt(model: Model, site: LinearSite | EmbeddingSite, chosen: readonly Weighted[], options: CombineOptions): Pair {
  const changes = changesAt(model, site, chosen)
  const { rank = Math.max(...partsAt(site, chosen).map(({ A }) => A.shape[0])) } = options
  return cut(mix(changes.map(({ delta }) => delta), changes.map(({ weight }) => weight), options, [site.name, 'delta']), rank)
}

function mix(tensors: readonly Tensor2D[], weights: readonly number[], { kind, density = 1, seed = 0 }: CombineOptions, path: readonly string[]): Tensor2D {
  const rule = RULES[kind.replace(/-svd$/, '')] as Rule // every kind but 'cat' has one
  const draw = (part: number): RandomStream => randomStream(seed, ...path, part)
  const values = combineValues(tensors.map((tensor) => tensor.dataSync() as Float32Array), weights, rule, density, draw)
  return tf.tensor2d(values, (tensors[0] as Tensor2D).shape) // a site has at least one adapter
}

function combineAt(site: Site, updates: readonly Update[], options: CombineOptions): Pair {
  const { kind } = options
  if (kind === 'cat') {
    return {
      A: tf.concat(updates.map(({ A, scale, weight }) => tf.mul<Tensor2D>(A, scale * weight)), 0),
      B: tf.concat(updates.map(({ B }) => B), 1),
    }
  }
  // The sign goes to one side alone: on both it would cancel.
  const roots = updates.map(({ scale, weight }) => Math.sqrt(Math.abs(scale * weight)))
  const signed = roots.map((root, i) => root * Math.sign((updates[i]?.scale ?? 0) * (updates[i]?.weight ?? 0)))
  return {
    A: mix(updates.map(({ A }) => A), signed, options, [site.name, 'A']),
    B: mix(updates.map(({ B }) => B), roots, options, [site.name, 'B']),
  }
}

/** The nearest product of the given rank: B = U diag(s), A = Vᵀ. */
function cut(delta: Tensor2D, rank: number): Pair {
  const { u, s, v } = svd(delta)
  const kept = Math.min(rank, s.shape[0])
  return { A: tf.transpose(firstColumns(v, kept)), B: tf.mul(firstColumns(u, kept), tf.slice(s, 0, kept)) }
}

function combineCopies(model: Model, name: string, chosen: readonly Weighted[]): NamedTensor {
  const origin = tf.tidy(() => paramOf(model, name).dataSync() as Float32Array)
  const changed = chosen.flatMap(({ adapter, weight }) => {
    const copy = adapter.copies.includes(name) ? adapter.trainable[name] : undefined
    return copy === undefined ? [] : [{ weight, values: (copy.dataSync() as Float32Array).map((value, i) => value - (origin[i] ?? 0)) }]
  })
  return {
    shape: storedOf(model, name).shape,
    values: weightedSum([origin, ...changed.map(({ values }) => values)], [1, ...changed.map(({ weight }) => weight)]),
  }
}

/** The option under which the new adapter has every bias that the others trained. */
function biasesOf(sites: readonly Site[], chosen: readonly Weighted[]): 'none' | 'lora_only' | 'all' {
  const trained = chosen.flatMap(({ adapter }) => adapter.context.copies)
  if (trained.length === 0) return 'none'
  return trained.every((name) => sites.some((site) => site.kind === 'linear' && site.bias === name)) ? 'lora_only' : 'all'
}

function named(tensor: Tensor): NamedTensor {
  return { shape: tensor.shape, values: tensor.dataSync() as Float32Array }
}

function check(model: Model, chosen: readonly Weighted[], { kind, name, density, rank }: CombineOptions): void {
  const problems: string[] = []
  if (chosen.length === 0) problems.push('expected at least one adapter')
  if (adaptersOf(model).some((other) => other.name === name)) problems.push(`name: the model already has an adapter '${name}'`)
  const rule = RULES[kind.replace(/-svd$/, '')]
  if (kind !== 'cat' && rule === undefined) problems.push(`kind: '${kind}' is not one of ${['cat', ...Object.keys(RULES)].join(', ')}, or the last four with -svd`)
  if (rule !== undefined && rule.prune !== 'none' && !(density !== undefined && density > 0 && density <= 1)) {
    problems.push(`density: '${kind}' needs a share in (0, 1], got ${String(density)}`)
  }
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1)) problems.push(`rank: expected an integer of at least 1, got ${shown(rank)}`)
  for (const { adapter, weight } of chosen) {
    if (adapter.model !== model) problems.push(`'${adapter.name}' belongs to another model`)
    if (!Number.isFinite(weight)) problems.push(`'${adapter.name}': expected a finite weight, got ${weight}`)
    problems.push(...methodProblems(adapter, kind))
    if (!sameClasses(adapter, model.parts)) problems.push(`'${adapter.name}' has classes of its own (${adapter.labels.length}); merge it alone`)
    if (adapter.words !== vocabSizeOf(model.parts)) {
      problems.push(`'${adapter.name}' has ${adapter.words} words and the model ${vocabSizeOf(model.parts)}; merge it and attach the others to the merged model`)
    }
    if (adapter.context.followers.length > 0) problems.push(`'${adapter.name}' ties the updates of table and head (ensureWeightTying), which a combination does not`)
  }
  const tied = new Set(chosen.map(({ adapter }) => tiesUsed(adapter)).filter((used) => used !== undefined))
  if (tied.size > 1) problems.push('some of them train table and head as one tensor and others apart; merge them one by one')
  const unranked = chosen.find(({ adapter: { method } }) => method.lowRank === undefined && method.merge !== undefined)
  if (kind.endsWith('svd') && rank === undefined && unranked !== undefined) {
    problems.push(`rank: '${kind}' needs one: what '${unranked.adapter.name}' changes has none of its own`)
  }
  if (problems.length === 0 && kind !== 'cat' && !kind.endsWith('svd')) problems.push(...unequalRanks(chosen, kind))
  if (problems.length > 0) throw new InputError('combine: these cannot be combined:', problems)
}

/** Whether an adapter trains what is tied in the model as one tensor; undefined where it trains neither. */
function tiesUsed({ copies, ties, context }: Adapter): boolean | undefined {
  const touched = [...context.ties].filter((pair) => pair.some((name) => copies.includes(name)))
  return touched.length === 0 ? undefined : touched.every(([name]) => ties.has(name))
}

function methodProblems({ name, method: { name: method, lowRank, merge } }: Adapter, kind: CombineKind): string[] {
  if (lowRank !== undefined) return []
  if (merge === undefined) return [`'${name}': expected a method that adds a product B A to weights and does nothing else, as LoRA`]
  if (kind.endsWith('svd')) return []
  const other = kind === 'cat' || kind === 'linear' ? 'svd' : `${kind}-svd`
  return [`'${name}': this ${method} does more than add a product B A to weights, which '${kind}' cannot keep; take '${other}'`]
}

function unequalRanks(chosen: readonly Weighted[], kind: CombineKind): string[] {
  const sites = [...new Set(chosen.flatMap(({ adapter }) => adapter.sites))] as (LinearSite | EmbeddingSite)[]
  return sites.flatMap((site) => {
    const ranks = tf.tidy(() => partsAt(site, chosen).map(({ A }) => A.shape[0]))
    return new Set(ranks).size === 1 ? [] : [`'${site.name}': '${kind}' needs one rank, these have ${ranks.join(', ')}; take 'cat' or '${kind === 'linear' ? 'svd' : `${kind}-svd`}'`]
  })
}
