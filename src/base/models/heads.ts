// What the heads of several families share.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import type { Encoded } from '../architecture.ts'
import { reshape, tokensFrom } from '../ops/algebra.ts'

/** The rows of the text's own tokens, (B, T, D), without rows that a method put before them. */
export function realTokens({ rows, sequence: { batch, length, virtual } }: Encoded): Tensor3D {
  const tokens = reshape<Rank.R3>(rows, [batch, length, rows.shape[1]])
  return virtual === 0 ? tokens : tokensFrom(tokens, virtual)
}

/** The mask of those tokens, (B, T). */
export function realMask({ sequence: { mask, batch, length, virtual } }: Encoded): Tensor2D {
  return virtual === 0 ? mask : tf.slice(mask, [0, virtual], [batch, length - virtual])
}
