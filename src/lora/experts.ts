// LoRA on stacks of experts: each expert has a pair of its own, and each row goes through that of its expert.
//
// The pairs of all experts are two matrices, as in HF PEFT: A (count · rank, in) has the experts' one below the other, and column
// i · count + e of B (out, rank · count) is the i-th of expert e.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { op } from '../base/autodiff/tape.ts'
import { add, reshape, scale } from '../base/ops/algebra.ts'
import { groupedLinear } from '../base/ops/experts.ts'
import type { Around } from '../base/pass.ts'
import type { ExpertsSite, Grouped } from '../base/sites.ts'

interface Pair {
  readonly A: Tensor2D
  readonly B: Tensor2D
}

/** y + s · Bₑ Aₑ x of each row with its expert e. */
export function updateExperts({ count }: ExpertsSite, factor: number, { A, B }: Pair): Around<Grouped, Tensor2D> {
  return (x, next) => {
    const h = groupedLinear(x, stackOfA(A, count))
    return add(next(x), scale(groupedLinear({ rows: h, experts: x.experts }, stackOfB(B, count)), factor))
  }
}

/** s · Bₑ Aₑ of every expert, (count, out, in). Call inside a tidy. */
export function deltaOfExperts({ count }: ExpertsSite, factor: number, { A, B }: Pair): Tensor3D {
  return tf.mul(tf.matMul(stackOfB(B, count), stackOfA(A, count)), factor)
}

function stackOfA(A: Tensor2D, count: number): Tensor3D {
  return reshape<Rank.R3>(A, [count, A.shape[0] / count, A.shape[1]])
}

function stackOfB(B: Tensor2D, count: number): Tensor3D {
  const [out, columns] = B.shape
  return op(
    [B],
    () => tf.transpose(tf.reshape<Rank.R3>(B, [out, columns / count, count]), [2, 0, 1]),
    (dy) => [tf.reshape(tf.transpose(dy, [1, 2, 0]), [out, columns])],
  )
}
