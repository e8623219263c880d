// Cross entropy of the product with a vocabulary's table. The logits of all words are never there: some words at a time have theirs, for all
// rows, and these become at once what the gradient needs of them. No product is run twice, and the table is read from memory once or twice.
//
// z = factor · (x Wᵀ + b), with a cap: cap · tanh(z / cap)
// loss = Σ_n (1 − ε) w(y_n) · −log p(y_n) + ε / C · Σ_c w(c) · −log p(c)      p = softmax(z)
// dx = [ ((1 − ε) w(y) + ε / C · Σ_c w(c)) p − (1 − ε) w(y) onehot − ε / C · w ] dz/d(x Wᵀ) W
//
// What p is divided by is known at the end alone. Until then a row's sums are of exp(z − its largest z so far), and become smaller when a larger
// one comes (Milakov and Gimelshein 2018, arXiv:1805.02867), as do the sums over the keys of attention (Dao et al. 2022, arXiv:2205.14135).
// The label's own word is left out of them: where it is near certain, products that round each row by its largest number (int8) would lose the others.

import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import type { FrozenWeight } from '../engine/frozen-weight.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'
import { IGNORED_LABEL } from './cross-entropy.ts'
import type { Weighting } from './weighted-cross-entropy.ts'

/** The frozen product that gives the logits, and what becomes of them. */
export interface VocabularyProduct {
  /** (V, D) */
  readonly weight: FrozenWeight
  /** (V), frozen. */
  readonly bias?: Tensor1D | undefined
  /** What logits are multiplied by. @default 1 */
  readonly factor?: number
  /** What they are then kept below. @default none */
  readonly cap?: number | undefined
}

/** What is computed at a time, at most. */
export interface Block {
  readonly rows: number
  readonly words: number
}

/** Bytes of the logits that are there at a time, of so many rows at most. */
const [BYTES, ROWS] = [2 ** 25, 4096]
/** Words of a block are a multiple of this: products take so many outputs at a time, and the runtime shares memory that begins at such places. */
const UNIT = 64

/**
 * The sum of the rows' cross entropies; a row with `IGNORED_LABEL` adds nothing.
 *
 * @param x (N, D) @param labels N of them, each in [0, V) or −100 @param weighting default: each class counts 1, no smoothing
 * @example const loss = vocabularyLoss(hidden, { weight }, Int32Array.of(3, 17))
 */
export function vocabularyLoss(x: Tensor2D, product: VocabularyProduct, labels: Int32Array, weighting?: Weighting, block: Block = blockOf(labels.length, product)): Scalar {
  return op(
    [x],
    (save, [back = false]) => {
      const parts = pieces(labels.length, block.rows).map(({ first, count }) =>
        tf.tidy(() => lossOfRows(tf.slice(x, [first, 0], [count, -1]), product, labels.subarray(first, first + count), weighting, back, block.words)))
      if (back) save(tf.concat<Tensor2D>(parts.map(([, dx]) => dx as Tensor2D), 0))
      return tf.addN(parts.map(([loss]) => loss))
    },
    (dy, [dx]) => [tf.mul(dx as Tensor2D, dy)],
  )
}

function blockOf(count: number, { weight: { shape: [words = 1] } }: VocabularyProduct): Block {
  const rows = Math.min(count, ROWS)
  const most = Math.max(UNIT, Math.floor(BYTES / 4 / rows))
  return { rows, words: Math.ceil(words / Math.ceil(words / most) / UNIT) * UNIT } // of one size
}

function pieces(count: number, most: number): readonly { readonly first: number; readonly count: number }[] {
  return Array.from({ length: Math.ceil(count / most) }, (_, i) => ({ first: i * most, count: Math.min(most, count - i * most) }))
}

/** The sum over some rows, and what of x's gradient is theirs. */
type RowsLoss = [loss: Scalar, dx?: Tensor2D]

/** Of the words so far: what is known of each row (N, 4), as `Seen` in native/vocabulary-loss.h has it, and the sums of the gradient. */
interface Sums {
  readonly seen: Tensor2D
  /** Σ exp(z − most) dz W over all words but the label, (N, D). */
  readonly likely?: Tensor2D | undefined
  /** Σ w dz W, of each row, or one for all. */
  readonly even?: Tensor2D | undefined
}

function lossOfRows(x: Tensor2D, product: VocabularyProduct, labels: Int32Array, weighting: Weighting | undefined, back: boolean, most: number): RowsLoss {
  const { weight, bias, factor = 1, cap } = product
  const [words = 0] = weight.shape
  const classes = weighting === undefined || weighting.smoothing === 0 ? undefined : tf.tensor1d(weighting.weights)
  const given = tf.tensor1d(labels, 'int32')
  let sums: Sums = { seen: tf.tile(tf.tensor2d([[-Infinity, 0, 0, 0]]), [labels.length, 1]) }
  for (const { first, count } of pieces(words, most)) {
    const before = sums
    sums = tf.tidy(() => {
      const part = weight.part(first, count)
      const logits = part.timesTransposed(x, bias === undefined ? undefined : tf.slice(bias, [first], [count]))
      const spread = back && classes !== undefined ? evenly(tf.slice(classes, [first], [count]), logits, product) : undefined
      const { seen, shrink, terms } = choose(PART, [logits])(logits, given, before.seen, { words, first, factor, cap, classes, back })
      const sum = back ? part.times(terms) : undefined
      const more = spread === undefined ? undefined : part.times(spread)
      return {
        seen,
        likely: before.likely === undefined || sum === undefined ? sum : scaledSum(before.likely, shrink, sum),
        even: before.even === undefined || more === undefined ? more : tf.add<Tensor2D>(before.even, more),
      }
    })
    for (const each of [before.seen, before.likely, before.even]) if (each !== sums.likely) each?.dispose()
  }
  return lossOf(sums, product, labels, given, weighting)
}

/** When all words have been seen. */
function lossOf({ seen, likely, even }: Sums, { weight, factor = 1, cap }: VocabularyProduct, labels: Int32Array, given: Tensor1D, weighting: Weighting | undefined): RowsLoss {
  const { smoothing, weights } = weighting ?? { smoothing: 0, weights: undefined }
  const [words = 0] = weight.shape
  const total = weights?.reduce((a, b) => a + b, 0) ?? words
  const ofEach = (of: (label: number) => number): Tensor2D => tf.tensor2d(Float32Array.from(labels, (label) => (label === IGNORED_LABEL ? 0 : of(label))), [labels.length, 1])
  const own = ofEach((label) => (1 - smoothing) * (weights?.[label] ?? 1)) // what −log p of the label counts, of every class times its weight, and of all
  const each = ofEach(() => smoothing / words)
  const all = tf.add<Tensor2D>(own, tf.mul(each, total))
  const [largest, sum, atLabel, spread] = tf.split(seen, 4, 1) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D]
  const logSum = tf.add(largest, tf.log(sum))
  const losses = tf.add(chosen(own, tf.mul(own, tf.sub(logSum, atLabel))), chosen(each, tf.mul(each, tf.sub(tf.mul(logSum, total), spread))))
  const loss = tf.sum<Scalar>(losses)
  if (likely === undefined) return [loss]
  const chain = cap === undefined ? tf.scalar(factor) : tf.mul(tf.sub(1, tf.square(tf.div(atLabel, cap))), factor)
  const atOwn = chosen(all, tf.mul(tf.sub(tf.mul(all, tf.exp(tf.sub(atLabel, logSum))), own), chain))
  const rest = tf.mul<Tensor2D>(atOwn, weight.rows(tf.maximum(given, tf.scalar(0, 'int32'))))
  return [loss, scaledSum(likely, chosen(all, tf.div(all, sum)), even === undefined ? rest : tf.sub(rest, tf.mul(each, even)))]
}

/** w dz / d logit of each row, or one row where it is the same for all. */
function evenly(classes: Tensor1D, logits: Tensor2D, { factor = 1, cap }: VocabularyProduct): Tensor2D {
  const row = tf.mul<Tensor2D>(tf.expandDims(classes, 0), factor)
  return cap === undefined ? row : tf.mul(row, tf.sub(1, tf.square(tf.tanh(tf.mul(logits, factor / cap)))))
}

/** Values where the weight is not 0: a choice, not a product, so that infinities and NaN at what does not count are not to reach the sum. */
function chosen(weight: Tensor2D, values: Tensor): Tensor2D {
  return tf.where<Tensor2D>(tf.notEqual(weight, 0), values as Tensor2D, tf.zerosLike(weight))
}

interface PartCall extends Pick<VocabularyProduct, 'factor' | 'cap'> {
  /** Of the vocabulary, and the first of those whose logits are given. */
  readonly words: number
  readonly first: number
  /** Weights of all classes, where labels are smoothed. */
  readonly classes: Tensor1D | undefined
  /** The terms of the gradient are asked for. */
  readonly back: boolean
}

/** What is known with these words too, what sums of before are multiplied by (N, 1), and the terms of the gradient, which may stand in the logits' memory. */
type PartOf = (logits: Tensor2D, labels: Tensor1D, seen: Tensor2D, call: PartCall) => { readonly seen: Tensor2D; readonly shrink: Tensor2D; readonly terms: Tensor2D }

const PART: Forms<PartOf> = {
  fused: (logits, labels, seen, { words, first, factor = 1, cap = 0, classes }) => {
    const [next, shrink] = fused('VocabularyPart', [logits, labels, classes, seen], { words, first, factor, cap }, 2) as [Tensor2D, Tensor2D]
    return { seen: next, shrink, terms: logits }
  },
  composed: (logits, labels, seen, { first, factor = 1, cap, classes, back }) => {
    const count = logits.shape[1]
    const scaled = factor === 1 ? logits : tf.mul<Tensor2D>(logits, factor)
    const share = cap === undefined ? undefined : tf.tanh(tf.div<Tensor2D>(scaled, cap))
    const z = share === undefined || cap === undefined ? scaled : tf.mul<Tensor2D>(share, cap)
    const counts = tf.notEqual(tf.expandDims(labels, 1), IGNORED_LABEL)
    // oneHot gives a row of zeros for an index outside its range
    const isLabel = tf.cast(tf.oneHot(tf.sub(labels, tf.scalar(first, 'int32')), count), 'bool')
    const [before, sum, atLabel, spread] = tf.split(seen, 4, 1) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D]
    const most = tf.maximum<Tensor2D>(before, tf.max(z, 1, true))
    const shift = tf.where<Tensor2D>(tf.equal(most, -Infinity), tf.zerosLike(most), most)
    const e = tf.exp(tf.sub<Tensor2D>(z, shift))
    const shrink = tf.where<Tensor2D>(counts, tf.exp(tf.sub(before, shift)), tf.onesLike(sum))
    const more = classes === undefined ? undefined : chosen(tf.tile(tf.expandDims<Tensor2D>(tf.slice(classes, [first], [count]), 0), [z.shape[0], 1]), tf.mul(z, tf.slice(classes, [first], [count])))
    const next = tf.concat<Tensor2D>([
      most,
      tf.add(tf.mul(sum, shrink), tf.sum(e, 1, true)),
      tf.add(atLabel, tf.sum(tf.where(isLabel, z, tf.zerosLike(z)), 1, true)),
      more === undefined ? spread : tf.add(spread, tf.sum(more, 1, true)),
    ], 1)
    const kept = tf.where<Tensor2D>(counts, next, seen)
    if (!back) return { seen: kept, shrink, terms: logits }
    const chain = share === undefined ? factor : tf.mul(tf.sub(1, tf.square(share)), factor)
    return { seen: kept, shrink, terms: tf.where<Tensor2D>(tf.logicalAnd(counts, tf.logicalNot(isLabel)), tf.mul(e, chain), tf.zerosLike(e)) }
  },
}

/** sum · factor of each row + more. The sum is the caller's alone, and its memory may become the result's. */
function scaledSum(sum: Tensor2D, factors: Tensor2D, more: Tensor2D): Tensor2D {
  return choose(SCALED_SUM, [sum, factors, more])(sum, factors, more)
}

const SCALED_SUM: Forms<typeof scaledSum> = {
  fused: (sum, factors, more) => {
    fusedOne('ScaledSum', [sum, factors, more])
    return sum
  },
  composed: (sum, factors, more) => tf.add(chosen(tf.tile(factors, [1, sum.shape[1]]), tf.mul(sum, factors)), more),
}
