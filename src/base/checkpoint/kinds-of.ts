// Which parameters of a model are held how.

import { selectModules } from '../adapter/targets.ts'
import type { Architecture } from '../architecture.ts'
import { AFFINE } from '../engine/affine.ts'
import { BFLOAT16 } from '../engine/bfloat16.ts'
import { FLOAT32 } from '../engine/float32.ts'
import type { WeightDtype, WeightKind } from '../engine/frozen-weight.ts'
import { weightKind } from '../engine/weight-kinds.ts'
import { layerOf, type ExpertsSite, type LinearSite, type ParameterSpec, type Site } from '../sites.ts'

/** How a model's weights are asked to be held. */
export interface WeightOptions {
  /** @default as the file has them where it is quantised, else 'float32' */
  readonly dtype?: WeightDtype
  readonly doubleQuantization?: boolean
  readonly skip?: readonly string[] | string
}

/** The kind that a parameter is to be of. @param stored the type of its numbers in the file, quantised ones' too; undefined where it is made new */
export type KindOf = (name: string, spec: ParameterSpec, stored: string | undefined) => WeightKind

/**
 * Of a quantised model the products of the layers are; what is outside of them, embeddings and heads, is held as the file has it: float32, or
 * bfloat16.
 *
 * @throws TargetError where `skip` names what the model does not have
 */
export function kindsOf({ dtype, doubleQuantization, skip }: WeightOptions, sites: readonly Site[], architecture: Architecture): KindOf {
  const kind = weightKind(dtype ?? 'float32', doubleQuantization)
  const products = sites.filter((site) => isOfLayer(site))
  const skipped = skip === undefined ? [] : selectModules(products, { targets: skip }, { unnamed: [], what: 'product of a layer' })
  const left = new Set(skipped.map(({ weight }) => weight))
  const taken = new Set(products.flatMap(({ name, weight }) => (left.has(weight) || architecture.keptWide?.test(name) === true ? [] : [weight])))
  return (name, { part, shape }, stored) => {
    if (dtype === undefined && !left.has(name) && (stored === 'nf4' || stored === 'int8' || stored === 'affine')) return stored === 'affine' ? AFFINE : weightKind(stored)
    if ((part !== 'weight' || shape.length < 2) && part !== 'embedding') return FLOAT32
    if (kind === FLOAT32 || kind === BFLOAT16) return left.has(name) ? FLOAT32 : kind
    if (stored !== undefined && taken.has(name)) return kind
    return stored === 'BF16' ? BFLOAT16 : FLOAT32
  }
}

function isOfLayer(site: Site): site is LinearSite | ExpertsSite {
  return site.kind === 'experts' || (site.kind === 'linear' && layerOf(site.name) !== undefined && site.role !== 'router' && site.role !== 'head')
}
