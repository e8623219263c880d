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
    let vote = 0
    for (let i = 0; i < parts.length; i++) vote += (votes[i] ?? 0) * (parts[i]?.[at] ?? 0)
    let sum = 0
    let share = 0
    for (let i = 0; i < parts.length; i++) {
      const value = parts[i]?.[at] ?? 0
      const side = value * (votes[i] ?? 0)
      if (vote >= 0 ? !(side > 0) : !(side < 0)) continue
      sum += value * (weights[i] ?? 0)
      share += shares[i] ?? 0
    }
    means[at] = share === 0 ? sum : sum / share
  }
  return means
}

/** Of equal magnitudes the first are kept. */
function largest(values: Values, density: number): Values {
  const kept = new Float32Array(values.length)
  const { threshold, room } = magnitudeAt(values, Math.max(1, Math.floor(density * values.length)))
  let equal = 0
  for (let at = 0; at < values.length; at++) {
    const value = values[at] ?? 0
    const magnitude = Math.abs(value)
    if (magnitude > threshold || (magnitude === threshold && equal++ < room)) kept[at] = value
  }
  return kept
}

/**
 * The magnitude that is the `count`-th largest, and how many of that very magnitude are among the `count`. The bits of a
 * float without its sign are in the order of its magnitude, so counting their halves finds it without a sort.
 */
function magnitudeAt(values: Values, count: number): { readonly threshold: number; readonly room: number } {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const [upper, lower] = [new Uint32Array(2 ** 15), new Uint32Array(2 ** 16)]
  const highOf = (word: number): number => (word >>> 16) & 0x7fff
  for (let at = 0; at < bits.length; at++) increment(upper, highOf(bits[at] ?? 0))
  const high = fromTop(upper, count)
  for (let at = 0; at < bits.length; at++) {
    const word = bits[at] ?? 0
    if (highOf(word) === high.place) increment(lower, word & 0xffff)
  }
  const low = fromTop(lower, high.room)
  return { threshold: new Float32Array(Uint32Array.of(high.place * 2 ** 16 + low.place).buffer)[0] ?? 0, room: low.room }
}

function increment(counts: Uint32Array, place: number): void {
  counts[place] = (counts[place] ?? 0) + 1
}

/** The place that the `count`-th of what was counted falls into, from the last place on, and how many of it that takes. */
function fromTop(counts: Uint32Array, count: number): { readonly place: number; readonly room: number } {
  let [place, room] = [counts.length - 1, count]
  while (place > 0 && (counts[place] ?? 0) < room) room -= counts[place--] ?? 0
  return { place, room }
}

function randomly(values: Values, density: number, stream: RandomStream): Values {
  const kept = new Float32Array(values.length)
  for (let at = 0; at < values.length; at++) if (stream() / 2 ** 32 < density) kept[at] = (values[at] ?? 0) / density
  return kept
}
