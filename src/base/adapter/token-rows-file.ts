// Trained rows of tables in HF PEFT's files: `trainable_tokens_delta` holds the rows themselves, whatever its name says.

import { CheckpointError } from '../../errors.ts'
import type { Site } from '../sites.ts'
import { sameValues } from '../ties.ts'
import { MODULE_PREFIX, type NamedTensors, type FormatContext } from './file-format.ts'

/** The key of trained rows below a module's. */
export const ROWS_KEY = 'trainable_tokens_delta'

/** What is left of a file's sites where rows are trained. */
export type TokenPart = Pick<FormatContext, 'sites' | 'followers'>

/** PEFT leaves out a bias beside trained rows of a head. */
export function biasWarnings({ sites, followers }: TokenPart): string[] {
  const heads = [...sites, ...followers.map(({ site }) => site)].filter((site) => site.kind === 'linear' && site.bias !== undefined)
  return heads.map(({ name }) => `HF PEFT computes '${name}' without its bias where its tokens are trained; here it is added.`)
}

/**
 * Without the rows as they were, and with the base's own table, where that goes along, below the name that PEFT has for it.
 *
 * @param inner that name
 */
export function rowsToFile(tensors: NamedTensors, part: TokenPart, inner: string): NamedTensors {
  const sites = everySite(part)
  const deeper = new Map(sites.flatMap((site) => {
    const names = site.kind === 'linear' ? [site.weight, site.bias ?? site.weight] : site.kind === 'embedding' ? [site.weight] : []
    return names.map((name) => [name, name.replace(/\.(\w+)$/, `.${inner}.$1`)] as const)
  }))
  const starts = new Set(sites.map(({ name }) => `${name}.start`))
  return new Map([...tensors].flatMap(([name, tensor]) => (starts.has(name) ? [] : [[deeper.get(name) ?? name, tensor] as const])))
}

/** A head that follows a table has its rows in the file again. @throws CheckpointError where the two differ */
export function rowsFromFile(tensors: NamedTensors, { followers }: TokenPart): NamedTensors {
  const result = new Map(tensors)
  const problems: string[] = []
  for (const { site, owner } of followers) {
    const [own, kept] = [result.get(`${site.name}.rows`), result.get(`${owner.name}.rows`)]
    if (own === undefined) continue
    result.delete(`${site.name}.rows`)
    if (kept === undefined) result.set(`${owner.name}.rows`, own)
    else if (!sameValues(own.values, kept.values)) problems.push(`${MODULE_PREFIX}${site.name}.${ROWS_KEY} and ${MODULE_PREFIX}${owner.name}.${ROWS_KEY}`)
  }
  if (problems.length === 0) return result
  throw new CheckpointError('The model has one table for both, but the trained rows differ in the file:', problems)
}

/** A head that follows a table has its rows in the file again. */
export function withFollowedRows(tensors: NamedTensors, { followers }: TokenPart): NamedTensors {
  return new Map([...tensors, ...followers.flatMap(({ site, owner }) => {
    const rows = tensors.get(`${owner.name}.rows`)
    return rows === undefined ? [] : [[`${site.name}.rows`, rows] as const]
  })])
}

/** The module that tables share where they are one tensor, by which PEFT trains and keeps the rows of all. */
export function sharedModule(site: Site, { followers, alsoCalled }: Pick<FormatContext, 'followers' | 'alsoCalled'>): string | undefined {
  if (site.kind !== 'embedding' || !followers.some(({ site: other, owner }) => owner === site && other.kind === 'embedding')) return undefined
  return sharedModules(alsoCalled).filter((name) => site.name.startsWith(name.replace(/\w+$/, ''))).sort((a, b) => b.length - a.length)[0]
}

/** The names of modules that several tables share in transformers. */
export function sharedModules(alsoCalled: FormatContext['alsoCalled']): string[] {
  return Object.keys(alsoCalled).filter((key) => key.endsWith('.weight')).map((key) => key.slice(0, -'.weight'.length))
}

export function everySite({ sites, followers }: TokenPart): readonly Site[] {
  return [...sites, ...followers.map(({ site }) => site)]
}
