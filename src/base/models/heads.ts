// What the heads of several families share.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import type { Encoded, Head, HeadOptions, Pooling } from '../architecture.ts'
import { activation } from '../ops/activation.ts'
import { meanTokens, reshape, tokenAt, tokensFrom } from '../ops/algebra.ts'
import type { Pass } from '../pass.ts'
import { spanLoss } from './losses.ts'

/** The rows of the text's own tokens, (B, T, D), without rows that a method put before them. */
export function realTokens({ rows, sequence: { batch, length, virtual } }: Encoded): Tensor3D {
  const tokens = reshape<Rank.R3>(rows, [batch, length, rows.shape[1]])
  return virtual === 0 ? tokens : tokensFrom(tokens, virtual)
}

/** The mask of those tokens, (B, T). */
export function realMask({ sequence: { mask, batch, length, virtual } }: Encoded): Tensor2D {
  return virtual === 0 ? mask : tf.slice(mask, [0, virtual], [batch, length - virtual])
}

/** No head: the text's tokens as they are. */
export const features: Head = { modules: [], run: (_, encoded) => realTokens(encoded) }

/** One vector for each row, (B, D): its first token, or the mean of its tokens. */
export function rowVector(encoded: Encoded, pooling: Pooling): Tensor2D {
  const tokens = realTokens(encoded)
  return pooling === 'mean' ? meanTokens(tokens, realMask(encoded)) : tokenAt(tokens, 0)
}

/** f of every token: (B, T, D) to (B, T, C). */
export function eachToken(encoded: Encoded, f: (rows: Tensor2D) => Tensor2D): Tensor3D {
  const tokens = realTokens(encoded)
  const [B, T, D] = tokens.shape
  const result = f(reshape<Rank.R2>(tokens, [B * T, D]))
  return reshape<Rank.R3>(result, [B, T, result.shape[1]])
}

/** A class for each token. */
export function tokenClassifier(dropout: number, { labels }: HeadOptions): Head {
  return {
    modules: ['classifier'],
    run: (pass, encoded) =>
      eachToken(encoded, (rows) => pass.linear('classifier', pass.dropout('dropout', rows, dropout), labels, { role: 'head' })),
  }
}

/** Extractive question answering: for each token, scores as the first and as the last of the answer. */
export function spanHead(dropout: number): Head {
  return {
    modules: ['qa_outputs'],
    run: (pass, encoded) =>
      eachToken(encoded, (rows) => pass.linear('qa_outputs', pass.dropout('dropout', rows, dropout), 2, { role: 'head' })),
    loss: spanLoss,
  }
}

/** Full names of a masked-LM head's modules. */
export interface MaskedLmNames {
  readonly dense: string
  readonly norm: string
  readonly decoder: string
  /** Where the decoder's bias is. */
  readonly bias: string
  /** The word embedding, which is the decoder's weight where the two are tied. */
  readonly table: string
}

interface MaskedLmOptions {
  readonly vocabSize: number
  readonly activation: string
  readonly epsilon: number
  readonly tied: boolean
}

export function maskedLm(names: MaskedLmNames, { vocabSize, activation: name, epsilon, tied }: MaskedLmOptions): Head {
  const transform = (pass: Pass, rows: Tensor2D): Tensor2D =>
    pass.layerNorm(names.norm, activation(name, pass.linear(names.dense, rows, rows.shape[1])), epsilon)
  return {
    modules: [],
    run: (pass, encoded) =>
      eachToken(encoded, (rows) =>
        pass.linear(names.decoder, transform(pass, rows), vocabSize, {
          role: 'head',
          biasName: names.bias,
          ...(tied ? { tiedWeight: `${names.table}.weight` } : {}),
        }),
      ),
  }
}
