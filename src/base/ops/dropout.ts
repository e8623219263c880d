import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { op } from '../autodiff/tape.ts'
import { choose, fusedOne, uniform, type Forms } from '../engine/kernels.ts'

/**
 * Inverted dropout: each element is zeroed with probability `rate`, the others are divided by 1 − rate. The mask
 * follows from the seed, so the backward pass draws it again instead of keeping it.
 *
 * Source: Srivastava et al. 2014
 *
 * @param rate in [0, 1)
 * @example const y = dropout(x, 0.1, [seed, place])
 */
export function dropout<T extends Tensor>(x: T, rate: number, seed: readonly [number, number]): T {
  const mask = choose(MASK, [x])
  return op([x], () => mask(x, rate, seed) as T, (dy) => [mask(dy, rate, seed)])
}

const MASK: Forms<(x: Tensor, rate: number, seed: readonly [number, number]) => Tensor> = {
  fused: (x, rate, seed) => fusedOne('Dropout', [x, tf.tensor1d([...seed], 'int32')], { rate }),
  composed: (x, rate, seed) => tf.mul(x, dropoutMask(x.shape, rate, seed)),
}

/** 0 with probability `rate`, else 1 / (1 − rate). */
export function dropoutMask(shape: readonly number[], rate: number, seed: readonly [number, number]): Tensor {
  const keep = tf.greaterEqual(uniform(shape, seed), rate)
  return tf.mul(tf.cast(keep, 'float32'), 1 / (1 - rate))
}
