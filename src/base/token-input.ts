// What the families of token ids have in common: their tensors, their limits and what is wrong with a batch.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { shown } from '../errors.ts'
import type { Architecture, Encoded } from './architecture.ts'
import { decoderLengthOf, integerProblems, strangers, type Batch } from './batch.ts'
import { lastOfEach, packedInput, packedRows, padded, type PackedRows } from './packed-rows.ts'
import type { Pass } from './pass.ts'
import { paddingBias } from './tasks/heads.ts'

/** The tokens of a batch as tensors. */
export interface Input {
  readonly ids: Tensor1D // (B·T), int32
  readonly typeIds: Tensor1D // (B·T), int32
  readonly mask: Tensor2D // (B, T), float32
  /** How many 1 each row of the mask has. */
  readonly lengths: readonly number[]
  readonly batch: number
  readonly length: number
  /** See `Sequence`. */
  readonly packed?: PackedRows
}

/** What token ids must keep to. */
export interface Limits {
  readonly vocabSize: number
  readonly maxLength: number
  /** Segments that the model tells apart; undefined where it has none, and `typeIds` have no effect, as in transformers. */
  readonly types?: number
  /** Texts are filled up to `maxLength` with tokens of padding, which the model reads as it reads others. @default false */
  readonly filled?: boolean
  /** A text that grows beyond this many positions turns all its tokens in another way, so that a cache begins anew. @default never */
  readonly renewedAt?: number | undefined
  /** Up to this many positions, passes over one more token do the same with other numbers. @default as far as there are positions */
  readonly steadyTo?: number
}

/**
 * The part of an architecture that says that it takes token ids, and what it makes of them.
 *
 * @param seesPadding its layers need padded rows
 */
export function takesTokens(
  text: Limits, encode: (pass: Pass, input: Input) => Encoded, { seesPadding = false }: { readonly seesPadding?: boolean } = {},
): Pick<Architecture, 'text' | 'example' | 'check' | 'encode'> {
  return {
    text,
    example: () => {
      const length = Math.min(3, text.maxLength)
      return { ids: new Int32Array(length), batch: 1, length }
    },
    check: (batch, limits = text) => [...tokenProblems(batch, limits), ...strangers(batch, ['ids', 'mask', 'typeIds'])],
    encode: (pass, batch) => {
      const packed = seesPadding || !pass.packs ? undefined : packedRows(batch, { before: pass.isCached })
      return packed === undefined ? encode(pass.over(batch), toInput(batch)) : (pass.isCached ? lastOfEach : padded)(encode(pass.between(packed.borders), packedInput(packed)), packed)
    },
  }
}

/** What a decoder looks at: what its encoder gave. */
export interface Seen {
  readonly rows: Tensor2D // (B·length, D)
  /** Hides padding, (B, length). */
  readonly keyBias: Tensor2D | undefined
  readonly length: number
}

/** The two stacks of an encoder-decoder. */
interface TwoTowers {
  readonly encoder: (pass: Pass, input: Input) => Encoded
  readonly decoder: (pass: Pass, input: Input, seen: Seen) => Encoded
  /** Where a batch has nothing for the decoder, it is given the encoder's text, one token later. @default it is an error */
  readonly readsAgain?: boolean
}

/** The part of an architecture that says that it reads one text and writes another. @param start what each text that it writes begins with */
export function takesTwoTexts(
  text: Limits, start: number, { encoder, decoder, readsAgain = false }: TwoTowers,
): Pick<Architecture, 'text' | 'decoderStart' | 'example' | 'check' | 'encode'> {
  const isAgain = (batch: Batch): boolean => readsAgain && batch.decoderIds === undefined
  const written = (batch: Batch): Batch => decoderOf(isAgain(batch) ? { ...batch, decoderIds: batch.ids ?? NONE } : batch)
  return {
    text,
    decoderStart: start,
    example: () => ({ ids: new Int32Array(3), decoderIds: new Int32Array(2), batch: 1, length: 3 }),
    check: (batch, limits = text) => [
      ...tokenProblems(batch, limits),
      ...tokenProblems(written(batch), limits).map((problem) => `decoder: ${problem}`),
      ...strangers(batch, ['ids', 'mask', 'decoderIds', 'decoderMask']),
    ],
    encode: (pass, batch) => {
      const [rows, keyBias] = pass.once('encoder', (own): readonly [Tensor2D, Tensor2D | undefined] => {
        const encoded = encoder(own.over(batch), toInput(batch))
        return [encoded.rows, paddingBias(encoded.sequence)]
      })
      const input = toInput(written(batch))
      const own = pass.over(isAgain(batch) ? batch : written(batch))
      return decoder(own, isAgain(batch) ? oneLater(input, start) : input, { rows, keyBias, length: rows.shape[0] / batch.batch })
    },
  }
}

const NONE = new Int32Array(0)

/** The tokens of each row behind the one that a decoder begins with, without the last. */
function oneLater({ ids, batch, length, ...input }: Input, start: number): Input {
  const before = tf.slice(tf.reshape<Rank.R2>(ids, [batch, length]), [0, 0], [batch, length - 1])
  return { ...input, ids: tf.reshape<Rank.R1>(tf.concat([tf.fill([batch, 1], start, 'int32'), before], 1), [batch * length]), batch, length }
}

/** The tokens of the decoder as a batch of their own. */
export function decoderOf({ decoderIds = NONE, decoderMask, batch }: Batch): Batch {
  return { ids: decoderIds, ...(decoderMask === undefined ? {} : { mask: decoderMask }), batch, length: decoderLengthOf({ decoderIds, batch, length: 0 }) }
}

/** The tensors of a batch's tokens; call inside a tidy. */
export function toInput({ ids = NONE, mask, typeIds, batch: B, length: T }: Batch): Input {
  return {
    ids: tf.tensor1d(ids, 'int32'),
    typeIds: typeIds === undefined ? tf.zeros([B * T], 'int32') : tf.tensor1d(typeIds, 'int32'),
    mask: mask === undefined ? tf.ones([B, T]) : tf.tensor2d(Float32Array.from(mask), [B, T]),
    lengths: Array.from({ length: B }, (_, row) => mask?.subarray(row * T, (row + 1) * T).reduce((sum, one) => sum + one, 0) ?? T),
    batch: B,
    length: T,
  }
}

/** Everything that is wrong with the tokens of a batch. */
export function tokenProblems({ ids, mask, typeIds, batch, length }: Batch, { vocabSize, maxLength, types = Infinity }: Limits): string[] {
  const problems: string[] = []
  const size = batch * length
  if (!isCount(batch) || !isCount(length)) problems.push(`expected at least one row and one token; got batch ${shown(batch)}, length ${shown(length)}`)
  const check = (name: string, values: Int32Array | undefined, below: number, expected: string): void => {
    if (values === undefined && name !== 'ids') return
    problems.push(...integerProblems(name, values, (value) => value >= 0 && value < below, expected))
    if (values !== undefined && values.length !== size) problems.push(`${name}: expected batch × length = ${batch} × ${length} = ${size} numbers; got ${values.length}`)
  }
  check('ids', ids, vocabSize, `token ids below ${vocabSize}, as this model's own tokenizer gives them`)
  check('mask', mask, 2, '1 for a token and 0 for padding')
  check('typeIds', typeIds, types, types === 1 ? '0, the only segment of the model' : `segments from 0 to ${types - 1}`)
  if (length > maxLength) {
    problems.push(`length ${length} is more than the ${maxLength} positions of the model; truncate (maxLength: ${maxLength})`)
  }
  return problems
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}
