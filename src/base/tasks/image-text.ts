// Pictures and the texts that belong to them: of each row two vectors, whose products with those of the other rows are the logits.
//
//   contrastive   the mean of the cross entropies of each picture over the texts, and of each text over the pictures. Radford et al. 2021,
//                 arXiv:2103.00020
//   sigmoid       −Σ log σ(±logit) over all pairs, + where they belong together, for each row. Zhai et al. 2023, arXiv:2303.15343

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Scalar, Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Encoded, Head } from '../architecture.ts'
import type { Batch } from '../batch.ts'
import { bridge, op } from '../autodiff/tape.ts'
import { read } from '../engine/read.ts'
import { beside, reshape } from '../ops/algebra.ts'
import { sumRows } from '../ops/row-sums.ts'
import type { Pass } from '../pass.ts'
import { noClasses, type Loss } from './losses.ts'
import { together, type TaskMeasure } from './measures.ts'

/** Each (B, D) in one tensor (B, 2, D). */
function pairsOf(images: Tensor2D, texts: Tensor2D): Tensor3D {
  const [B, D] = images.shape
  return reshape<Rank.R3>(beside(images, texts), [B, 2, D])
}

/** How a model makes vectors of pictures and of texts, and what of them is held against each other. */
interface Joins {
  readonly image: (pass: Pass, encoded: Encoded) => Tensor2D
  readonly caption: (pass: Pass, encoded: Encoded, batch: Batch) => Tensor2D
  readonly fit: Required<Head>['fit']
}

/** Of pictures with texts the pairs of their vectors; of either alone what it becomes. */
export function joins({ image, caption, fit }: Joins): Pick<Head, 'run' | 'fit'> {
  return {
    fit,
    run: (pass, { towers = {} }, batch): Tensor => {
      const images = towers.vision === undefined ? undefined : image(pass, towers.vision)
      const texts = towers.text === undefined ? undefined : caption(pass, towers.text, batch)
      return images === undefined || texts === undefined ? (images ?? texts) as Tensor : pairsOf(...fit(pass, images, texts))
    },
  }
}

/** x · exp(power), for one number. */
export function timesExp(x: Tensor2D, power: Tensor): Tensor2D {
  return op(
    [x, power],
    (save) => {
      const y = tf.mul<Tensor2D>(x, tf.exp(tf.reshape(power, [])))
      save(y, power)
      return y
    },
    (dy, [y, kept], [, needs]) => [
      kept === undefined ? null : tf.mul(dy, tf.exp(tf.reshape(kept, []))),
      y === undefined || needs !== true ? null : perNumber(power, tf.sum(tf.mul(dy, y), 1, true)),
    ],
  )
}

/** A column of one number behind the others, so that the product with a column of ones adds it. */
export function withColumn(x: Tensor2D, number: Tensor): Tensor2D {
  const [B, D] = x.shape
  return op(
    [x, number],
    () => tf.concat([x, tf.tile(tf.reshape(number, [1, 1]), [B, 1])], 1),
    (dy, _, [, needs]) => [tf.slice(dy, [0, 0], [B, D]), needs === true ? perNumber(number, tf.slice(dy, [0, D], [B, 1])) : null],
  )
}

/** The gradient of a number from that of each row, (B, 1). */
function perNumber(number: Tensor, rows: Tensor): Tensor {
  const sum = sumRows(number, rows) // (1), or (examples, 1)
  return tf.reshape(sum, [...sum.shape.slice(0, -1), ...number.shape])
}

/** (pictures, texts) */
function logitsOf(pairs: Tensor): Tensor2D {
  const [B = 0, , D = 0] = pairs.shape
  const [images, texts] = [0, 1].map((i) => tf.reshape<Rank.R2>(tf.slice(pairs, [0, i, 0], [B, 1, D]), [B, D])) as [Tensor2D, Tensor2D]
  return tf.matMul(images, texts, false, true)
}

function countPairs({ rank, shape: [rows = 0] }: Tensor): number {
  if (rank === 3) return rows
  throw new InputError('The loss cannot be computed: expected rows of a picture and its text, with both ids and pixels.')
}

export const contrastivePairs: Loss = (pairs, _, classes = {}) => {
  noClasses(classes)
  const B = countPairs(pairs)
  const sum = bridge<Scalar>([pairs], (values) => {
    const logits = logitsOf(values)
    const own = tf.eye(B)
    const right = (of: Tensor2D): Tensor => tf.sum(tf.mul(tf.logSoftmax(of), own))
    return tf.mul(tf.add(right(logits), right(tf.transpose(logits))), -0.5)
  })
  return { sum, weight: B }
}

export const sigmoidPairs: Loss = (pairs, _, classes = {}) => {
  noClasses(classes)
  const B = countPairs(pairs)
  const sum = bridge<Scalar>([pairs], (values) => tf.sum(tf.softplus(tf.mul(logitsOf(values), tf.sub(1, tf.mul(tf.eye(B), 2))))))
  return { sum, weight: B }
}

/** Whether a pair counts by itself, and is as likely as its sigmoid says; else the texts of a picture exclude each other. */
export function judgesEachPair(loss: Loss | undefined): boolean {
  return loss === sigmoidPairs
}

/** Places of each picture's own text among the texts of the batch. */
export const PAIRS: TaskMeasure = {
  observe: async (pairs, { rows }) => {
    const B = rows.length
    const logits = await read(() => logitsOf(pairs))
    const rank = (i: number): number => logits.subarray(i * B, (i + 1) * B).filter((value) => value >= (logits[i * B + i] ?? NaN)).length
    return new Map(Array.from(rows, (row, i) => [row, { predicted: [rank(i)], actual: [1] }]))
  },
  summarize: (noted, labels) => {
    const ranks = together(noted, labels).predicted
    const share = (of: (rank: number) => number): number => ranks.reduce((sum, rank) => sum + of(rank), 0) / ranks.length
    return { accuracy: share((rank) => Number(rank === 1)), recallAt5: share((rank) => Number(rank <= 5)), mrr: share((rank) => 1 / rank) }
  },
}
