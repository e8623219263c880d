// DoRA: LoRA that trains the length of each row of the weight apart from its direction.
//
//   y = f ∘ (W x + s · B A drop(x)) + b,  f = m / n,  m (out) trained, n = ‖W + s B A‖ for each row
//
// n counts as a constant in the backward pass (section 4.3 of the paper). It is worked out without building B A:
//
//   n² = ‖W‖² + 2s ⟨W, B A⟩ + s² ‖B A‖² = ‖W‖² + 2s Σ (W Aᵀ) ∘ B + s² Σ (B A Aᵀ) ∘ B
//
// Liu et al. 2024, arXiv:2402.09353
//
// Differs from PEFT: while training with dropout, PEFT drops the input of (f − 1) W x too, at the price of another
// product with W; the mean over the masks is the same.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { op } from '../base/autodiff/tape.ts'
import { sumRows } from '../base/ops/row-sums.ts'
import { NO_VALUES, type LowRank, type Method, type SiteTensors } from '../base/method.ts'
import { InputError } from '../errors.ts'
import { placesOf } from './lora.ts'
import { configOf, sizeAt, widthsOf, type LoraConfig, type LoraOptions, type WeightSite } from './options.ts'
import { startAt } from './start.ts'
import { deltaOf, scaleUpdate, updateEmbedding, updateLinear, updateOf } from './update.ts'
import { loraFormat } from './file-format.ts'
import { withTokenRows } from './token-rows.ts'
import type { ParamOf } from '../base/sites.ts'

/**
 * Weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv:2402.09353), with the options of LoRA. The adapted model
 * starts equal to the base. At each module it has to be the first adapter attached of those that are enabled.
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, dora({ rank: 8, alpha: 16, targets: ['query', 'value'] }))
 */
export function dora(options: LoraOptions = {}): Method {
  const config = configOf('dora', options)
  if (config.targetParameters.length > 0) throw new InputError('dora: targetParameters: expected none, as in HF PEFT; take lora for them.')
  return withTokenRows({
    ...placesOf(config),
    innermost: true,
    init: (site, context) => {
      const at = site as WeightSite
      const norms = context.fresh ? tf.tidy(() => rowNorms(context.param(at.weight) as Tensor2D, at)) : NO_VALUES
      return { ...startAt(config, at, context), magnitude: { shape: [widthsOf(at).outSize], values: norms } }
    },
    linear: (site, own, param) => {
      const [update, size] = [updateLinear(config, site, own), sizeAt(config, site)]
      return (x, next, pass) => {
        const bias = site.bias === undefined ? undefined : (param(site.bias) as Tensor1D)
        return rescale(update(x, next, pass), magnitudeOf(own), bias, () => updatedNorms(param(site.weight) as Tensor2D, updateOf(size, own), site))
      }
    },
    embedding: (site, own, param) => {
      const [update, size] = [updateEmbedding(config, site, own), sizeAt(config, site)]
      return (ids, next, pass) =>
        rescale(update(ids, next, pass), magnitudeOf(own), undefined, () => updatedNorms(param(site.weight) as Tensor2D, updateOf(size, own), site))
    },
    merge: (site, { weight, bias }, own) => {
      const updated = tf.add<Tensor2D>(weight, deltaOf(config, site, own))
      const factor = tf.div(magnitudeOf(own), rowNorms(updated, site))
      return { weight: tf.mul(updated, site.kind === 'linear' ? tf.expandDims(factor, 1) : factor), bias }
    },
    interpolate: (site, own, alpha, param) => between(config, site as WeightSite, own, alpha, param),
    name: 'dora',
    format: loraFormat(config, { dora: true }),
  }, config)
}

/**
 * (y − b) m / n + b
 *
 * With f = m / n:  dy' = dy f, dm = Σ dy (y − b) / n, db = Σ dy (1 − f)
 *
 * @param y (N, out), the bias included
 */
function rescale(y: Tensor2D, magnitude: Tensor1D, bias: Tensor1D | undefined, norms: () => Tensor1D): Tensor2D {
  return op(
    bias === undefined ? [y, magnitude] : [y, magnitude, bias],
    (save) => {
      const n = norms()
      const product = bias === undefined ? y : tf.sub<Tensor2D>(y, bias)
      save(product, n)
      const scaled = tf.mul<Tensor2D>(product, tf.div(magnitude, n))
      return bias === undefined ? scaled : tf.add(scaled, bias)
    },
    (dy, saved, [, , biasNeeds]) => {
      const [product, n] = saved as [Tensor2D, Tensor1D]
      const factor = tf.div(magnitude, n)
      return [
        tf.mul(dy, factor),
        tf.div(sumRows(magnitude, tf.mul(dy, product)), n),
        bias !== undefined && biasNeeds === true ? tf.mul(sumRows(bias, dy), tf.sub(1, factor)) : null,
      ]
    },
  )
}

/**
 * The DoRA whose weight lies between W and this one's; U = s B A:
 *
 *   (1 − alpha) W + alpha f ∘ (W + U) = c ∘ (W + alpha f / c ∘ U),  c = 1 − alpha + alpha f
 */
function between(config: LoraConfig, site: WeightSite, own: SiteTensors, alpha: number, param: ParamOf): SiteTensors {
  const size = sizeAt(config, site)
  const norms = (tensors: SiteTensors): Tensor1D => updatedNorms(param(site.weight) as Tensor2D, updateOf(size, tensors), site)
  const part = tf.mul<Tensor1D>(tf.div(magnitudeOf(own), norms(own)), alpha)
  const sum = tf.add<Tensor1D>(part, 1 - alpha)
  const c = tf.where(tf.less(tf.abs(sum), 1e-6), tf.fill(sum.shape, 1e-6), sum) // 0 where a negative magnitude cancels W
  const scaled = scaleUpdate(own, tf.expandDims(tf.div(part, c), 1))
  return { ...scaled, magnitude: tf.mul(c, norms({ ...own, ...scaled })) }
}

/** ‖W + scale · B A‖ for each output. */
function updatedNorms(weight: Tensor2D, { A, B, scale }: LowRank, site: WeightSite): Tensor1D {
  const linear = site.kind === 'linear'
  const crossed = tf.sum(tf.mul(tf.matMul(weight, A, !linear, true), B), 1) // ⟨W, B A⟩
  const own = tf.sum(tf.mul(tf.matMul(B, tf.matMul(A, A, false, true)), B), 1) // ‖B A‖²
  const squares = tf.add(tf.sum(tf.square(weight), linear ? 1 : 0), tf.add(tf.mul(crossed, 2 * scale), tf.mul(own, scale * scale)))
  return rooted(squares as Tensor1D)
}

function rowNorms(weight: Tensor2D, site: WeightSite): Tensor1D {
  return rooted(tf.sum(tf.square(weight), site.kind === 'linear' ? 1 : 0))
}

/** A row of zeros, as in a pruned weight, must not divide by zero. */
function rooted(squares: Tensor1D): Tensor1D {
  return tf.sqrt(tf.maximum(squares, 1e-24))
}

function magnitudeOf(own: SiteTensors): Tensor1D {
  return own['magnitude'] as Tensor1D // as made by init
}
