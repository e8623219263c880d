// Ways to make one tensor of several, element by element, with the numbers of HF PEFT's merge_utils and of mergekit. A
// tensor here is its values.

import type { RandomStream } from '../base/random.ts'

type Values = Float32Array

/** How elements of the parts are left out before they are added up, and how they are added up. */
export interface Rule {
  readonly prune: 'magnitude' | 'random' | 'none'
  /**
   * The weighted sum; or the mean of the weighted parts that have the elected sign. `agreeing` elects by the plain sum
   * and divides by their number, as PEFT; `agreeing-weighted` elects by the weighted sum and divides by the size of
   * their weights, as mergekit.
   */
  readonly combine: 'sum' | 'agreeing' | 'agreeing-weighted'
}

/**
 * One tensor of several.
 *
 * - pruning by magnitude keeps the share `density` of the elements, the largest and at least one; random pruning keeps
 *   each with probability `density` and divides it by that. Yu et al. 2023 (DARE), arXiv:2311.03099
 * - the agreeing rules: a sign is elected for each element, and the parts of that sign are averaged.
 *   Yadav et al. 2023 (TIES), arXiv:2306.01708
 *
 * @param weights one for each part @param density in (0, 1] @param draw a stream for each part, for random pruning
 */
export function combineValues(
  parts: readonly Values[],
  weights: readonly number[],
  { prune, combine }: Rule,
  density: number,
  draw: (part: number) => RandomStream,
): Values {
  const kept = parts.map((part, i) =>
    prune === 'none' || density >= 1 ? part : prune === 'magnitude' ? largest(part, density) : randomly(part, density, draw(i)),
  )
  if (combine === 'sum') return weightedSum(kept, weights)
  const ones = weights.map(() => 1)
  return combine === 'agreeing' ? agreeingMean(kept, weights, ones, ones) : agreeingMean(kept, weights, weights, weights.map(Math.abs))
}

/** Σ weight · part */
export function weightedSum(parts: readonly Values[], weights: readonly number[]): Values {
  const sums = new Float32Array(parts[0]?.length ?? 0)
  for (let at = 0; at < sums.length; at++) {
    let sum = 0 // in double precision, rounded once
    for (let i = 0; i < parts.length; i++) sum += (weights[i] ?? 0) * (parts[i]?.[at] ?? 0)
    sums[at] = sum
  }
  return sums
}

/** @param votes what each part counts for in the election @param shares and in the divisor of the mean */
function agreeingMean(parts: readonly Values[], weights: readonly number[], votes: readonly number[], shares: readonly number[]): Values {
  const means = new Float32Array(parts[0]?.length ?? 0)
  for (let at = 0; at < means.length; at++) {
    let [vote, sum, share] = [0, 0, 0]
    for (let i = 0; i < parts.length; i++) vote += (votes[i] ?? 0) * (parts[i]?.[at] ?? 0)
    const elected = vote >= 0 ? 1 : -1
    for (let i = 0; i < parts.length; i++) {
      const value = parts[i]?.[at] ?? 0
      if (Math.sign(value * (votes[i] ?? 0)) !== elected) continue
      sum += value * (weights[i] ?? 0)
      share += shares[i] ?? 0
    }
    means[at] = share === 0 ? sum : sum / share
  }
  return means
}

/** Of equal magnitudes the first are kept. */
function largest(values: Values, density: number): Values {
  const count = Math.max(1, Math.floor(density * values.length))
  const magnitudes = values.map(Math.abs).sort()
  const threshold = magnitudes[magnitudes.length - count] ?? 0
  let equal = count // how many at the threshold itself there is room for
  for (let at = magnitudes.length - 1; at >= 0 && (magnitudes[at] ?? 0) > threshold; at--) equal--
  return values.map((value) => {
    const magnitude = Math.abs(value)
    return magnitude > threshold || (magnitude === threshold && equal-- > 0) ? value : 0
  })
}

function randomly(values: Values, density: number, stream: RandomStream): Values {
  return values.map((value) => (stream() / 2 ** 32 < density ? value / density : 0))
}
