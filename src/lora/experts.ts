// LoRA on stacks of experts: each expert has a pair of its own, and each row goes through that of its expert. The pairs of all experts are two matrices,
// as in HF PEFT.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { groupedLowRank, stackOfA, stackOfB } from '../base/ops/grouped-low-rank.ts'
import type { Around } from '../base/pass.ts'
import type { ExpertsSite, Grouped } from '../base/sites.ts'

interface Pair {
  readonly A: Tensor2D
  readonly B: Tensor2D
}

/** y + s · Bₑ Aₑ x of each row with its expert e. */
export function updateExperts({ count }: ExpertsSite, scale: number, { A, B }: Pair): Around<Grouped, Tensor2D> {
  return (x, next) => groupedLowRank(x, { a: A, b: B, count, scale }, next(x))
}

/** s · Bₑ Aₑ of every expert, (count, out, in). Call inside a tidy. */
export function deltaOfExperts({ count }: ExpertsSite, scale: number, { A, B }: Pair): Tensor3D {
  return tf.mul(tf.matMul(stackOfB(B, count), stackOfA(A, count)), scale)
}
