import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import { permutation, randomStream } from '../base/random.ts'

type Grads = Readonly<Record<string, Tensor>>

/**
 * The sum of several tasks' gradients after PCGrad (Yu et al. 2020, arXiv:2001.06782): where two tasks pull in opposite
 * directions, each gives up the part of its gradient that opposes the other's,
 *
 *   g_i ← g_i − (g_i · g_j / ‖g_j‖²) g_j   where g_i · g_j < 0,
 *
 * for the other tasks in a random order. Directions are those of the tensors that all tasks share, taken as one vector; a
 * tensor of one task alone keeps its gradient.
 *
 * @param tasks gradients by name; not disposed
 * @param seed of the order
 * @returns gradients of every name; the caller disposes them
 * @example
 * const summed = projectConflicts([grads, grads], 0)
 */
export function projectConflicts(tasks: readonly Grads[], seed: number): Record<string, Tensor> {
  const shared = Object.keys(tasks[0] ?? {}).filter((name) => tasks.every((grads) => grads[name] !== undefined))
  return tf.tidy(() => {
    const projected = tasks.map((own, i) => {
      const result: Record<string, Tensor> = { ...own }
      for (const j of permutation(randomStream(seed, 'pcgrad', i), tasks.length)) {
        const other = tasks[j]
        if (j === i || other === undefined) continue
        const dot = inner(result, other, shared)
        // how far against the other's direction, as a share of the other's length; 0 where they agree
        const share = tf.neg(tf.divNoNan(tf.minimum(dot, 0), inner(other, other, shared)))
        for (const name of shared) result[name] = tf.add(result[name] as Tensor, tf.mul(other[name] as Tensor, share)) // shared: both have it
      }
      return result
    })
    return sumGrads(projected)
  })
}

/** The sum by name; a name that only some have is the sum of theirs. The caller disposes it. */
export function sumGrads(tasks: readonly Grads[]): Record<string, Tensor> {
  const names = new Set(tasks.flatMap((grads) => Object.keys(grads)))
  return tf.tidy(() => Object.fromEntries([...names].map((name) => {
    const parts = tasks.flatMap((grads) => grads[name] ?? [])
    return [name, tf.clone(tf.addN(parts))]
  })))
}

function inner(a: Grads, b: Grads, names: readonly string[]): Scalar {
  if (names.length === 0) return tf.scalar(0)
  return tf.addN(names.map((name) => tf.sum(tf.mul(a[name] as Tensor, b[name] as Tensor)))) // both have all of them
}
