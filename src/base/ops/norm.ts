import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { examplesApart } from '../autodiff/grads.ts'
import { op } from '../autodiff/tape.ts'
import { choose, fused, fusedOne, wholeKernel, type Forms } from '../engine/kernels.ts'
import { sumRows } from './row-sums.ts'

/** Both norms: with x̂ the normed rows, y = x̂ γ + β. RMS norm takes no mean away (`centred` is false) and has no β, as some layer norms. */
interface Norm {
  /** y, and where `keep` asks for them x̂ (N, D) and 1/√(var + ε), one for each row. */
  readonly forward: (call: NormCall, keep: boolean) => { readonly y: Tensor2D; readonly kept: readonly Tensor[] }
  readonly inputGradient: (dy: Tensor, normed: Tensor, rstd: Tensor, call: NormCall) => Tensor
  /** dγ = Σ dy x̂ and dβ = Σ dy. */
  readonly parameterGradients: (dy: Tensor, normed: Tensor, call: NormCall) => readonly [Tensor, Tensor | null]
}

interface Given extends Omit<NormCall, 'gamma'> {
  readonly gamma: Tensor1D | undefined
  /** γ is the parameter and 1. @default false */
  readonly zeroCentred?: boolean | undefined
}

interface NormCall {
  readonly x: Tensor2D
  readonly residual: Tensor2D | undefined
  readonly gamma: Tensor1D
  readonly beta: Tensor1D | undefined
  readonly epsilon: number
  readonly centred: boolean
}

/** What RMS norm has besides. */
export interface RmsNormOptions {
  /** Rows that are added to x first, (N, D). @default none */
  readonly residual?: Tensor2D
  /** The weight is gamma and 1, as in Gemma. @default false */
  readonly zeroCentred?: boolean
}

/**
 * Layer normalisation over the last axis, of x or of the sum x + residual.
 *
 * With x̂ = (x − mean) / √(var + ε) and g = dy γ:  dx = (g − mean(g) − x̂ mean(g x̂)) / √(var + ε), dγ = Σ dy x̂, dβ = Σ dy
 *
 * Source: Ba et al. 2016, arXiv:1607.06450
 *
 * @param x (N, D) @param gamma (D) @param beta (D), or none @param epsilon added to the variance
 * @param residual (N, D), added to x first
 * @returns (N, D)
 * @example const y = layerNorm(branch, gamma, beta, 1e-12, stream)
 */
export function layerNorm(x: Tensor2D, gamma: Tensor1D, beta: Tensor1D | undefined, epsilon: number, residual?: Tensor2D): Tensor2D {
  return normalise({ x, residual, gamma, beta, epsilon, centred: true })
}

/**
 * Root mean square normalisation over the last axis, of x or of the sum x + residual: layer normalisation without the
 * mean and without β.
 *
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467
 *
 * @param x (N, D) @param gamma (D), 1 where undefined @param epsilon added to the mean square
 * @returns (N, D)
 * @example const y = rmsNorm(x, gamma, 1e-6)
 */
export function rmsNorm(x: Tensor2D, gamma: Tensor1D | undefined, epsilon: number, { residual, zeroCentred }: RmsNormOptions = {}): Tensor2D {
  return normalise({ x, residual, gamma, beta: undefined, epsilon, centred: false, zeroCentred })
}

function normalise({ zeroCentred = false, ...call }: Given): Tensor2D {
  const { x, residual, gamma, beta } = call
  const weighted = (): NormCall => ({ ...call, gamma: gamma === undefined ? tf.ones([x.shape[1]]) : zeroCentred ? tf.add(gamma, 1) : gamma }) // anew: what an operation makes is not kept
  const { forward, inputGradient, parameterGradients } = choose(NORM, [x, residual, gamma, beta])
  return op(
    [x, residual, gamma, beta],
    (save, needs) => {
      const { y, kept } = forward(weighted(), needs.includes(true))
      save(...kept)
      return y
    },
    (dy, saved, needs) => {
      const [normed, rstd] = saved as [Tensor, Tensor]
      const dx = needs.slice(0, 2).includes(true) ? inputGradient(dy, normed, rstd, weighted()) : null
      const [dgamma, dbeta] = needs.slice(2).includes(true) ? parameterGradients(dy, normed, { ...call, gamma: gamma as Tensor1D }) : [null, null]
      return [dx, dx, dgamma, dbeta]
    },
  )
}

const COMPOSED: Norm = {
  forward: ({ x, residual, gamma, beta, epsilon, centred }) => {
    const sum = residual === undefined ? x : tf.add(x, residual)
    const moved = centred ? tf.sub(sum, tf.mean(sum, 1, true)) : sum
    const rstd = tf.rsqrt(tf.add(tf.mean(tf.square(moved), 1, true), epsilon))
    const normed = tf.mul(moved, rstd)
    const scaled = tf.mul<Tensor2D>(normed, gamma)
    return { y: beta === undefined ? scaled : tf.add(scaled, beta), kept: [normed, rstd] }
  },
  inputGradient: (dy, normed, rstd, { gamma, centred }) => {
    const g = tf.mul(dy, gamma)
    const along = tf.mul(normed, tf.mean(tf.mul(g, normed), 1, true))
    return tf.mul(tf.sub(centred ? tf.sub(g, tf.mean(g, 1, true)) : g, along), rstd)
  },
  parameterGradients: rowSums,
}

const NORM: Forms<Norm> = {
  fused: {
    forward: ({ x, residual, gamma, beta, epsilon, centred }, keep) => {
      const inputs = [x, residual, gamma, beta]
      const [y, ...kept] = keep ? fused('NormKept', inputs, { epsilon, centred }, 3) : fused('Norm', inputs, { epsilon, centred }, 1)
      return { y: y as Tensor2D, kept }
    },
    inputGradient: (dy, normed, rstd, { gamma, centred }) => fusedOne('NormGrad', [dy, normed, rstd, gamma], { centred }),
    parameterGradients: (dy, normed, call) => {
      const areApart = [call.gamma, call.beta].some((tensor) => tensor !== undefined && examplesApart(tensor) !== undefined)
      return areApart ? rowSums(dy, normed, call) : (fused('NormParameterGrad', [dy, normed], {}, 2) as [Tensor, Tensor])
    },
  },
  composed: COMPOSED,
  whole: {
    kernel: 'Norm',
    form: {
      ...COMPOSED,
      forward: ({ x, residual, gamma, beta, epsilon, centred }) => ({ y: wholeKernel('Norm', { x: residual === undefined ? x : tf.add(x, residual), gamma, beta }, { epsilon, centred }) as Tensor2D, kept: [] }),
    },
  },
}

function rowSums(dy: Tensor, normed: Tensor, { gamma, beta }: NormCall): readonly [Tensor, Tensor | null] {
  return [sumRows(gamma, tf.mul(dy, normed)), beta === undefined ? null : sumRows(beta, dy)]
}
