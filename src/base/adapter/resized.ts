// The places and parameters of a model as they are with another vocabulary, or other classes, than it was loaded with.

import type { ModelParts } from '../model.ts'
import type { Site, ParameterSpec } from '../sites.ts'
import { classParams } from './classes.ts'
import { tableOf, vocabSizeOf, vocabularyParams } from './vocabulary.ts'

/** Parameters by full name, and how many rows each has instead of the model's. */
export type OtherRows = ReadonlyMap<string, number>

type Parts = Pick<ModelParts, 'sites' | 'task' | 'architecture' | 'labels'>

export function otherRows(parts: Parts, { words, classes }: { readonly words: number; readonly classes: number }): OtherRows {
  const rows = (names: Iterable<string>, before: number, now: number): [string, number][] => (before === now ? [] : [...names].map((name) => [name, now]))
  return new Map([...rows(vocabularyParams(parts), vocabSizeOf(parts), words), ...rows(classParams(parts), parts.labels.length, classes)])
}

export function resizedSites(sites: readonly Site[], rows: OtherRows): readonly Site[] {
  return sites.map((site) => {
    const count = 'weight' in site ? rows.get(site.weight) : undefined
    if (count === undefined) return site
    if (site.kind === 'embedding') return { ...site, count }
    return site.kind === 'linear' ? { ...site, outSize: count } : site
  })
}

export function resizedSpecs({ specs, sites }: Pick<ModelParts, 'specs' | 'sites'>, rows: OtherRows): ReadonlyMap<string, ParameterSpec> {
  const words = rows.get(tableOf(sites) ?? '')
  return new Map([...specs].map(([name, spec]) => {
    if (spec.words === true && words !== undefined) return [name, { ...spec, shape: [...spec.shape.slice(0, -1), words] }]
    const count = rows.get(name)
    return [name, count === undefined ? spec : { ...spec, shape: [count, ...spec.shape.slice(1)] }]
  }))
}
