// Task arithmetic: what fine-tuning changed, as a vector that can be added, taken away and merged with others.
//
//   τ = θ_tuned − θ_base,   θ = θ_base + scale · merged(weight_1 τ_1, …, weight_n τ_n)
//
// Ilharco et al. 2022, arXiv:2212.04089; TIES: Yadav et al. 2023, arXiv:2306.01708; DARE: Yu et al. 2023, arXiv:2311.03099
//
// Numbers of mergekit with its defaults, but for DARE: what is kept is divided by the density, as in the paper, where
// mergekit keeps the sum of magnitudes; and with TIES after it, it is averaged as TIES is.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { randomStream } from '../base/random.ts'
import { combineValues, type Rule } from '../manage/rules.ts'
import { checkRecords, mapTensors, tensorOf, type Tensors } from './records.ts'

/**
 * What fine-tuning changed: tuned − base (Ilharco et al. 2022, arXiv:2212.04089).
 *
 * @param base any shapes @param tuned the same names and shapes
 * @returns a new record; the caller disposes it
 * @throws InputError when names or shapes differ or a number is not finite; it lists all
 * @example
 * const vector = taskVector({ w: tf.tensor([0, 2]) }, { w: tf.tensor([1, 4]) }) // w: [1, 2]
 */
export function taskVector(base: Tensors, tuned: Tensors): Record<string, Tensor> {
  checkRecords('taskVector', [['base', base], ['tuned', tuned]])
  return mapTensors(base, (name, tensor) => tf.sub(tensorOf(tuned, name), tensor))
}

/** A task vector and how much of it. */
export interface WeightedVector {
  readonly vector: Tensors
  /** Below 0 takes the task away; the kinds that average, with ties in their names, do not take such. @default 1 */
  readonly weight?: number
}

/** How `addTaskVectors` adds. */
export interface AddOptions {
  /**
   * How the vectors become one.
   *
   * - `'linear'`: their weighted sum, task arithmetic
   * - `'ties'`: each cut to its largest elements; for each element the sign of the weighted sum is elected and the
   *   weighted mean taken of those that have it
   * - `'dare-linear'`, `'dare-ties'`: elements of each dropped at random and the others enlarged to make up for it, then
   *   summed, or elected and averaged
   * - `'magnitude-prune'`: each cut to its largest elements, then summed
   *
   * @default 'linear'
   */
  readonly kind?: 'linear' | 'ties' | 'dare-linear' | 'dare-ties' | 'magnitude-prune'
  /** Share of the elements of each tensor that is kept, in (0, 1]; all kinds but `'linear'` need it. @default none: `'linear'` keeps all */
  readonly density?: number
  /** Multiplies what is added to the base. @default 1 */
  readonly scale?: number
  /** Decides what the dare kinds drop. @default 0 */
  readonly seed?: number
}

const RULES: Readonly<Record<NonNullable<AddOptions['kind']>, Rule>> = {
  linear: { prune: 'none', combine: 'sum' },
  ties: { prune: 'magnitude', combine: 'agreeing-weighted' },
  'dare-linear': { prune: 'random', combine: 'sum' },
  'dare-ties': { prune: 'random', combine: 'agreeing-weighted' },
  'magnitude-prune': { prune: 'magnitude', combine: 'sum' },
}

/**
 * Adds task vectors to a base, or takes them away (Ilharco et al. 2022, arXiv:2212.04089; TIES: Yadav et al. 2023,
 * arXiv:2306.01708; DARE: Yu et al. 2023, arXiv:2311.03099). For LoRA adapters on one model use `combine`, which needs no copy of
 * the weights.
 *
 * @param base any shapes @param parts at least one, each vector of the same names and shapes
 * @returns a new record; the caller disposes it
 * @throws InputError when vectors, weights or options do not fit; it lists all
 * @example
 * const base = { w: tf.tensor([0, 2]) }
 * const [good, bad] = [{ w: tf.tensor([1, 2]) }, { w: tf.tensor([1, 0]) }]
 * const better = addTaskVectors(base, [{ vector: good }, { vector: bad, weight: -1 }]) // w: [0, 4]
 */
export function addTaskVectors(base: Tensors, parts: readonly WeightedVector[], options: AddOptions = {}): Record<string, Tensor> {
  const { kind = 'linear', density = 1, scale = 1, seed = 0 } = options
  const weights = parts.map(({ weight = 1 }) => weight)
  const vectors = parts.map(({ vector }, i) => [`vector ${i}`, vector] as const)
  checkRecords('addTaskVectors', [['base', base], ...vectors], problemsOf(weights, options))
  return mapTensors(base, (name, tensor) => {
    const changes = parts.map(({ vector }) => tensorOf(vector, name))
    const merged = (): Tensor => {
      const values = changes.map((change) => change.dataSync() as Float32Array)
      return tf.tensor(combineValues(values, weights, RULES[kind], density, (part) => randomStream(seed, name, part)), tensor.shape)
    }
    const sum = kind === 'linear' ? tf.addN(changes.map((change, i) => tf.mul(change, weights[i] ?? NaN))) : merged()
    return tf.add(tensor, tf.mul(sum, scale))
  })
}

function problemsOf(weights: readonly number[], { kind = 'linear', density, scale = 1 }: AddOptions): string[] {
  const problems: string[] = []
  if (weights.length === 0) problems.push('expected at least one task vector, got none')
  if (!Object.hasOwn(RULES, kind)) problems.push(`kind: '${kind}' is not one of ${Object.keys(RULES).join(', ')}`)
  for (const [i, weight] of weights.entries()) {
    if (!Number.isFinite(weight)) problems.push(`vector ${i}: expected a finite weight, got ${weight}`)
    else if (kind.endsWith('ties') && weight <= 0) {
      problems.push(`vector ${i}: '${kind}' averages and needs a weight above 0, got ${weight}; negate the vector, or take 'linear'`)
    }
  }
  if (kind !== 'linear' && !(density !== undefined && density > 0 && density <= 1)) {
    problems.push(`density: '${kind}' needs a share in (0, 1], got ${String(density)}`)
  }
  if (!Number.isFinite(scale)) problems.push(`scale: expected a finite number, got ${scale}`)
  return problems
}
