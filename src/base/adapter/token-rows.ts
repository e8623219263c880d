// Some rows of a table that are trained, for the methods that do so.
//
//   W'[i] = rows[i] for the trained tokens i, W'[j] = W[j] for the others
//
// computed as W plus what the rows have changed, so that other adapters at the table add to it.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../../errors.ts'
import { NO_VALUES, type Method, type SiteTensors } from '../method.ts'
import { changeRows, lookupChanged, productChanged, type ChangedRows } from '../ops/changed-rows.ts'
import type { EmbeddingSite, LinearSite } from '../sites.ts'
import { tablesOf } from './vocabulary.ts'

/** @throws InputError unless these are ids, each once */
export function checkIndices(what: string, indices: readonly number[]): void {
  const problems = indices.flatMap((index: unknown, i) => [
    ...(Number.isInteger(index) && (index as number) >= 0 ? [] : [`expected an id, got ${shown(index)}`]),
    ...(indices.indexOf(index as number) === i ? [] : [`${shown(index)} is there twice`]),
  ])
  if (indices.length === 0) problems.push('expected one or more, got none')
  if (problems.length > 0) throw new InputError(`${what}:`, problems)
}

type RowsMethod = Pick<Method, 'init'> & Required<Pick<Method, 'linear' | 'embedding' | 'follows' | 'tied' | 'merge' | 'interpolate'>>

/**
 * What trained rows do at their sites. Of a model with several tables that are one tensor they are those of all, and of a head, unless
 * tables are named: then each has its own, and the head none, as in HF PEFT.
 *
 * @param indicesAt which rows of a module are trained
 * @param named whether modules are named
 */
export function rowsMethod(indicesAt: (module: string) => readonly number[], named: boolean): RowsMethod {
  const changedAt = ({ name, ...site }: LinearSite | EmbeddingSite, own: SiteTensors): ChangedRows => {
    const indices = indicesAt(name)
    checkRange(name, indices, site.kind === 'embedding' ? site.count : site.outSize)
    return { ...(own as unknown as Pick<ChangedRows, 'rows' | 'start'>), indices }
  }
  return {
    init: (site, { param, fresh }) => {
      const weight = param((site as LinearSite | EmbeddingSite).weight) as Tensor2D
      const indices = indicesAt(site.name)
      const [count, size] = weight.shape
      if (fresh) checkRange(site.name, indices, count)
      // Of a file the table comes later, where it has another.
      const start = tf.gather(weight, indices.map((index) => (index < count ? index : 0)))
      const shape = [indices.length, size]
      return { rows: { shape, values: fresh ? start : NO_VALUES }, start: { shape, values: start, frozen: true } }
    },
    embedding: (site, own) => {
      const changed = changedAt(site, own)
      return (ids, next) => lookupChanged(ids, changed, site.count, next(ids))
    },
    linear: (site, own) => {
      const changed = changedAt(site, own)
      return (x, next) => productChanged(x, changed, next(x))
    },
    follows: (site, _, { all }) => (named ? site.kind === 'linear' && tablesOf(all).length === 1 : true),
    tied: (_, owner, own) => {
      const changed = changedAt(owner, own)
      return (x, next) => productChanged(x, changed, next(x))
    },
    merge: (site, { weight, bias }, own) => ({ weight: changeRows(weight, changedAt(site as LinearSite | EmbeddingSite, own)), bias }),
    interpolate: (_, { rows, start }, alpha) => ({ rows: tf.add(start as Tensor2D, tf.mul(tf.sub(rows as Tensor2D, start as Tensor2D), alpha)) }),
  }
}

function checkRange(name: string, indices: readonly number[], count: number): void {
  const beyond = indices.filter((index) => index >= count)
  if (beyond.length === 0) return
  throw new InputError(`'${name}' has ${count} rows, the last is ${count - 1}; got ${shown(beyond)} among those to train. growVocabulary adds rows.`)
}
