import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import type { LowRank, SiteTensors } from '../base/method.ts'
import { add } from '../base/ops/algebra.ts'
import { lowRank } from '../base/ops/low-rank.ts'
import type { EmbeddingSite, LinearSite } from '../base/sites.ts'
import { deltaOfExperts } from './experts.ts'
import { InputError } from '../errors.ts'
import { lowRankLookup, lowRankOfTable } from './low-rank-lookup.ts'
import { isWeightInit, sizeAt, type LoraConfig, type WeightSite } from './options.ts'
import type { Around } from '../base/pass.ts'

/** LoRA's tensors at a site, as `startAt` makes them. */
interface LoraTensors {
  readonly A: Tensor2D // (rank, in)
  readonly B: Tensor2D // (out, rank)
  /** What A and B started as, where that was a part of the weight. */
  readonly A0?: Tensor2D
  readonly B0?: Tensor2D
}

/** y + (s · B A drop(x) − s · B0 A0 x), for x (N, in) and y (N, out); the bracket is exactly 0 at the start. */
export function updateLinear(config: LoraConfig, site: LinearSite, own: SiteTensors): Around<Tensor2D, Tensor2D> {
  const { A, B, A0, B0 } = own as unknown as LoraTensors
  const { scale } = sizeAt(config, site)
  return (x, next, pass) => {
    const y = next(x)
    const dropped = pass.dropout(`${site.name}.lora`, x, config.dropout)
    if (A0 === undefined || B0 === undefined) return lowRank(dropped, A, B, scale, y)
    return add(y, add(lowRank(dropped, A, B, scale), lowRank(x, A0, B0, -scale)))
  }
}

/** The same for the rows y (N, out) of a table by ids (N). */
export function updateEmbedding(config: LoraConfig, site: EmbeddingSite, own: SiteTensors): Around<Tensor1D, Tensor2D> {
  const { A, B, A0, B0 } = own as unknown as LoraTensors
  const { scale } = sizeAt(config, site)
  return (ids, next) => {
    const [y, update] = [next(ids), lowRankLookup(ids, A, B, scale)]
    return add(y, A0 === undefined || B0 === undefined ? update : add(update, lowRankLookup(ids, A0, B0, -scale)))
  }
}

/**
 * The update of a table at the head that is one tensor with it.
 *
 * @throws InputError where the options give the two other scales, or start the head's pair from its weight, which the table's does not
 */
export function updateTied(config: LoraConfig, site: LinearSite, owner: EmbeddingSite, own: SiteTensors): Around<Tensor2D, Tensor2D> {
  const { A, B } = own as unknown as LoraTensors
  const { scale } = sizeAt(config, owner)
  if (isWeightInit(config)) {
    throw new InputError(
      `lora: ensureWeightTying: expected init 'kaiming' or 'gaussian' beside it where '${owner.name}' and '${site.name}' are one tensor, ` +
        `got ${JSON.stringify(config.init)}. Start them plainly, or let each have its own update.`,
    )
  }
  if (sizeAt(config, site).scale !== scale) {
    throw new InputError(`lora: ensureWeightTying: rankPattern and alphaPattern give '${site.name}' and '${owner.name}' different scales; name both in them, or neither.`)
  }
  return (x, next, pass) => lowRankOfTable(pass.dropout(`${site.name}.lora`, x, config.dropout), A, B, scale, next(x))
}

/**
 * The update as one pair. Where there is something to take off, B A − B0 A0 = [B − B0, B0] [A; A − A0], which loses no
 * digits while A and B are near their start. Call inside a tidy.
 */
export function updateOf({ scale }: Pick<LowRank, 'scale'>, own: SiteTensors): LowRank {
  const { A, B, A0, B0 } = own as unknown as LoraTensors
  if (A0 === undefined || B0 === undefined) return { A, B, scale }
  return { A: tf.concat([A, tf.sub(A, A0)], 0), B: tf.concat([tf.sub(B, B0), B0], 1), scale }
}

/** The tensors of an update of another size. @param factor a number, or one for each output (out, 1) */
export function scaleUpdate(own: SiteTensors, factor: number | Tensor2D): SiteTensors {
  const { B, B0 } = own as unknown as LoraTensors
  return { B: tf.mul(B, factor), ...(B0 === undefined ? {} : { B0: tf.mul(B0, factor) }) }
}

/** The update as a matrix in the weight's own layout. Call inside a tidy. */
export function deltaOf(config: LoraConfig, site: WeightSite, own: SiteTensors): Tensor2D | Tensor3D {
  if (site.kind === 'experts') return deltaOfExperts(site, sizeAt(config, site).scale, own as unknown as LoraTensors)
  const { A, B, scale } = updateOf(sizeAt(config, site), own)
  const product = site.kind === 'linear' ? tf.matMul(B, A) : tf.matMul(A, B, true, true)
  return tf.mul(product, scale)
}
