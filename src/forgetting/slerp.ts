// Spherical interpolation: along the arc between two tensors instead of the chord, which keeps the length on the way.
//
//   (sin((1 − t)θ) a + sin(tθ) b) / sin θ,  θ the angle between a and b as whole vectors
//
// Shoemake 1985; for weights as in mergekit: where |cos θ| > 0.9995 there is no arc to speak of and the chord is taken.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { mix, readAlpha, type Alpha } from './interpolate.ts'
import { checkRecords, mapTensors, tensorOf, type Tensors } from './records.ts'

const NEARLY_PARALLEL = 0.9995
const NO_LENGTH = 1e-8

/**
 * Spherical interpolation, each tensor as one vector. 0 gives the numbers of `a`, 1 those of `b`.
 *
 * @param a any shapes @param b the same names and shapes
 * @param t in [0, 1], one or for each tensor
 * @returns a new record; the caller disposes it
 * @throws InputError when names or shapes differ, a number is not finite, or t is outside [0, 1]; it lists all
 * @example
 * const between = slerp({ w: tf.tensor([1, 0]) }, { w: tf.tensor([0, 1]) }, 0.5) // w: [0.7071, 0.7071]
 */
export function slerp(a: Tensors, b: Tensors, t: Alpha): Record<string, Tensor> {
  const { at, problems } = readAlpha(t, Object.keys(a))
  checkRecords('slerp', [['a', a], ['b', b]], problems)
  return mapTensors(a, (name, tensor) => along(tensor, tensorOf(b, name), at(name)))
}

function along(a: Tensor, b: Tensor, t: number): Tensor {
  const cosine = cosineOf(a.dataSync() as Float32Array, b.dataSync() as Float32Array)
  if (t === 0 || t === 1 || Math.abs(cosine) > NEARLY_PARALLEL) return mix(a, b, t)
  const angle = Math.acos(cosine)
  return tf.add(tf.mul(a, Math.sin((1 - t) * angle) / Math.sin(angle)), tf.mul(b, Math.sin(t * angle) / Math.sin(angle)))
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let [aa, bb, ab] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0]
    aa += x * x
    bb += y * y
    ab += x * y
  }
  const length = (squares: number): number => (Math.sqrt(squares) > NO_LENGTH ? Math.sqrt(squares) : 1)
  return Math.min(1, Math.max(-1, ab / length(aa) / length(bb)))
}
