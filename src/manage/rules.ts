// Ways to make one tensor of several, element by element, with the numbers of HF PEFT's merge_utils. A tensor here is
// its values.

import type { RandomStream } from '../base/random.ts'

type Values = Float32Array

/** How elements of the parts are left out before they are added up, and how they are added up. */
export interface Rule {
  readonly prune: 'magnitude' | 'random' | 'none'
  /** Sum, or the mean of those that have the sign most of the sum has. */
  readonly combine: 'sum' | 'agreeing'
}

/**
 * One tensor of several.
 *
 * - pruning by magnitude keeps the share `density` of the elements, the largest; random pruning keeps each with
 *   probability `density` and divides it by that. Yu et al. 2023 (DARE), arXiv:2311.03099
 * - 'agreeing': the sign of the plain sum is elected for each element; the weighted parts of that sign are averaged.
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
  return combine === 'sum' ? weightedSum(kept, weights) : agreeingMean(kept, weights)
}

/** Σ weight · part */
export function weightedSum(parts: readonly Values[], weights: readonly number[]): Values {
  return Float32Array.from({ length: parts[0]?.length ?? 0 }, (_, at) =>
    parts.reduce((sum, part, i) => sum + (weights[i] ?? 0) * (part[at] ?? 0), 0),
  )
}

function agreeingMean(parts: readonly Values[], weights: readonly number[]): Values {
  return Float32Array.from({ length: parts[0]?.length ?? 0 }, (_, at) => {
    const elected = parts.reduce((sum, part) => sum + (part[at] ?? 0), 0) >= 0 ? 1 : -1
    let [sum, count] = [0, 0]
    parts.forEach((part, i) => {
      const value = part[at] ?? 0
      if (Math.sign(value) !== elected) return
      sum += value * (weights[i] ?? 0)
      count++
    })
    return sum / Math.max(count, 1)
  })
}

function largest(values: Values, density: number): Values {
  const count = Math.floor(density * values.length)
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b] ?? 0) - Math.abs(values[a] ?? 0))
  const pruned = new Float32Array(values.length)
  for (const at of order.slice(0, count)) pruned[at] = values[at] ?? 0
  return pruned
}

function randomly(values: Values, density: number, stream: RandomStream): Values {
  return values.map((value) => (stream() / 2 ** 32 < density ? value / density : 0))
}
