import { shown, TargetError } from '../../errors.ts'
import { pathEnd, type Named } from './module-names.ts'
import { takenInFile } from './peft-selection.ts'
import { patternProblem, pythonPattern } from '../python-regex/pattern.ts'
import { nearTo, type Names } from '../options.ts'
import { layerOf, type EmbeddingSite, type ExpertsSite, type LinearSite, type Role, type Site, type Tower } from '../sites.ts'
import type { FileRules, Selection } from './selection.ts'

export const SELECTION: Names<Selection> = { targets: true, exclude: true, layers: true, tower: true, inFile: true }

/**
 * Chooses linear sites.
 *
 * @param defaultRoles what is taken when `targets` is left out
 * @throws TargetError when anything that was named matches nothing, with the nearest names; all findings at once
 * @example const chosen = selectLinear(model.parts.sites, { targets: ['query', 'value'] }, ['query', 'value'])
 */
export function selectLinear(all: readonly Site[], selection: Selection, defaultRoles: readonly Role[]): LinearSite[] {
  const sites = linearSites(all)
  return selectModules(sites, selection, { ...linearShorthands(sites, defaultRoles), what: 'linear module' })
}

/** Chooses as `selectLinear` does, and embeddings besides where they are named. */
export function selectWeights(all: readonly Site[], selection: Selection, defaultRoles: readonly Role[]): (LinearSite | EmbeddingSite)[] {
  const sites = weightSites(all)
  return selectModules(sites, selection, { ...linearShorthands(linearSites(all), defaultRoles), what: 'linear module or embedding' })
}

/**
 * Stacks of experts and weights of linear modules by the ends of their parameters' names.
 *
 * @param file the file that names them, of which what fits nothing has no effect, as in HF PEFT
 * @throws TargetError when a name fits nothing
 */
export function selectParameters(all: readonly Site[], names: readonly string[], file?: string): (LinearSite | ExpertsSite)[] {
  const sites = all.filter((site) => site.kind === 'experts' || site.kind === 'linear')
  const fits = names.map((name) => sites.filter(({ weight }) => pathEnd(name)(weight)))
  const problems = names.filter((_, i) => fits[i]?.length === 0)
  if (problems.length > 0 && file === undefined) {
    const stacks = [...new Set(all.flatMap(({ kind, name }) => (kind === 'experts' ? [name.split('.').slice(-2).join('.')] : [])))]
    throw new TargetError('targetParameters that the model does not have:', problems.map((name) => `'${name}'; the model has ${stacks.length === 0 ? 'no stacks of experts' : stacks.join(', ')}`))
  }
  return [...new Set(fits.flat())]
}

/** What a selection means where it names nothing. */
interface Shorthands<T> {
  readonly unnamed: readonly T[]
  readonly allLinear?: readonly T[]
  /** What the modules are, for error texts. */
  readonly what: string
}

/** What a selection chooses among. */
export interface Module extends Named {
  readonly tower?: Tower
}

/** Chooses among any modules by a selection's rules. @throws TargetError as `selectLinear` does */
export function selectModules<T extends Module>(all: readonly T[], selection: Selection, { unnamed, allLinear, what }: Shorthands<T>): T[] {
  const { targets, exclude, layers, tower, inFile } = selection
  if (inFile !== undefined) return selectInFile(all, selection, inFile, what, allLinear)
  const modules = tower === undefined ? all : all.filter((module) => module.tower === tower)
  if (modules.length === 0 && tower !== undefined) {
    const towers = [...new Set(all.flatMap((module) => module.tower ?? []))]
    throw new TargetError(`tower: expected ${towers.length === 0 ? 'none, the model has no towers' : `one of ${towers.join(', ')}`}, got '${tower}'.`)
  }
  const problems: string[] = []
  const matches = (rule: readonly string[] | string, label: string): Set<T> => {
    const rules = typeof rule === 'string' ? [wholePath(rule, label, problems)] : rule.map(pathEnd)
    const texts = typeof rule === 'string' ? [rule] : rule
    const found = rules.map((test) => modules.filter(({ name }) => test(name)))
    found.forEach((hits, i) => {
      if (hits.length === 0) problems.push(`${label} '${texts[i] ?? ''}' matches no ${what}${nearest(texts[i] ?? '', modules)}`)
    })
    return new Set(found.flat())
  }
  const excluded = exclude === undefined ? new Set<T>() : matches(exclude, 'exclude')
  const named =
    targets === undefined
      ? new Set(unnamed)
      : targets === 'all-linear' && allLinear !== undefined
        ? new Set(allLinear)
        : matches(targets, 'target')
  const known = new Set(modules.map(({ name }) => layerOf(name)))
  for (const layer of layers ?? []) if (!known.has(layer)) problems.push(`layer ${layer} does not exist`)
  const chosen = modules.filter(
    (module) => named.has(module) && !excluded.has(module) && (layers?.includes(layerOf(module.name) ?? -1) ?? true),
  )
  if (problems.length === 0 && chosen.length === 0) problems.push('nothing is left to train')
  if (problems.length > 0) throw new TargetError('The targets do not fit the model:', problems)
  return chosen
}

/** What a file's names fit; those that fit nothing are said in the adapter's warnings. */
function selectInFile<T extends Named>(
  modules: readonly T[], selection: Selection, inFile: FileRules, what: string, allLinear: readonly T[] | undefined,
): T[] {
  const takes = takenInFile(selection, inFile, allLinear?.map(({ name }) => name))
  const chosen = modules.filter(({ name }) => takes(name))
  if (chosen.length > 0) return chosen
  const ends = [...new Set(modules.map(({ name }) => name.split('.').at(-1) ?? name))]
  throw new TargetError(
    `${inFile.file}: target_modules ${shown(selection.targets)}, with what is excluded and trained in full left out, takes no ${what} of this ` +
      `model, which has ${ends.join(', ')}. Was the adapter made for another model?`,
  )
}

function linearShorthands(sites: readonly LinearSite[], defaultRoles: readonly Role[]): Omit<Shorthands<LinearSite>, 'what'> {
  // to PEFT a router is a parameter and what cuts patches a convolution, not linear modules
  const inner = sites.filter(({ role, kernel }) => role !== 'head' && role !== 'router' && kernel === undefined)
  return { unnamed: inner.filter(({ role }) => role !== undefined && defaultRoles.includes(role)), allLinear: inner }
}

function linearSites(sites: readonly Site[]): LinearSite[] {
  return sites.filter((site) => site.kind === 'linear')
}

/** The places with a weight, which are those a file can name. */
export function weightSites(sites: readonly Site[]): (LinearSite | EmbeddingSite)[] {
  return sites.filter((site) => site.kind === 'linear' || site.kind === 'embedding')
}

function wholePath(pattern: string, label: string, problems: string[]): (name: string) => boolean {
  const problem = patternProblem(pattern)
  if (problem === undefined) return pythonPattern(pattern).fits
  problems.push(`${label} '${pattern}' is not a regular expression of Python: ${problem}`)
  return () => true
}

function nearest(text: string, sites: readonly Named[]): string {
  if (text === 'all-linear') return "; it is no name in a list: targets: 'all-linear'"
  const names = [...new Set(sites.flatMap(({ name }) => [name.split('.').at(-1) ?? name, name.split('.').slice(-2).join('.')]))]
  const near = nearTo(text, names)
  const last = [...new Set(sites.map(({ name }) => name.split('.').at(-1) ?? name))]
  return near.length > 0 ? `; did you mean ${near.join(', ')}?` : `; the model has ${last.join(', ')}`
}
