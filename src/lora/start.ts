import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import { NO_VALUES, type Init, type InitContext, type Inits } from '../base/method.ts'
import { firstColumns, orthonormal, randomizedSvd, svd } from '../base/ops/svd.ts'
import { kaimingUniform, normal } from '../base/random.ts'
import { sizeAt, startsFromWeight, widthsOf, type LoraConfig, type WeightSite } from './options.ts'

/**
 * The tensors LoRA starts with at a site: A and B, and where those are a part of the weight, A0 and B0, what they
 * started as. The update is then s(B A − B0 A0), so that the base stays as it is.
 *
 * Differs from PEFT: it takes the part out of the base weight instead.
 *
 * @throws InputError when the rank is more than the weight has
 */
export function startAt(config: LoraConfig, site: WeightSite, context: InitContext): Inits {
  checkRank(config, site, context)
  if (!startsFromWeight(config, site)) return randomStart(config, site, context)
  const { A, B } = weightStart(config, site, context)
  return { A, B, A0: { ...A, frozen: true }, B0: { ...B, frozen: true } }
}

function randomStart(config: LoraConfig, site: WeightSite, { draw, fresh }: InitContext): Inits {
  const { rank } = sizeAt(config, site)
  const { inSize, outSize } = widthsOf(site)
  const rows = site.kind === 'experts' ? rank * site.count : rank
  const zeros = (size: number): Float32Array => new Float32Array(size)
  const [A, B] = !fresh
    ? [NO_VALUES, NO_VALUES]
    : site.kind === 'embedding'
      ? [zeros(rank * inSize), normal(draw('B'), outSize * rank, 0, 1)]
      : [
          config.init === 'gaussian'
            ? normal(draw('A'), rows * inSize, 0, 1 / rank)
            : kaimingUniform(draw('A'), rows * inSize, inSize), // PEFT: kaiming_uniform_(a = √5), which is U(±1/√in)
          zeros(outSize * rows),
        ]
  return { A: { shape: [rows, inSize], values: A }, B: { shape: [outSize, rows], values: B } }
}

function weightStart(config: LoraConfig, site: WeightSite, { draw, param }: InitContext): { readonly A: Init; readonly B: Init } {
  const { rank, scale } = sizeAt(config, site)
  const [A, B] = tf.tidy((): [Tensor2D, Tensor2D] => {
    const weight = param(site.weight) as Tensor2D // (out, in): no embedding comes here
    if (config.init === 'olora') {
      const Q = orthonormal(firstColumns(weight, rank)) // W = Q R; the first columns of W decide those of Q
      return [tf.matMul<Tensor2D>(Q, weight, true, false), Q]
    }
    const { u, s, v } =
      typeof config.init === 'object' ? randomizedSvd(weight, rank, config.init.iterations, draw('search')) : svd(weight)
    const roots = tf.sqrt(tf.div(tf.slice(s, 0, rank), scale)) // B A times the scale is then the weight's own part
    return [tf.transpose(tf.mul<Tensor2D>(firstColumns(v, rank), roots)), tf.mul<Tensor2D>(firstColumns(u, rank), roots)]
  })
  return { A: { shape: A.shape, values: A }, B: { shape: B.shape, values: B } }
}

/** A file may hold any rank, as a combination of adapters does; one that is chosen and cannot be used up is a mistake. */
function checkRank(config: LoraConfig, site: WeightSite, { fresh }: InitContext): void {
  const { rank } = sizeAt(config, site)
  const { inSize, outSize } = widthsOf(site)
  const most = Math.min(inSize, outSize)
  if (rank <= most || !(fresh || startsFromWeight(config, site))) return
  throw new InputError(
    `lora: rank ${rank} at '${site.name}': expected at most ${most}, the full rank of its ${outSize} × ${inSize} weight. ` +
      `Lower the rank, or give the module its own: rankPattern: { '${site.name}': ${most} }.`,
  )
}
