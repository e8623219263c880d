import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { sumOuterProducts, sumRows } from './row-sums.ts'

/**
 * A convolution over the tokens of each text; before the first and behind the last are zeros.
 *
 * y_t = Σ_s W_s x_{t + s − side} + b: one product with each token's neighbours side by side
 *
 * @param x (B·T, D) @param T tokens of a text @param weight (out, D, width), the width odd @param bias (out)
 * @returns (B·T, out)
 * @example const y = convolve(x, length, weight, bias)
 */
export function convolve(x: Tensor2D, T: number, weight: Tensor3D, bias: Tensor1D): Tensor2D {
  const [out, D, width] = weight.shape
  const [N, side] = [x.shape[0], (width - 1) / 2]
  const B = N / T
  const shifts = Array.from({ length: width }, (_, shift) => shift)
  const matrix = (): Tensor2D => tf.reshape(weight, [out, D * width])
  const neighbours = (rows: Tensor): Tensor2D => {
    const texts = tf.pad(tf.reshape<Rank.R3>(rows, [B, T, D]), [[0, 0], [side, side], [0, 0]])
    return tf.reshape(tf.stack(shifts.map((shift) => tf.slice(texts, [0, shift, 0], [B, T, D])), 3), [N, D * width])
  }
  const joined = (dNeighbours: Tensor): Tensor => {
    const parts = tf.unstack(tf.reshape(dNeighbours, [B, T, D, width]), 3) as Tensor3D[]
    const texts = tf.addN(parts.map((part, shift) => tf.pad(part, [[0, 0], [shift, width - 1 - shift], [0, 0]])))
    return tf.reshape(tf.slice(texts, [0, side, 0], [B, T, D]), [N, D])
  }
  /** (…, out, D · width) */
  const asWeights = (gradient: Tensor): Tensor => tf.reshape(gradient, [...gradient.shape.slice(0, -1), D, width])
  return op(
    [x, weight, bias],
    (save, [, weightNeeds]) => {
      if (weightNeeds === true) save(x)
      return tf.add(tf.matMul(neighbours(x), matrix(), false, true), bias)
    },
    (dy, [saved], [xNeeds, weightNeeds, biasNeeds]) => [
      xNeeds === true ? joined(tf.matMul(dy as Tensor2D, matrix())) : null,
      saved !== undefined && weightNeeds === true ? asWeights(sumOuterProducts(weight, dy as Tensor2D, neighbours(saved))) : null,
      biasNeeds === true ? sumRows(bias, dy) : null,
    ],
  )
}
