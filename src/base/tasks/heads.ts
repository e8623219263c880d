// What the heads of several families share.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import type { Architecture, Encoded, Head, HeadOptions, Pooling } from '../architecture.ts'
import { MASKED } from '../ops/attention-call.ts'
import { meanTokens, reshape, tokenAt, tokensFrom } from '../ops/algebra.ts'
import { lookup } from '../ops/lookup.ts'
import { longestOf } from '../ops/packed.ts'
import { unitRows } from '../ops/unit-rows.ts'
import { numberEach } from '../packed-rows.ts'
import type { Pass } from '../pass.ts'
import type { Sequence } from '../sites.ts'

/** The rows of the text's own tokens, (B, T, D), without rows that a method put before them. */
export function realTokens(encoded: Encoded): Tensor3D {
  const { virtual } = encoded.sequence
  return virtual === 0 ? allTokens(encoded) : tokensFrom(allTokens(encoded), virtual)
}

function allTokens({ rows, sequence: { batch, length } }: Encoded): Tensor3D {
  return reshape<Rank.R3>(rows, [batch, length, rows.shape[1]])
}

/** The mask of those tokens, (B, T). */
export function realMask({ sequence: { mask, batch, length, virtual } }: Encoded): Tensor2D {
  return virtual === 0 ? mask : tf.slice(mask, [0, virtual], [batch, length - virtual])
}

/** What attention adds to the score of each key, (B, K), so that padding is not seen; undefined where there is none. */
export function paddingBias(sequence: Omit<Sequence, 'rows'>): Tensor2D | undefined {
  return isPadded(sequence) ? tf.mul(tf.sub(1, sequence.mask), MASKED) : undefined
}

function isPadded({ lengths, mask }: Omit<Sequence, 'rows'>): boolean {
  return lengths.some((tokens) => tokens < mask.shape[1])
}

/** Positions that do not count padding, (B·T): the first token of a text has position 0, wherever it stands. */
export function textPositions(sequence: Omit<Sequence, 'rows'>): Tensor1D {
  const { batch: B, length: T, mask, offset, countsAll = false, packed, virtual, positions } = sequence
  const K = mask.shape[1]
  if (positions !== undefined) return positions
  if (packed !== undefined) return numberEach(packed, virtual, (n) => offset + n, (n) => offset + virtual + n)
  if (!isPadded(sequence) || countsAll) return tf.reshape(tf.tile(tf.range(offset + K - T, offset + K, 1, 'int32'), [B]), [B * T])
  const counted = tf.add(tf.maximum(tf.sub(tf.cumsum(mask, 1), 1), 0), offset)
  return tf.cast(tf.reshape(tf.slice(counted, [0, K - T], [B, T]), [B * T]), 'int32')
}

/** How many positions the longest text has: the last of `textPositions`, and one. */
export function positionCount({ mask, lengths, offset, countsAll = false, packed, virtual }: Omit<Sequence, 'rows'>): number {
  if (packed !== undefined) return offset + virtual + longestOf(packed.borders)
  return offset + (countsAll ? mask.shape[1] : Math.max(1, ...lengths))
}

/** The last token of each row alone. */
export function lastToken(encoded: Encoded): Encoded {
  const { sequence } = encoded
  return { rows: tokenAt(allTokens(encoded), sequence.length - 1), sequence: { ...sequence, length: 1, virtual: 0 } }
}

/** No head: the text's tokens as they are. */
export const features: Head = { modules: [], run: (_, encoded) => realTokens(encoded) }

/** One vector for each row to classify, (B, D): its first token, or the mean of its tokens. */
export function rowVector(encoded: Encoded, { pooling }: HeadOptions): Tensor2D {
  checkPooling('classification', pooling, ['pooler', 'mean'])
  const { countsAll, mask } = encoded.sequence
  if (pooling === 'mean') return countsAll === true ? meanTokens(allTokens(encoded), mask) : meanTokens(realTokens(encoded), realMask(encoded))
  return tokenAt(countsAll === true ? allTokens(encoded) : realTokens(encoded), 0)
}

/** One vector for each picture, (B, D). @param pooler the model's own way, from the first row */
export function imageEmbedding({ pooling }: HeadOptions, pooler?: (pass: Pass, first: Tensor2D) => Tensor2D): Head {
  checkPooling('image-embedding', pooling, ['pooler', 'mean', 'cls'])
  return {
    modules: [],
    run: (pass, encoded) => {
      if (pooling === 'mean') return meanTokens(realTokens(encoded), realMask(encoded))
      const first = tokenAt(realTokens(encoded), 0)
      return pooling === 'pooler' && pooler !== undefined ? pooler(pass, first) : first
    },
  }
}

export function checkPooling(task: string, pooling: Pooling, allowed: readonly Pooling[]): void {
  if (allowed.includes(pooling)) return
  throw new InputError(`pooling: expected ${allowed.map((each) => `'${each}'`).join(' or ')} for ${task}, got '${pooling}'.`)
}

/**
 * One vector for each text, (B, D), with a contrastive loss. Reimers and Gurevych 2019, arXiv:1908.10084
 */
export function sentenceEmbedding({ pooling, normalize = false }: HeadOptions): Head {
  checkPooling('sentence-embedding', pooling, ['mean', 'cls', 'last'])
  const vector = (encoded: Encoded): Tensor2D =>
    pooling === 'mean' ? meanTokens(realTokens(encoded), realMask(encoded)) : realToken(encoded, pooling === 'cls' ? 'first' : 'last')
  return {
    modules: [],
    run: (_, encoded) => (normalize ? unitRows(vector(encoded)) : vector(encoded)),
    embedding: { pooling, normalize },
  }
}

/** f of every token: (B, T, D) to (B, T, C). */
export function eachToken(encoded: Encoded, f: (rows: Tensor2D) => Tensor2D): Tensor3D {
  const tokens = realTokens(encoded)
  const [B, T, D] = tokens.shape
  const result = f(reshape<Rank.R2>(tokens, [B * T, D]))
  return reshape<Rank.R3>(result, [B, T, result.shape[1]])
}

/** A class for each token. */
export function tokenClassifier(dropout: number, { labels }: HeadOptions, name = 'classifier'): Head {
  return {
    modules: [name],
    run: (pass, encoded) =>
      eachToken(encoded, (rows) => pass.linear(name, pass.dropout('dropout', rows, dropout), labels, { role: 'head' })),
  }
}

/** Extractive question answering: for each token, scores as the first and as the last of the answer. */
export function spanHead(dropout: number): Head {
  return {
    modules: ['qa_outputs'],
    run: (pass, encoded) =>
      eachToken(encoded, (rows) => pass.linear('qa_outputs', pass.dropout('dropout', rows, dropout), 2, { role: 'head' })),
  }
}

/** A class for each row, from its last token that is not padding. */
export function lastTokenClassifier(options: HeadOptions): Head {
  const { labels, pooling } = options
  return {
    modules: ['score'],
    run: (pass, encoded) => {
      const last = (): Tensor2D => (encoded.sequence.countsAll === true ? tokenAt(allTokens(encoded), encoded.sequence.length - 1) : realToken(encoded, 'last'))
      const vector = pooling === 'pooler' ? last() : rowVector(encoded, options)
      return pass.linear('score', vector, labels, { role: 'head', bias: false })
    },
  }
}

/** The first or last token of each row that is not padding, (B, D). */
function realToken(encoded: Encoded, which: 'first' | 'last'): Tensor2D {
  return tokenWhere(realTokens(encoded), realMask(encoded), which)
}

/** The first or last token of each row where `where` (B, T) has 1 and not 0, (B, D); the first of all where it has none. */
export function tokenWhere(tokens: Tensor3D, where: Tensor2D, which: 'first' | 'last'): Tensor2D {
  const [B, T, D] = tokens.shape
  const order = which === 'first' ? tf.range(T, 0, -1) : tf.range(1, T + 1)
  const place = tf.argMax(tf.mul(where, order), 1)
  const index = tf.cast<Tensor1D>(tf.add(place, tf.range(0, B * T, T)), 'int32')
  return lookup(reshape<Rank.R2>(tokens, [B * T, D]), index)
}

/** What tells the heads of encoders apart. */
export interface EncoderHeads {
  readonly sequenceClassifier: (options: HeadOptions) => Head
  readonly tokenDropout: number
  readonly spanDropout: number
  readonly maskedLm: Head
}

/** The tasks that every encoder has. */
export function encoderHeads({ sequenceClassifier, tokenDropout, spanDropout, maskedLm }: EncoderHeads): Architecture['heads'] {
  return {
    'feature-extraction': () => features,
    'sentence-embedding': sentenceEmbedding,
    'sequence-classification': sequenceClassifier,
    'token-classification': (options) => tokenClassifier(tokenDropout, options),
    'question-answering': () => spanHead(spanDropout),
    'masked-lm': () => maskedLm,
  }
}
