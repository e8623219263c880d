import { InputError, shown } from '../errors.ts'
import type { EmbeddingSite, ExpertsSite, LinearSite, Site, ParameterSpec } from '../base/sites.ts'
import { patternExpression, patternTable } from '../base/adapter/peft-selection.ts'
import { patternProblem } from '../base/python-regex/pattern.ts'
import { SELECTION } from '../base/adapter/targets.ts'
import { checkNames, type Names } from '../base/options.ts'
import { checkIndices } from '../base/adapter/token-rows.ts'
import type { Selection } from '../base/adapter/selection.ts'

/**
 * How A and B start.
 *
 * - `'kaiming'`: A as U(±1/√in), B as zeros; at embeddings A as zeros, B as N(0, 1)
 * - `'gaussian'`: A as N(0, 1/rank), B as zeros; embeddings as above
 * - `'pissa'`: the largest singular directions of the weight, which trains faster; with `iterations`, found by that many
 *   rounds of a randomised search instead of in full. Meng et al. 2024, arXiv:2404.02948
 * - `'olora'`: orthonormal, from the weight's QR decomposition. Büyükakyüz 2024, arXiv:2406.01775
 *
 * The adapted model starts equal to the base with each of them.
 */
export type LoraInit = 'kaiming' | 'gaussian' | 'olora' | 'pissa' | { readonly kind: 'pissa'; readonly iterations: number }

/**
 * Options of LoRA. Which modules it takes: `targets`, `exclude`, `layers`; query and value when none are named.
 * Embeddings can be named too.
 */
export interface LoraOptions extends Selection {
  /**
   * Parameters by path end, for weights that are no module's own: stacks of experts (`['experts.gate_up_proj', 'experts.down_proj']`),
   * each expert with a pair of its own, and the product that chooses them (`gate.weight`). Only these are taken where `targets` is left
   * out. Stacks have no dropout and start plainly. @default none
   */
  readonly targetParameters?: readonly string[]
  /** Rank of the update. @default 8 */
  readonly rank?: number
  /** Numerator of the update's scale. @default 8 */
  readonly alpha?: number
  /** Dropout on the update's input while training, in [0, 1); embeddings have none. @default 0 */
  readonly dropout?: number
  /** Divides by √rank instead of rank, so that a large rank does not weaken the update. @default false */
  readonly rankStabilized?: boolean
  /** How A and B start. @default 'kaiming' */
  readonly init?: LoraInit
  /**
   * Where the model's head is the table of the words and either is among the targets, both get the same update and stay one
   * tensor. Without it each has its own. @default false
   */
  readonly ensureWeightTying?: boolean
  /** Biases of the model that are trained beside it: those of the modules it takes, or all. @default 'none' */
  readonly bias?: 'none' | 'lora_only' | 'all'
  /** Other ranks for some modules: path end (or Python's regular expression for it) to rank; the first that fits counts. @default none */
  readonly rankPattern?: Readonly<Record<string, number>>
  /** Other alphas for some modules, likewise. @default none */
  readonly alphaPattern?: Readonly<Record<string, number>>
  /**
   * Ids of tokens whose rows are trained beside it, in the table in which texts are looked up, or by module: path end to ids. A head that
   * is one tensor with the table changes with it; see `trainableTokens`. @default none
   */
  readonly trainableTokens?: TokenRows
}

/** Ids of tokens, or ids by the names of modules. */
export type TokenRows = readonly number[] | Readonly<Record<string, readonly number[]>>

type FilledOptions = Required<Omit<LoraOptions, keyof Selection | 'trainableTokens'>> & Selection & Pick<LoraOptions, 'trainableTokens'>

/** LoRA's options with every default filled in, and what the patterns say of each module. */
export interface LoraConfig extends FilledOptions {
  readonly rankAt: (module: string) => number
  readonly alphaAt: (module: string) => number
}

const NAMES: Names<LoraOptions> = {
  ...SELECTION, rank: true, alpha: true, dropout: true, rankStabilized: true, init: true, ensureWeightTying: true, bias: true,
  rankPattern: true, alphaPattern: true, targetParameters: true, trainableTokens: true,
}

/** @throws InputError with everything that is wrong with the options */
export function configOf(what: string, options: LoraOptions): LoraConfig {
  checkNames(what, options, NAMES)
  const filled: FilledOptions = {
    rank: 8, alpha: 8, dropout: 0, rankStabilized: false, init: 'kaiming', bias: 'none', rankPattern: {}, alphaPattern: {},
    ensureWeightTying: false, targetParameters: [], ...options,
  }
  check(filled)
  const { trainableTokens } = filled
  if (trainableTokens !== undefined) {
    for (const [module, indices] of Object.entries(Array.isArray(trainableTokens) ? { '': trainableTokens } : trainableTokens)) {
      checkIndices(`${what}: trainableTokens${module === '' ? '' : `['${module}']`}`, indices as readonly number[])
    }
  }
  const { rank, rankPattern, alpha, alphaPattern } = filled
  const [ranks, alphas] = [patternTable(rankPattern), patternTable(alphaPattern)]
  return { ...filled, rankAt: (module) => ranks(module) ?? rank, alphaAt: (module) => alphas(module) ?? alpha }
}

/** Where LoRA can be. */
export type WeightSite = LinearSite | ExpertsSite | EmbeddingSite

/** Rank and scale at one site. */
export function sizeAt(config: LoraConfig, site: Site): { readonly rank: number; readonly scale: number } {
  const [rank, alpha] = [config.rankAt(site.name), config.alphaAt(site.name)]
  return { rank, scale: alpha / (config.rankStabilized ? Math.sqrt(rank) : rank) }
}

/** Widths of a site's weight as LoRA sees it: ΔW = B A is (out, in), an embedding's transposed. */
export function widthsOf(site: WeightSite): { readonly inSize: number; readonly outSize: number } {
  return site.kind === 'embedding' ? { inSize: site.count, outSize: site.size } : site
}

/** Whether an init takes A and B from the weight. */
export function isWeightInit({ init }: Pick<LoraConfig, 'init'>): boolean {
  return init !== 'kaiming' && init !== 'gaussian'
}

/**
 * Whether A and B start as a part of the weight at a site, so that what they started as has to be taken off again. At
 * embeddings they never do: as in PEFT, an init from the weight is the plain start there.
 */
export function startsFromWeight(config: Pick<LoraConfig, 'init'>, { kind }: Pick<Site, 'kind'>): boolean {
  return isWeightInit(config) && kind === 'linear'
}

/** The biases that `bias` asks for. */
export function biasesOf({ bias }: LoraConfig, params: ReadonlyMap<string, ParameterSpec>, sites: readonly Site[]): string[] {
  if (bias === 'none') return []
  if (bias === 'all') return [...params.keys()].filter((name) => name.endsWith('.bias')) // norms' too, as in PEFT
  return sites.flatMap((site) => (site.kind === 'linear' && site.bias !== undefined ? [site.bias] : []))
}

function check(config: FilledOptions): void {
  const { rank, alpha, dropout, init, rankPattern, alphaPattern } = config
  const problems: string[] = []
  const ranks = { rank, ...prefixed('rankPattern', rankPattern) }
  for (const [name, value] of Object.entries(ranks)) {
    if (!Number.isInteger(value) || value < 1) problems.push(`${name}: expected an integer of at least 1, got ${shown(value)}`)
  }
  const alphas = { alpha, ...prefixed('alphaPattern', alphaPattern) }
  for (const [name, value] of Object.entries(alphas)) {
    if (!Number.isFinite(value)) problems.push(`${name}: expected a number, got ${value}`)
    else if (value === 0) problems.push(`${name}: expected another number than 0, with which nothing would be learned`)
    else if (value <= 0 && isWeightInit(config)) problems.push(`${name}: expected a number above 0 with this init, got ${value}`)
  }
  for (const [name, patterns] of Object.entries({ rankPattern, alphaPattern })) {
    for (const pattern of Object.keys(patterns)) {
      const problem = patternProblem(patternExpression(pattern))
      if (problem !== undefined) problems.push(`${name}['${pattern}']: not a regular expression of Python: ${problem}`)
    }
  }
  if (!(dropout >= 0 && dropout < 1)) problems.push(`dropout: expected a number in [0, 1), got ${dropout}`)
  if (typeof init === 'object' && !(Number.isInteger(init.iterations) && init.iterations >= 0)) {
    problems.push(`init.iterations: expected a natural number, got ${shown(init.iterations)}`)
  }
  if (problems.length > 0) throw new InputError('lora: the options cannot be used:', problems)
}

function prefixed(name: string, record: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [`${name}['${key}']`, value]))
}
