// How the next token is chosen from its scores, in transformers' order: repetition penalty, temperature, top-k, top-p.
// On the processor in JavaScript, from one row of scores, with plain loops: iterators over typed arrays are some ten times
// slower, and as tensor operations each step would pass over the whole vocabulary.

import type { RandomStream } from './random.ts'

export interface Sampling {
  /** 0 takes the likeliest. */
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly repetitionPenalty: number
}

/** What is drawn from: tokens and what each counts; the weights are probabilities times one factor. */
export interface Candidates {
  readonly ids: Int32Array
  readonly weights: Float64Array
}

/**
 * The next token of a row.
 *
 * @param scores one for each token of the vocabulary; changed
 * @param row the row's tokens so far
 */
export function chooseToken(scores: Float32Array, row: readonly number[], sampling: Sampling, stream: RandomStream): number {
  penalise(scores, row, sampling.repetitionPenalty)
  return sampling.temperature === 0 ? likeliest(scores) : draw(candidatesOf(scores, sampling), stream)
}

/** Makes tokens that are in the row less likely: Keskar et al. 2019, arXiv:1909.05858. */
export function penalise(scores: Float32Array, row: readonly number[], penalty: number): void {
  if (penalty === 1) return
  for (const id of new Set(row)) {
    const score = scores[id] ?? 0
    scores[id] = score > 0 ? score / penalty : score * penalty
  }
}

/** The tokens that temperature, top-k and top-p leave; of equals at the edge of top-k all, as transformers does. */
export function candidatesOf(scores: Float32Array, { temperature, topK, topP }: Omit<Sampling, 'repetitionPenalty'>): Candidates {
  const ids = atLeast(scores, topK < scores.length ? nthLargest(scores, topK) : -Infinity)
  const top = scores[likeliest(scores)] ?? 0
  const weights = new Float64Array(ids.length)
  for (let i = 0; i < ids.length; i++) weights[i] = Math.exp(((scores[ids[i] ?? 0] ?? 0) - top) / temperature)
  return topP < 1 ? nucleus({ ids, weights }, topP) : { ids, weights }
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
  let missing = topP * sum(weights)
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
    most = score
    best = id
  }
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
