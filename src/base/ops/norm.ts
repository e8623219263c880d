import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../grads.ts'

/**
 * Layer normalisation over the last axis, of x or of the sum x + residual.
 *
 * With x̂ = (x − mean) / √(var + ε) and g = dy γ:  dx = (g − mean(g) − x̂ mean(g x̂)) / √(var + ε), dγ = Σ dy x̂, dβ = Σ dy
 *
 * Source: Ba et al. 2016, arXiv:1607.06450
 *
 * @param x (N, D) @param gamma (D) @param beta (D) @param epsilon added to the variance
 * @param residual (N, D), added to x first
 * @returns (N, D)
 * @example const y = layerNorm(branch, gamma, beta, 1e-12, stream)
 */
export function layerNorm(x: Tensor2D, gamma: Tensor1D, beta: Tensor1D, epsilon: number, residual?: Tensor2D): Tensor2D {
  return op(
    residual === undefined ? [x, gamma, beta] : [x, gamma, beta, residual],
    (save) => {
      const sum = residual === undefined ? x : tf.add(x, residual)
      const centred = tf.sub(sum, tf.mean(sum, 1, true))
      const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), epsilon))
      const normed = tf.mul(centred, rstd)
      save(normed, rstd)
      return tf.add(tf.mul(normed, gamma), beta)
    },
    (dy, saved, [xNeeds, gammaNeeds, betaNeeds, residualNeeds]) => {
      const [normed, rstd] = saved as [Tensor2D, Tensor2D]
      const dx = xNeeds === true || residualNeeds === true ? inputGradient(dy, normed, rstd, gamma) : null
      return [
        dx,
        gammaNeeds === true ? tf.sum(tf.mul(dy, normed), 0) : null,
        betaNeeds === true ? tf.sum(dy, 0) : null,
        dx,
      ]
    },
  )
}

function inputGradient(dy: tf.Tensor, normed: Tensor2D, rstd: Tensor2D, gamma: Tensor1D): tf.Tensor {
  const g = tf.mul(dy, gamma)
  const along = tf.mul(normed, tf.mean(tf.mul(g, normed), 1, true))
  return tf.mul(tf.sub(tf.sub(g, tf.mean(g, 1, true)), along), rstd)
}
