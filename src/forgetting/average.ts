// Averages of records: plain, as in model soups, or with each element weighted by its Fisher information.
//
//   θ = Σ w θ_i / Σ w                 Wortsman et al. 2022, arXiv:2203.05482
//   θ = Σ w F_i θ_i / Σ w F_i         Matena and Raffel 2022, arXiv:2111.09832
//
// Both are worked out as θ_0 + Σ … (θ_i − θ_0), so that the average of equal tensors is exactly that tensor.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { checkRecords, holds, mapTensors, tensorOf, type Tensors } from './records.ts'

/**
 * The weighted mean of records, tensor by tensor: of the weights of several models, their uniform soup.
 *
 * @param records at least one, of the same names and shapes
 * @param weights one for each, of a sum other than 0; only their proportions count. Default: all equal
 * @returns a new record; the caller disposes it
 * @throws InputError when records or weights do not fit or are not finite; it lists all
 * @example
 * const mean = averageTensors([{ w: tf.tensor([0, 2]) }, { w: tf.tensor([1, 4]) }]) // w: [0.5, 3]
 */
export function averageTensors(records: readonly Tensors[], weights?: readonly number[]): Record<string, Tensor> {
  const shares = weights ?? records.map(() => 1)
  checkRecords('averageTensors', labelled(records), weightProblems(shares, records.length))
  const total = sumOf(shares)
  return mapTensors(records[0] as Tensors, (name, first) => { // checkRecords has seen the first
    const moved = records.map((record, i) => tf.mul(tf.sub(tensorOf(record, name), first), (shares[i] ?? NaN) / total))
    return tf.add(first, tf.addN(moved))
  })
}

/** What `fisherAverage` takes. */
export interface FisherAverageOptions {
  /** One for each record. @default all equal */
  readonly weights?: readonly number[]
  /** The least that any information counts as, above 0. @default 1e-8 */
  readonly floor?: number
}

/**
 * The mean of records in which each element counts by its Fisher information, how much the loss depends on it
 * (Matena and Raffel 2022, arXiv:2111.09832).
 *
 * With weights 1 − alpha and alpha it is the Fisher variant of WiSE-FT.
 *
 * @param records at least one, of the same names and shapes
 * @param fishers the diagonal Fisher information of each, of the tensors' shapes; what none of them has is averaged plainly
 * @returns a new record; the caller disposes it
 * @throws InputError when records, Fishers or weights do not fit or are not finite; it lists all
 * @example
 * const [a, b] = [{ w: tf.tensor([0, 2]) }, { w: tf.tensor([1, 4]) }]
 * const merged = fisherAverage([a, b], [{ w: tf.tensor([3, 1]) }, { w: tf.tensor([1, 1]) }]) // w: [0.25, 3]
 */
export function fisherAverage(
  records: readonly Tensors[],
  fishers: readonly Tensors[],
  { weights, floor = 1e-8 }: FisherAverageOptions = {},
): Record<string, Tensor> {
  const shares = weights ?? records.map(() => 1)
  checkRecords('fisherAverage', labelled(records), [
    ...weightProblems(shares, records.length),
    ...(floor > 0 && Number.isFinite(floor) ? [] : [`floor: expected a number above 0, got ${floor}`]),
    ...fisherProblems(records[0] ?? {}, fishers, records.length),
  ])
  return mapTensors(records[0] as Tensors, (name, first) => {
    const importance = records.map((_, i) => {
      const fisher = fishers[i]?.[name]
      return tf.mul(fisher === undefined ? tf.onesLike(first) : tf.maximum(fisher, floor), shares[i] ?? NaN)
    })
    const moved = records.map((record, i) => tf.mul(importance[i] as Tensor, tf.sub(tensorOf(record, name), first)))
    return tf.add(first, tf.div(tf.addN(moved), tf.addN(importance)))
  })
}

function fisherProblems(record: Tensors, fishers: readonly Tensors[], count: number): string[] {
  if (fishers.length !== count) return [`fishers: expected one for each of ${count} records, got ${fishers.length}`]
  const problems: string[] = []
  for (const name of new Set(fishers.flatMap((fisher) => Object.keys(fisher)))) {
    const lacking = fishers.flatMap((fisher, i) => (fisher[name] === undefined ? [i] : []))
    if (lacking.length > 0) problems.push(`fishers: record ${lacking.join(', ')} has no information of ${name}, others have`)
    const expected = record[name]?.shape.join(', ')
    if (expected === undefined) problems.push(`fishers: there is no ${name} in the records`)
    for (const fisher of fishers) {
      const tensor = fisher[name]
      if (tensor === undefined) continue
      const found = tensor.shape.join(', ')
      if (expected !== undefined && found !== expected) problems.push(`fishers: expected ${name} as [${expected}], got [${found}]`)
      if (!isInformation(tensor)) problems.push(`fishers: ${name} has numbers below 0 or not finite`)
    }
  }
  return problems
}

function isInformation(tensor: Tensor): boolean {
  return holds(() => tf.logicalAnd(tf.greaterEqual(tensor, 0), tf.isFinite(tensor)))
}

function labelled(records: readonly Tensors[]): (readonly [string, Tensors])[] {
  return records.map((record, i) => [`record ${i}`, record])
}

function weightProblems(weights: readonly number[], count: number): string[] {
  if (weights.length !== count) return [`weights: expected one for each of ${count} records, got ${weights.length}`]
  const wrong = weights.filter((weight) => !Number.isFinite(weight))
  if (wrong.length > 0) return [`weights: expected finite numbers, got ${wrong.join(', ')}`]
  return count > 0 && sumOf(weights) === 0 ? [`weights: expected a sum other than 0, got ${weights.join(', ')}`] : []
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0)
}
