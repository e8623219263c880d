// WiSE-FT: weights on the straight line from the base to the fine-tuned model.
//
//   θ = (1 − alpha) θ_base + alpha θ_tuned
//
// Wortsman et al. 2021, arXiv:2109.01903

import * as tf from '@tensorflow/tfjs-core'
import { layerOf } from '../base/sites.ts'
import { shown } from '../errors.ts'
import { checkRecords, mapTensors, tensorOf, type Tensors } from './records.ts'

/**
 * How far to go, in [0, 1]: one number; or one for each tensor by its name and the number of its layer, undefined outside
 * the layers.
 */
export type Alpha = number | ((name: string, layer: number | undefined) => number)

/**
 * (1 − alpha) base + alpha tuned, tensor by tensor. Alpha 0 gives the numbers of `base`, alpha 1 those of `tuned`.
 * Between them lies WiSE-FT (Wortsman et al. 2021, arXiv:2109.01903).
 *
 * @param base any shapes @param tuned the same names and shapes
 * @returns a new record; the caller disposes it
 * @throws InputError when names or shapes differ, a number is not finite, or an alpha is outside [0, 1]; it lists all
 * @example
 * const half = interpolateTensors({ w: tf.tensor([0, 2]) }, { w: tf.tensor([1, 4]) }, 0.5) // w: [0.5, 3]
 */
export function interpolateTensors(base: Tensors, tuned: Tensors, alpha: Alpha): Record<string, tf.Tensor> {
  const { at, problems } = readAlpha(alpha, Object.keys(base))
  checkRecords('interpolateTensors', [['base', base], ['tuned', tuned]], problems)
  return mapTensors(base, (name, tensor) => mix(tensor, tensorOf(tuned, name), at(name)))
}

/** (1 − alpha) a + alpha b; at 0 and 1 exactly a and b. */
export function mix<T extends tf.Tensor>(a: T, b: T, alpha: number): T {
  if (alpha === 0 || alpha === 1) return (alpha === 0 ? a : b).clone()
  return tf.add(tf.mul(a, 1 - alpha), tf.mul(b, alpha))
}

/** An alpha for each name, and what is wrong with them. */
export function readAlpha(
  alpha: Alpha, names: readonly string[],
): { readonly at: (name: string) => number; readonly problems: readonly string[] } {
  const wrong = (value: number): boolean => !(value >= 0 && value <= 1)
  if (typeof alpha === 'number') {
    return { at: () => alpha, problems: wrong(alpha) ? [`alpha: expected a number in [0, 1], got ${alpha}`] : [] }
  }
  if (typeof alpha !== 'function') return { at: () => NaN, problems: [`alpha: expected a number in [0, 1], or a function of names, got ${shown(alpha)}`] }
  const values = new Map(names.map((name) => [name, alpha(name, layerOf(name))]))
  const outside = [...values].filter(([, value]) => wrong(value))
  return {
    at: (name) => values.get(name) ?? NaN,
    problems: outside.map(([name, value]) => `alpha: expected a number in [0, 1] for ${name}, got ${value}`),
  }
}
