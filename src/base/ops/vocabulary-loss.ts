// Cross entropy of the product with a vocabulary's table. Logits of all rows are never there: a block of rows at a time has its logits, its
// loss and its gradient in one piece of memory. The gradient is made in the forward pass, where the logits are, so that no product is run twice.
// Hsu et al. 2024, arXiv:2410.10989
//
// z = factor · (x Wᵀ + b), with a cap: cap · tanh(z / cap)
// loss = Σ_n (1 − ε) w(y_n) · −log p(y_n) + ε / C · Σ_c w(c) · −log p(c)      p = softmax(z)
// dx = dz/d(x Wᵀ) [ ((1 − ε) w(y) + ε / C · Σ_c w(c)) p − (1 − ε) w(y) onehot − ε / C · w ] W

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { choose, fusedOne, type Forms } from '../engine/kernels.ts'
import { IGNORED_LABEL } from './cross-entropy.ts'
import type { Weighting } from './weighted-cross-entropy.ts'

/** The frozen product that gives the logits, and what becomes of them. */
export interface VocabularyProduct {
  /** (V, D) */
  readonly weight: FrozenWeight
  /** (V); may be trained. */
  readonly bias?: Tensor1D | undefined
  /** What logits are multiplied by. @default 1 */
  readonly factor?: number
  /** What they are then kept below. @default none */
  readonly cap?: number | undefined
}

/** Bytes of the logits that are there at a time, and yet at least so many rows: products of fewer read the table too often for what they do. */
const [BYTES, ROWS] = [2 ** 25, 64]

/**
 * The sum of the rows' cross entropies; a row with `IGNORED_LABEL` adds nothing.
 *
 * @param x (N, D) @param labels N of them, each in [0, V) or −100 @param weighting default: each class counts 1, no smoothing
 * @param block rows that have their logits at a time, at most
 * @example const loss = vocabularyLoss(hidden, { weight }, Int32Array.of(3, 17))
 */
export function vocabularyLoss(x: Tensor2D, product: VocabularyProduct, labels: Int32Array, weighting?: Weighting, block: number = blockOf(product)): Scalar {
  const { weight, bias } = product
  const rows = Math.ceil(labels.length / Math.ceil(labels.length / block)) // in blocks of one size
  return op(
    [x, bias],
    (save, needs) => {
      const [dx, sums]: [Tensor2D[], { loss: Scalar; bias: Tensor1D | undefined }] = [[], { loss: tf.scalar(0), bias: undefined }]
      for (let first = 0; first < labels.length; first += rows) {
        const part = tf.tidy(() => {
          const logits = weight.timesTransposed(tf.slice(x, [first, 0], [Math.min(rows, labels.length - first), -1]), bias)
          const { losses, gradient } = choose(LOSS, [logits])(logits, tf.tensor1d(labels.subarray(first, first + rows), 'int32'), { ...product, weighting, back: needs.includes(true) })
          return {
            loss: tf.add<Scalar>(sums.loss, tf.sum(losses)),
            dx: needs[0] === true ? weight.times(gradient) : undefined,
            bias: needs[1] === true ? tf.add<Tensor1D>(sums.bias ?? 0, tf.sum(gradient, 0)) : undefined,
          }
        })
        tf.dispose([sums.loss, ...(sums.bias === undefined ? [] : [sums.bias])])
        Object.assign(sums, { loss: part.loss, bias: part.bias })
        if (part.dx !== undefined) dx.push(part.dx)
      }
      if (dx.length > 0) save(dx.length === 1 ? (dx[0] as Tensor2D) : tf.concat(dx, 0))
      if (sums.bias !== undefined) save(sums.bias)
      return sums.loss
    },
    (dy, saved, needs) => {
      const [dx, dBias] = needs[0] === true ? saved : [undefined, ...saved]
      return [dx === undefined ? null : tf.mul(dx, dy), dBias === undefined ? null : tf.mul(dBias, dy)]
    },
  )
}

function blockOf({ weight: { shape: [words = 1] } }: VocabularyProduct): number {
  return Math.max(ROWS, Math.floor(BYTES / 4 / words))
}

interface LossCall extends Pick<VocabularyProduct, 'factor' | 'cap'> {
  readonly weighting: Weighting | undefined
  /** The gradient is asked for. */
  readonly back: boolean
}

/** Losses (N) and, where it is asked for, the gradient by the logits (N, V), which may stand in their memory. */
type Loss = (logits: Tensor2D, labels: Tensor1D, call: LossCall) => { readonly losses: Tensor1D; readonly gradient: Tensor2D }

const LOSS: Forms<Loss> = {
  fused: (logits, labels, { factor = 1, cap = 0, weighting, back }) => {
    const weights = weighting === undefined ? undefined : tf.tensor1d(weighting.weights)
    const losses = fusedOne('VocabularyLoss', [logits, labels, weights], { factor, cap, smoothing: weighting?.smoothing ?? 0, back })
    return { losses: losses as Tensor1D, gradient: logits }
  },
  composed: (logits, labels, { factor = 1, cap, weighting, back }) => {
    const scaled = factor === 1 ? logits : tf.mul<Tensor2D>(logits, factor)
    const share = cap === undefined ? undefined : tf.tanh(tf.div<Tensor2D>(scaled, cap))
    const z = share === undefined || cap === undefined ? scaled : tf.mul<Tensor2D>(share, cap)
    const targets = targetsOf(labels, z.shape[1], weighting)
    // a choice, not a product: −∞ and NaN at a class of target 0 are not to reach the sum
    const losses = tf.neg(tf.sum<Tensor1D>(tf.where(tf.greater(targets, 0), tf.mul(targets, tf.logSoftmax(z)), tf.zerosLike(z)), 1))
    if (!back) return { losses, gradient: logits }
    const counted = tf.notEqual(tf.expandDims(labels, 1), IGNORED_LABEL)
    const dz = tf.where<Tensor2D>(counted, tf.sub(tf.mul(tf.softmax(z), tf.sum(targets, 1, true)), targets), tf.zerosLike(z))
    const inner = share === undefined ? dz : tf.mul<Tensor2D>(dz, tf.sub(1, tf.square(share)))
    return { losses, gradient: factor === 1 ? inner : tf.mul<Tensor2D>(inner, factor) }
  },
}

/** What −log p of each class is multiplied by, (N, V). */
function targetsOf(labels: Tensor1D, classes: number, weighting: Weighting | undefined): Tensor2D {
  // oneHot gives a row of zeros for an index outside its range, and −100 is outside
  const chosen = tf.cast(tf.oneHot(labels, classes), 'float32') as Tensor2D
  if (weighting === undefined) return chosen
  const { smoothing, weights } = weighting
  const row = tf.tensor2d(weights, [1, classes])
  const counted = tf.cast(tf.notEqual(tf.expandDims(labels, 1), IGNORED_LABEL), 'float32')
  return tf.add(tf.mul(tf.mul(chosen, row), 1 - smoothing), tf.mul(counted, tf.mul(row, smoothing / classes)))
}

