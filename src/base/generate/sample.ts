// How the next token is chosen from its scores, in transformers' order: the rules, temperature, top-k, top-p, cut-offs.
// On the processor in JavaScript, from one row of scores, with plain loops: iterators over typed arrays are some ten times
// slower, and as tensor operations each step would pass over the whole vocabulary.

import { InputError } from '../../errors.ts'
import { cutOff, type Candidates, type Cutoffs } from './cutoffs.ts'
import type { RandomStream } from '../random.ts'

export interface Sampling extends Cutoffs {
  /** 0 takes the likeliest. */
  readonly temperature: number
  readonly topK: number
  readonly topP: number
}

/**
 * The next token of a row, by scores to which the rules have been applied.
 *
 * @throws InputError where the scores are no numbers, or leave no token
 */
export function chooseToken(scores: Float32Array, sampling: Sampling, stream: RandomStream): number {
  return sampling.temperature === 0 ? likeliest(scores) : draw(candidatesOf(scores, sampling), stream)
}

/** The tokens that temperature, top-k, top-p and the cut-offs leave; of equals at the edge of top-k all, as transformers does. */
export function candidatesOf(scores: Float32Array, { temperature, topK, topP, ...cutoffs }: Sampling): Candidates {
  const top = scores[likeliest(scores)] ?? 0
  const ids = atLeast(scores, topK < scores.length ? nthLargest(scores, topK) : -Infinity)
  const weights = new Float64Array(ids.length)
  for (let i = 0; i < ids.length; i++) weights[i] = Math.exp(((scores[ids[i] ?? 0] ?? 0) - top) / temperature)
  return cutOff(topP < 1 ? nucleus({ ids, weights }, topP) : { ids, weights }, cutoffs)
}

/**
 * The fewest tokens that together have this probability: Holtzman et al. 2020, arXiv:1904.09751. Nothing is sorted: each
 * round parts the tokens among which the edge lies at a weight, and goes on with the side that has the edge.
 */
function nucleus({ ids, weights }: Candidates, topP: number): Candidates {
  const order = new Int32Array(ids.length)
  for (let i = 0; i < order.length; i++) order[i] = i
  const place = (i: number): number => order[i] as number // i is within the array
  const weight = (i: number): number => weights[place(i)] as number
  let missing = Math.max(topP, Number.MIN_VALUE) * sum(weights) // with 0, one is left
  let [from, to] = [0, ids.length - 1] // the last one kept is among these
  while (from < to) {
    const pivot = weight((from + to) >> 1)
    let [i, j] = [from, to]
    while (i <= j) {
      while (weight(i) > pivot) i++
      while (weight(j) < pivot) j--
      if (i > j) break
      const lighter = place(i)
      order[i++] = place(j)
      order[j--] = lighter
    }
    let heavier = 0
    for (let at = from; at <= j; at++) heavier += weight(at)
    if (heavier >= missing) to = j
    else {
      from = j + 1 // where one is left between the two sides, it comes first
      missing -= heavier
      if (from < i) {
        if (pivot >= missing) break
        missing -= pivot
        from = i
      }
    }
  }
  const kept = order.subarray(0, Math.min(from, to) + 1)
  return { ids: kept.map((at) => ids[at] ?? 0), weights: Float64Array.from(kept, (at) => weights[at] ?? 0) }
}

function draw({ ids, weights }: Candidates, stream: RandomStream): number {
  let left = (stream() / 2 ** 32) * sum(weights)
  for (let i = 0; i < ids.length; i++) {
    left -= weights[i] ?? 0
    if (left < 0) return ids[i] ?? 0
  }
  return ids.at(-1) ?? 0 // rounding alone leads here
}

/** The first place of the largest number. */
function likeliest(scores: Float32Array): number {
  let best = 0
  let most = -Infinity
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id] ?? 0
    if (score <= most) continue
    if (!(score < Infinity)) throw new InputError(`generate: expected finite scores, that of token ${id} is ${score}; are the model's weights finite?`)
    most = score
    best = id
  }
  if (most === -Infinity) throw new InputError('generate: no token may come next: suppressTokens, badWords, noRepeatNgramSize and the like forbid all of them.')
  return best
}

/** Places of the numbers from `least` on. */
function atLeast(numbers: Float32Array, least: number): Int32Array {
  const found = new Int32Array(numbers.length)
  let count = 0
  for (let i = 0; i < numbers.length; i++) if ((numbers[i] ?? 0) >= least) found[count++] = i
  return found.subarray(0, count)
}

/** Quickselect, Hoare 1961. */
function nthLargest(numbers: Float32Array, n: number): number {
  const left = numbers.slice()
  const at = (i: number): number => left[i] as number // i is within the array
  let [from, to] = [0, left.length - 1]
  while (from < to) {
    const pivot = at((from + to) >> 1)
    let [i, j] = [from, to]
    while (i <= j) {
      while (at(i) > pivot) i++
      while (at(j) < pivot) j--
      if (i > j) break
      const larger = at(j)
      left[j--] = at(i)
      left[i++] = larger
    }
    if (n - 1 <= j) to = j
    else if (n - 1 >= i) from = i
    else break
  }
  return at(n - 1)
}

function sum(numbers: Float64Array): number {
  let total = 0
  for (let i = 0; i < numbers.length; i++) total += numbers[i] ?? 0
  return total
}
