// Which of the tokens that may be drawn are left out for being unlikely, beside top-k and top-p. In transformers' order.

/** What is drawn from: tokens and what each counts; the weights are probabilities times one factor. */
export interface Candidates {
  readonly ids: Int32Array
  readonly weights: Float64Array
}

export interface Cutoffs {
  /** A token stays with at least this share of the likeliest one's probability. 0 for all */
  readonly minP: number
  /** Tokens stay whose surprise is nearest to the expected one, until they have this probability together. 1 for all */
  readonly typicalP: number
  /** A token stays with at least this probability. 0 for all */
  readonly epsilonCutoff: number
  /** The same with a probability that falls with the entropy. 0 for all */
  readonly etaCutoff: number
}

/** What the cut-offs leave; always the likeliest token. */
export function cutOff(candidates: Candidates, { minP, typicalP, epsilonCutoff, etaCutoff }: Cutoffs): Candidates {
  let left = candidates
  if (minP > 0) left = atLeast(left, minP * most(left))
  if (typicalP < 1) left = typical(left, typicalP)
  if (epsilonCutoff > 0 && epsilonCutoff < 1) left = atLeast(left, Math.min(epsilonCutoff * sum(left), most(left)))
  if (etaCutoff > 0 && etaCutoff < 1) {
    const eta = Math.min(etaCutoff, Math.sqrt(etaCutoff) * Math.exp(-entropy(left)))
    left = atLeast(left, Math.min(eta * sum(left), most(left)))
  }
  return left
}

/** Meister et al. 2022, arXiv:2202.00666. */
function typical(candidates: Candidates, mass: number): Candidates {
  const { weights } = candidates
  const total = sum(candidates)
  const expected = entropy(candidates)
  const distance = Float64Array.from(weights, (weight) => Math.abs(-Math.log(weight / total) - expected))
  const order = Int32Array.from(weights.keys()).sort((a, b) => (distance[a] ?? 0) - (distance[b] ?? 0))
  let reached = 0
  let last = 0
  for (const i of order) {
    last = distance[i] ?? 0
    reached += (weights[i] ?? 0) / total
    if (reached >= mass) break
  }
  return filtered(candidates, (i) => (distance[i] ?? 0) <= last)
}

function atLeast(candidates: Candidates, least: number): Candidates {
  return filtered(candidates, (i) => (candidates.weights[i] ?? 0) >= least)
}

function filtered({ ids, weights }: Candidates, keep: (i: number) => boolean): Candidates {
  const kept = Array.from(ids.keys()).filter(keep)
  return { ids: Int32Array.from(kept, (i) => ids[i] ?? 0), weights: Float64Array.from(kept, (i) => weights[i] ?? 0) }
}

function most({ weights }: Candidates): number {
  return weights.reduce((a, b) => Math.max(a, b), 0)
}

function sum({ weights }: Candidates): number {
  return weights.reduce((a, b) => a + b, 0)
}

/** −Σ p log p, in nats. */
function entropy(candidates: Candidates): number {
  const total = sum(candidates)
  return candidates.weights.reduce((entropy, weight) => (weight > 0 ? entropy - (weight / total) * Math.log(weight / total) : entropy), 0)
}
