import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'

/** Euclidean norm of all gradients as one vector; the caller disposes it. */
export function globalNorm(grads: Readonly<Record<string, Tensor>>): Scalar {
  const all = Object.values(grads)
  return tf.tidy(() => all.length === 0 ? tf.scalar(0) : tf.sqrt(tf.addN(all.map((grad) => tf.sum<Scalar>(tf.square(grad))))))
}

/**
 * Scales all gradients by one factor so that their norm is at most `maxNorm`: min(1, maxNorm / (norm + 1e-6)), as
 * torch.nn.utils.clip_grad_norm_.
 *
 * @param grads by name, of any shapes; not disposed
 * @param norm their `globalNorm`; of one that is not finite, the gradients that come out are not finite either
 * @param maxNorm above 0; Infinity does not clip
 * @returns gradients under the same names; the caller disposes them
 * @throws InputError when `maxNorm` is not above 0
 */
export function clipByGlobalNorm(grads: Readonly<Record<string, Tensor>>, norm: number, maxNorm: number): Record<string, Tensor> {
  if (!(maxNorm > 0)) throw new InputError(`clipByGlobalNorm: expected maxNorm above 0, got ${maxNorm}.`)
  const factor = maxNorm / (norm + 1e-6)
  return Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, factor >= 1 ? grad.clone() : tf.mul(grad, factor)]))
}
