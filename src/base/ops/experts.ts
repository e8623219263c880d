// A mixture of experts: each row goes through a few of many matrices. Shazeer et al. 2017, arXiv:1701.06538
//
// The rows are sorted by expert, so that each expert has its own side by side, and come back to their tokens with weights.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { bridge, op } from '../autodiff/tape.ts'
import { float32Weight } from '../engine/float32.ts'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { groupedOuter } from '../engine/grouped.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'
import type { Grouped } from '../sites.ts'
import { add } from './algebra.ts'
import { lookup } from './lookup.ts'

/** Which rows go where. N tokens with K experts each make S = N · K rows. */
export interface Groups {
  /** The token of each row (S), and its expert, ascending. */
  readonly tokens: Tensor1D
  readonly experts: Tensor1D
  /** Where each choice of each token stands among the rows, (S). */
  readonly places: Tensor1D
}

/** Rows in the order of the experts (N, K) that tokens have chosen. */
export function groupsOf(chosen: Tensor2D): Groups {
  const [N, K] = chosen.shape
  const S = N * K
  const whole = (n: number): Scalar => tf.scalar(n, 'int32')
  const slots = tf.range(0, S, 1, 'int32')
  const keys = tf.add(tf.mul(tf.reshape(chosen, [S]), whole(S)), slots) // the expert first, then the slot: no two are equal
  const sorted = tf.neg(tf.topk(tf.neg(keys), S).values)
  const order = tf.mod<Tensor1D>(sorted, whole(S))
  return {
    tokens: tf.floorDiv(order, whole(K)),
    experts: tf.floorDiv(sorted, whole(S)),
    places: tf.scatterND<Rank.R1>(tf.expandDims(order, 1), slots, [S]),
  }
}

/** The rows of x (N, D) as the experts take them, (S, D). */
export function dispatch(x: Tensor2D, { tokens, places }: Groups): Tensor2D {
  const each = places.size / x.shape[0]
  return op(
    [x],
    (save) => {
      save(places)
      return tf.gather(x, tokens)
    },
    (dy, saved) => saved.map((where) => choose(COLLECT, [dy]).forward(dy as Tensor2D, undefined, where as Tensor1D, each)),
  )
}

/** Σₖ wₖ yₖ of each token, from y (S, D) as the experts gave it and weights (N, K). */
export function collect(y: Tensor2D, weights: Tensor2D, { places }: Groups): Tensor2D {
  const form = choose(COLLECT, [y, weights])
  return op(
    [y, weights],
    (save) => {
      save(y, weights, places)
      return form.forward(y, weights, places, weights.shape[1])
    },
    (dy, saved, [yNeeds, weightsNeed]) => {
      const [ys, w, where] = saved as [Tensor2D, Tensor2D, Tensor1D]
      const [dys, dw] = form.backward(dy as Tensor2D, ys, w, where)
      return [yNeeds === true ? dys : null, weightsNeed === true ? dw : null]
    },
  )
}

interface Collect {
  /** Σₖ wₖ yₖ, or Σₖ yₖ, of the K rows of each token. */
  readonly forward: (y: Tensor2D, weights: Tensor2D | undefined, places: Tensor1D, K: number) => Tensor2D
  /** By y and by the weights. */
  readonly backward: (dy: Tensor2D, y: Tensor2D, weights: Tensor2D, places: Tensor1D) => readonly [Tensor, Tensor]
}

const COLLECT: Forms<Collect> = {
  fused: {
    forward: (y, weights, places, each) => fusedOne('Collect', [y, weights, places], { each }) as Tensor2D,
    backward: (dy, y, weights, places) => fused('CollectGrad', [dy, y, weights, places], { each: weights.shape[1] }, 2) as [Tensor, Tensor],
  },
  composed: {
    forward: (y, weights, places, K) => {
      const rows = byToken(y, places, K)
      return tf.sum(weights === undefined ? rows : tf.mul(rows, tf.expandDims(weights, 2)), 1)
    },
    backward: (dy, y, weights, places) => {
      const [N, K] = weights.shape
      const spread = tf.reshape(tf.mul(tf.expandDims(dy, 1), tf.expandDims(weights, 2)), [N * K, dy.shape[1]])
      return [tf.scatterND(tf.expandDims(places, 1), spread, [N * K, dy.shape[1]]), tf.sum(tf.mul(byToken(y, places, K), tf.expandDims(dy, 1)), 2)]
    },
  },
}

function byToken(rows: Tensor2D, places: Tensor1D, K: number): Tensor3D {
  return tf.reshape(tf.gather(rows, places), [places.size / K, K, rows.shape[1]])
}

/**
 * y = x Wₑᵀ + bₑ of each row with its expert.
 *
 * dx = dy Wₑ, dWₑ = dyᵀ x over the rows of e
 *
 * @param weight (E, out, in), a tensor where it may be trained @param bias (E, out)
 */
export function groupedLinear({ rows, experts }: Grouped, weight: FrozenWeight | Tensor3D, bias?: Tensor2D): Tensor2D {
  const [own, held] = weight instanceof tf.Tensor ? [weight, float32Weight(weight)] : [undefined, weight]
  const y = op(
    [rows, own],
    (save, [xNeeds, weightNeeds]) => {
      save(experts)
      if (own !== undefined && xNeeds === true) save(own) // it may be computed, and gone
      if (weightNeeds === true) save(rows)
      return held.grouped(rows, experts, true)
    },
    (dy, [of, ...saved], [xNeeds, weightNeeds]) => {
      const then = own !== undefined && xNeeds === true ? float32Weight(saved[0] as Tensor3D) : held
      return [
        xNeeds === true ? then.grouped(dy as Tensor2D, of as Tensor1D, false) : null,
        own !== undefined && weightNeeds === true ? groupedOuter(dy as Tensor2D, saved.at(-1) as Tensor2D, of as Tensor1D, own.shape[0]) : null,
      ]
    },
  )
  return bias === undefined ? y : add(y, lookup(bias, experts))
}

/** The K experts of each token with the largest logits (N, E), (N, K), int32. */
export function largest(logits: Tensor2D, K: number): Tensor2D {
  return tf.topk(logits, K).indices
}

/** 1 where an expert is the chosen one, (N, K, E); tf.oneHot knows no single expert. */
function indicators(chosen: Tensor2D, experts: number): Tensor3D {
  return tf.cast(tf.equal(tf.expandDims(chosen, 2), tf.range(0, experts, 1, 'int32')), 'float32')
}

/** How much each chosen expert counts, (N, K): its share among the chosen ones, or among all. */
export function expertWeights(logits: Tensor2D, chosen: Tensor2D, among: 'chosen' | 'all'): Tensor2D {
  const E = logits.shape[1]
  const pick = (x: Tensor2D, where: Tensor2D): Tensor2D => tf.sum(tf.mul(tf.expandDims(x, 1), indicators(where, E)), 2)
  const spread = (x: Tensor2D, where: Tensor2D): Tensor2D => tf.sum(tf.mul(tf.expandDims(x, 2), indicators(where, E)), 1)
  const softmaxGrad = (dy: Tensor2D, y: Tensor2D): Tensor2D => tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), 1, true)))
  return op(
    [logits],
    (save) => {
      const shares = tf.softmax(among === 'all' ? logits : pick(logits, chosen))
      save(shares, chosen)
      return among === 'all' ? pick(shares, chosen) : shares
    },
    (dy, saved) => {
      const [shares, where] = saved as [Tensor2D, Tensor2D]
      return [among === 'all' ? softmaxGrad(spread(dy as Tensor2D, where), shares) : spread(softmaxGrad(dy as Tensor2D, shares), where)]
    },
  )
}

/**
 * How unevenly experts are used: E Σₑ (share of the tokens that chose e) · (mean share of e), over all layers at once; K where all are used
 * alike. Fedus et al. 2021, arXiv:2101.03961
 *
 * @param layers logits (N, E) and chosen experts (N, K) of each layer @param mask 1 for tokens that count, (N)
 */
export function balanceLoss(layers: readonly { readonly logits: Tensor2D; readonly chosen: Tensor2D }[], mask: Tensor1D): Scalar {
  const E = layers[0]?.logits.shape[1] ?? 0
  const share = tf.div(tf.tile(mask, [layers.length]), tf.mul(tf.sum(mask), layers.length))
  const counts = tf.concat(layers.map(({ chosen }) => tf.sum(indicators(chosen, E), 1)), 0)
  const used = tf.sum(tf.mul(counts, tf.expandDims(share, 1)), 0)
  return bridge([...layers.map(({ logits }) => logits), share, used], (...inputs) => {
    const [of, usage] = inputs.splice(-2) as [Tensor1D, Tensor1D]
    const shares = tf.softmax(tf.concat(inputs as Tensor2D[], 0))
    return tf.mul(tf.sum(tf.mul(tf.mul(shares, tf.expandDims(of, 1)), usage)), E)
  })
}
