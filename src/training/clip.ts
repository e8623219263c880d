import * as tf from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'

export interface ClippedGrads {
  /** Scaled gradients under the same names; the caller disposes them. */
  readonly grads: Record<string, tf.Tensor>
  /** Euclidean norm of all gradients as one vector, before the scaling. */
  readonly norm: number
}

/**
 * Scales all gradients by one factor so that their norm is at most `maxNorm`: min(1, maxNorm / (norm + 1e-6)), as
 * torch.nn.utils.clip_grad_norm_. Waits once for the device, to read the norm.
 *
 * A norm that is not finite is returned as it is, with gradients that are not finite either: look at it before a step.
 *
 * @param grads by name, of any shapes; not disposed
 * @param maxNorm above 0; Infinity measures without clipping
 * @throws InputError when `maxNorm` is not above 0
 * @example
 * const { grads: clipped, norm } = clipByGlobalNorm(grads, 1)
 */
export function clipByGlobalNorm(grads: Readonly<Record<string, tf.Tensor>>, maxNorm: number): ClippedGrads {
  if (!(maxNorm > 0)) throw new InputError(`clipByGlobalNorm: expected maxNorm above 0, got ${maxNorm}.`)
  const named = Object.entries(grads)
  const norm = globalNorm(Object.values(grads))
  const factor = maxNorm / (norm + 1e-6)
  const clipped = named.map(([name, grad]) => [name, factor >= 1 ? grad.clone() : tf.mul(grad, factor)] as const)
  return { grads: Object.fromEntries(clipped), norm }
}

function globalNorm(grads: readonly tf.Tensor[]): number {
  if (grads.length === 0) return 0
  const norm = tf.tidy(() => tf.sqrt(tf.addN(grads.map((grad) => tf.sum(tf.square(grad))))))
  const [value] = norm.dataSync()
  norm.dispose()
  return value as number // a scalar holds one value
}
