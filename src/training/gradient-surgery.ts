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

/**
 * The direction of CAGrad (Liu et al. 2021, arXiv:2110.14048) times the number of tasks: near the mean g₀ of their gradients, the one by which the
 * task that gains least gains most,
 *
 *   d = g₀ + c ‖g₀‖ g_w / ‖g_w‖,   g_w = Σ wᵢ gᵢ with the shares w that make g_w · g₀ + c ‖g₀‖ ‖g_w‖ least.
 *
 * Gradients are those of the tensors that all tasks share, taken as one vector; a tensor of one task alone keeps its gradient. With c = 0 it is the plain sum.
 *
 * @param tasks gradients by name; not disposed
 * @param c how far from the mean, as a share of its length, from 0 to below 1 (default: 0.5)
 * @returns gradients of every name; the caller disposes them
 * @example
 * const summed = await averseToConflicts([grads, grads])
 */
export async function averseToConflicts(tasks: readonly Grads[], c = 0.5): Promise<Record<string, Tensor>> {
  const K = tasks.length
  const shared = Object.keys(tasks[0] ?? {}).filter((name) => tasks.every((grads) => grads[name] !== undefined))
  const gram = tf.tidy(() => tf.stack(tasks.flatMap((a) => tasks.map((b) => inner(a, b, shared)))))
  const products = await gram.data<'float32'>()
  gram.dispose()
  const shares = leastShares(Array.from({ length: K }, (_, i) => [...products.subarray(i * K, (i + 1) * K)]), c)
  return tf.tidy(() => {
    const turned = tasks.map((own, i) => ({ ...own, ...Object.fromEntries(shared.map((name) => [name, tf.mul(own[name] as Tensor, 1 + K * (shares[i] ?? 0))])) })) // shared: all have it
    return sumGrads(turned)
  })
}

/**
 * wᵢ c ‖g₀‖ / ‖g_w‖ of CAGrad's shares w, from the inner products of the gradients. The function is convex: shares go from one task to another, as long as that
 * makes it less.
 */
function leastShares(gram: readonly (readonly number[])[], c: number): number[] {
  const K = gram.length
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / K
  const towards = gram.map((row) => mean(row)) // gᵢ · g₀
  const reach = c * Math.sqrt(Math.max(0, mean(towards))) // c ‖g₀‖
  const lengthOf = (w: readonly number[]): number => Math.sqrt(Math.max(0, w.reduce((sum, wi, i) => sum + wi * w.reduce((inside, wj, j) => inside + wj * (gram[i]?.[j] ?? 0), 0), 0)))
  const least = (w: readonly number[]): number => w.reduce((sum, wi, i) => sum + wi * (towards[i] ?? 0), 0) + reach * lengthOf(w)
  let w = gram.map(() => 1 / K)
  for (let round = 0, gained = Infinity; round < ROUNDS && gained > 0; round++) {
    const before = least(w)
    for (let i = 0; i < K; i++) for (let j = 0; j < i; j++) w = balanced(w, i, j, least)
    gained = before - least(w)
  }
  const length = lengthOf(w)
  return w.map((share) => (length > 0 ? (share * reach) / length : 0))
}

const [ROUNDS, CUTS] = [200, 80]

/** Shares i and j as they are best with their sum as it is, by a search that cuts a third off each time. */
function balanced(w: readonly number[], i: number, j: number, valueOf: (w: readonly number[]) => number): number[] {
  const sum = (w[i] ?? 0) + (w[j] ?? 0)
  const at = (share: number): number[] => w.map((value, k) => (k === i ? share : k === j ? sum - share : value))
  let [low, high] = [0, sum]
  for (let cut = 0; cut < CUTS; cut++) {
    const third = (high - low) / 3
    if (valueOf(at(low + third)) <= valueOf(at(high - third))) high -= third
    else low += third
  }
  const best = at((low + high) / 2)
  return valueOf(best) < valueOf(w) ? best : [...w]
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
