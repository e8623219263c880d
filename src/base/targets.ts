import { TargetError } from '../errors.ts'
import { layerOf, type LinearSite, type Role, type Site } from './sites.ts'

/** Which linear sites a method takes; the rules of HF PEFT. */
export interface Selection {
  /**
   * Module names, matched whole or as the end of a path; or one text: `'all-linear'` for every product but the head,
   * otherwise a regular expression for the whole path. @default the method's own choice
   */
  readonly targets?: readonly string[] | string
  /** Module names, or a regular expression, to leave out. */
  readonly exclude?: readonly string[] | string
  /** Numbers of the layers to take. @default all */
  readonly layers?: readonly number[]
}

/**
 * Chooses linear sites.
 *
 * @param defaultRoles what is taken when `targets` is left out
 * @throws TargetError when anything that was named matches nothing, with the nearest names; all findings at once
 * @example const chosen = selectLinear(sites, { targets: ['query', 'value'] }, ['query', 'value'])
 */
export function selectLinear(all: readonly Site[], selection: Selection, defaultRoles: readonly Role[]): LinearSite[] {
  const sites = linearSites(all)
  const { targets, exclude, layers } = selection
  const problems: string[] = []
  const matches = (rule: readonly string[] | string, label: string): Set<LinearSite> => {
    const rules = typeof rule === 'string' ? [wholePath(rule, problems)] : rule.map(pathEnd)
    const texts = typeof rule === 'string' ? [rule] : rule
    const found = rules.map((test) => sites.filter(({ name }) => test(name)))
    found.forEach((hits, i) => {
      if (hits.length === 0) problems.push(`${label} '${texts[i] ?? ''}' matches no linear module${nearest(texts[i] ?? '', sites)}`)
    })
    return new Set(found.flat())
  }
  const excluded = exclude === undefined ? new Set<LinearSite>() : matches(exclude, 'exclude')
  const inner = sites.filter(({ role }) => role !== 'head')
  const named =
    targets === undefined
      ? new Set(inner.filter(({ role }) => role !== undefined && defaultRoles.includes(role)))
      : targets === 'all-linear'
        ? new Set(inner)
        : matches(targets, 'target')
  const known = new Set(sites.map(({ name }) => layerOf(name)))
  for (const layer of layers ?? []) if (!known.has(layer)) problems.push(`layer ${layer} does not exist`)
  const chosen = sites.filter(
    (site) => named.has(site) && !excluded.has(site) && (layers?.includes(layerOf(site.name) ?? -1) ?? true),
  )
  if (problems.length === 0 && chosen.length === 0) problems.push('nothing is left to train')
  if (problems.length > 0) throw new TargetError('The targets do not fit the model:', problems)
  return chosen
}

/**
 * The module names to write into a file: the user's own where PEFT means the same by them, else the shortest path
 * ends that select exactly the chosen sites.
 *
 * @example targetNames({ targets: 'all-linear' }, chosen, all) // ['query', 'key', 'value', 'dense']
 */
export function targetNames({ targets }: Selection, chosen: readonly Site[], allSites: readonly Site[]): readonly string[] | string {
  if (targets !== undefined && targets !== 'all-linear') return targets
  const all = linearSites(allSites)
  const taken = new Set(linearSites(chosen))
  const names = new Set<string>()
  for (const { name } of taken) {
    const parts = name.split('.')
    for (let length = 1; length <= parts.length; length++) {
      const end = parts.slice(-length).join('.')
      if (length < parts.length && all.some((site) => pathEnd(end)(site.name) && !taken.has(site))) continue
      names.add(end)
      break
    }
  }
  return [...names]
}

/** The first rule, in order, whose pattern fits the end of a path; the rule of HF PEFT's `rank_pattern`. */
export function firstMatch<T>(patterns: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.entries(patterns).find(([pattern]) => new RegExp(`^(.*\\.)?(${pattern})$`).test(name))?.[1]
}

function linearSites(sites: readonly Site[]): LinearSite[] {
  return sites.filter((site) => site.kind === 'linear')
}

function pathEnd(end: string): (name: string) => boolean {
  return (name) => name === end || name.endsWith(`.${end}`)
}

function wholePath(pattern: string, problems: string[]): (name: string) => boolean {
  try {
    const expression = new RegExp(`^(?:${pattern})$`)
    return (name) => expression.test(name)
  } catch (error) {
    problems.push(`'${pattern}' is not a regular expression: ${error instanceof Error ? error.message : ''}`)
    return () => true
  }
}

function nearest(text: string, sites: readonly LinearSite[]): string {
  const names = [...new Set(sites.flatMap(({ name }) => [name.split('.').at(-1) ?? name, name.split('.').slice(-2).join('.')]))]
  const near = names
    .map((name) => ({ name, distance: editDistance(text, name) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name)
  const last = [...new Set(sites.map(({ name }) => name.split('.').at(-1) ?? name))]
  return near.length > 0 ? `; did you mean ${near.join(', ')}?` : `; the model has ${last.join(', ')}`
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
