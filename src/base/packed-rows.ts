// Rows of a batch one behind the other, without the padding between them: how the layers of a model run where rows have different
// lengths. What comes before and after the layers, batches and heads, knows padded rows alone.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D } from '@tensorflow/tfjs-core'
import { InputError } from '../errors.ts'
import type { Encoded } from './architecture.ts'
import type { Batch } from './batch.ts'
import { gatherRows } from './engine/kernels.ts'
import { IGNORED_LABEL } from './ops/cross-entropy.ts'
import { spreadRows } from './ops/packed.ts'
import type { Sequence } from './sites.ts'
import type { Input } from './token-input.ts'

/** The tokens of a padded batch, and where they stand. */
export interface PackedRows {
  readonly batch: Batch
  /** Of each token, in the arrays of the batch. */
  readonly places: Int32Array
  /** Row i has the tokens [borders[i], borders[i + 1]). */
  readonly borders: readonly number[]
}

/**
 * What there is to leave out of a batch; undefined where there is nothing, and where padding counts: it stands among tokens, is all
 * of a row, or has a label.
 *
 * @param before it may stand before tokens too
 */
export function packedRows(batch: Batch, { before = false }: { readonly before?: boolean } = {}): PackedRows | undefined {
  const { mask, labels, batch: B, length: T } = batch
  if (mask?.includes(0) !== true) return undefined
  const places: number[] = []
  const borders = [0]
  const isLabelled = (place: number): boolean => labels?.length === mask.length && labels[place] !== IGNORED_LABEL
  for (let row = 0; row < B; row++) {
    const own = mask.subarray(row * T, (row + 1) * T)
    const length = own.lastIndexOf(1) + 1
    for (let n = before ? Math.max(0, own.indexOf(1)) : 0; n < T; n++) {
      const place = row * T + n
      if (n < length ? mask[place] === 0 : isLabelled(place)) return undefined
      if (n < length) places.push(place)
    }
    if (length === 0) return undefined
    borders.push(places.length)
  }
  return { batch, places: Int32Array.from(places), borders }
}

/** The tensors of the tokens, as those of one row; call inside a tidy. */
export function packedInput(packed: PackedRows): Input {
  const { batch: { ids, typeIds }, places } = packed
  const taken = (values: Int32Array | undefined): Int32Array => places.map((place) => values?.[place] ?? 0)
  const length = places.length
  return {
    ids: tf.tensor1d(taken(ids), 'int32'), typeIds: tf.tensor1d(taken(typeIds), 'int32'),
    mask: tf.ones([1, length]), lengths: [length], batch: 1, length, packed,
  }
}

/** Rows of a text, padding and virtual ones too, where the longest has that many. */
export function paddedLength({ packed, length, virtual }: Omit<Sequence, 'rows'>): number {
  return packed === undefined ? length : packed.batch.length + virtual
}

/** @param begun the same rows with what stands before them @throws InputError where there are more than the model has positions */
export function checkPositions(sequence: Sequence, begun: Sequence, maxLength: number): void {
  const { mask, offset, packed } = begun
  const length = paddedLength(sequence)
  const added = offset + (packed === undefined ? mask.shape[1] : paddedLength(begun)) - length
  if (length + added <= maxLength) return
  throw new InputError(
    `The batch has ${length} tokens and ${added} earlier or virtual ones before them, more than the ${maxLength} ` +
      `positions of the model; truncate the batch to ${maxLength - added} tokens, or take fewer virtual tokens.`,
  )
}

/**
 * A number for each row that the layers see, int32.
 *
 * @param ofVirtual of the n-th virtual row of a text @param ofToken of the n-th token of a text, by its place in the padded batch
 */
export function numberEach(
  { places, borders }: PackedRows, virtual: number, ofVirtual: (n: number, text: number) => number, ofToken: (n: number, place: number, text: number) => number,
): Tensor1D {
  const numbers: number[] = []
  for (let text = 0; text + 1 < borders.length; text++) {
    const [first = 0, end = 0] = [borders[text], borders[text + 1]]
    for (let n = 0; n < virtual; n++) numbers.push(ofVirtual(n, text))
    for (let i = first; i < end; i++) numbers.push(ofToken(i - first, places[i] ?? 0, text))
  }
  return tf.tensor1d(Int32Array.from(numbers), 'int32')
}

/** Of what the layers gave the last token of each row alone. Call inside a tidy. */
export function lastOfEach({ rows, sequence, ...rest }: Encoded, { borders }: PackedRows): Encoded {
  const { virtual, offset } = sequence
  const ends = borders.slice(1).map((end, row) => end + (row + 1) * virtual)
  const B = ends.length
  const lengths = ends.map((end, row) => end - (ends[row - 1] ?? 0))
  return { ...rest, rows: gatherRows(rows, tf.tensor1d(ends.map((end) => end - 1), 'int32')), sequence: { virtual: 0, offset, batch: B, length: 1, mask: tf.ones([B, 1]), lengths } }
}

/** What the layers gave, for padded rows: zeros at padding. Call inside a tidy. */
export function padded({ rows, sequence, ...rest }: Encoded, packed: PackedRows): Encoded {
  const { batch: { batch: B, length: T, mask = [] }, borders } = packed
  const { virtual: V, offset } = sequence
  const places = numberEach(packed, V, (n, text) => text * (V + T) + n, (_n, place, text) => place + (text + 1) * V)
  return {
    ...rest,
    rows: spreadRows(rows, places, B * (V + T)),
    sequence: {
      virtual: V, offset, batch: B, length: V + T,
      mask: tf.pad(tf.tensor2d(Float32Array.from(mask), [B, T]), [[0, 0], [V, 0]], 1),
      lengths: borders.slice(1).map((end, row) => end - (borders[row] ?? 0) + V),
    },
  }
}
