import { InputError, shown } from '../errors.ts'
import type { Architecture } from './architecture.ts'
import { IGNORED_LABEL } from './ops/cross-entropy.ts'
import type { Limits } from './token-input.ts'

/** Rows of what a model takes, as plain arrays: each holds `batch` rows, one behind the other. Which ones there are is the family's. */
export interface Batch {
  /** Token ids: batch × length. */
  readonly ids?: Int32Array
  /** 1 for a token, 0 for padding; batch × length. @default all 1 */
  readonly mask?: Int32Array
  /** Which text of a pair a token belongs to; batch × length. Without effect where the model has no segments, as in transformers. @default all 0 */
  readonly typeIds?: Int32Array
  /** Pictures: batch × channels × height × width. */
  readonly pixels?: Float32Array
  /** Of the pictures. @default those that the model is made for; else those of a square, for a model that takes other sizes */
  readonly height?: number
  readonly width?: number
  /** Of an encoder-decoder: the token ids of the decoder, of a length of their own. */
  readonly decoderIds?: Int32Array
  /** 1 for a token of the decoder, 0 for padding. @default all 1 */
  readonly decoderMask?: Int32Array
  /** What the task's loss is held against, see `Model.loss`; of classes, −100 counts for nothing. */
  readonly labels?: Int32Array | Float32Array
  readonly batch: number
  /** Of `ids`; 0 where there are none. */
  readonly length: number
}

type Values = Int32Array | Float32Array

/** The arrays of a batch: what their rows are made of, and what fills them up, where that is not the id of padding. */
const FIELDS = {
  ids: { of: 'tokens' },
  mask: { of: 'tokens', fill: 0 },
  typeIds: { of: 'tokens', fill: 0 },
  decoderIds: { of: 'decoder tokens' },
  decoderMask: { of: 'decoder tokens', fill: 0 },
  pixels: { of: 'numbers' },
  labels: { of: 'numbers', fill: IGNORED_LABEL },
} as const satisfies Readonly<Record<string, { readonly of: 'tokens' | 'decoder tokens' | 'numbers'; readonly fill?: number }>>

type Field = keyof typeof FIELDS

const NAMES = Object.keys(FIELDS) as Field[]

/** How rows are filled up. */
export interface PadOptions {
  /** @default 0 */
  readonly padId?: number
  /** Of the texts that are read; those that a decoder writes are filled up behind. @default 'right' */
  readonly paddingSide?: 'left' | 'right'
  /** Lengths are rounded up to a multiple of this. @default 1 */
  readonly padToMultipleOf?: number
  /** Labels are one for each token, of the decoder where there is one, and not of a number of their own. @default false */
  readonly tokenLabels?: boolean
}

/** Some rows of a batch, in the order given. */
export function takeRows<B extends Batch>(batch: B, rows: ArrayLike<number>): B {
  const taken = Object.entries(batch as Readonly<Record<string, unknown>>).flatMap(([name, values]) => {
    const isByRow = (values instanceof Int32Array || values instanceof Float32Array) && values.length % batch.batch === 0
    return isByRow ? [[name, rowsOf(values, values.length / batch.batch, rows)] as const] : []
  })
  return { ...batch, ...Object.fromEntries(taken), batch: rows.length }
}

function rowsOf<V extends Values>(values: V, width: number, rows: ArrayLike<number>): V {
  const taken = like(values, rows.length * width)
  for (let i = 0; i < rows.length; i++) taken.set(values.subarray((rows[i] ?? 0) * width, ((rows[i] ?? 0) + 1) * width), i * width)
  return taken
}

/** Batches of the same arrays as one, padded to the longest row. @throws InputError where an array is not in all of them */
export function joinBatches(batches: readonly Batch[], options: PadOptions = {}): Batch {
  const { padToMultipleOf = 1 } = options
  const longest = (lengthOf: (batch: Batch) => number): number =>
    Math.ceil(batches.reduce((most, batch) => Math.max(most, lengthOf(batch)), 0) / padToMultipleOf) * padToMultipleOf
  const length = longest((batch) => batch.length)
  const decoderLength = longest(decoderLengthOf)
  const padded = batches.map((batch) => padBatch(batch, { length, decoderLength }, options))
  const joined = NAMES.flatMap((name) => {
    const parts = padded.flatMap((batch) => batch[name] ?? [])
    if (parts.length > 0 && parts.length < padded.length) throw new InputError(`${name}: expected in every batch that is joined, or in none; ${parts.length} of ${padded.length} have it.`)
    return parts[0] === undefined ? [] : [[name, joinValues(parts[0], parts)] as const]
  })
  const [first] = batches as readonly [Batch]
  const sizes = new Set(batches.map(({ height, width }) => `${height ?? ''} × ${width ?? ''}`))
  if (sizes.size > 1) throw new InputError(`height, width: expected pictures of one size in the batches that are joined, got ${[...sizes].join(' and ')}.`)
  const { height, width } = first
  const size = height === undefined || width === undefined ? {} : { height, width }
  return { ...Object.fromEntries(joined), ...size, batch: batches.reduce((sum, { batch }) => sum + batch, 0), length }
}

function joinValues<V extends Values>(first: V, parts: readonly Values[]): V {
  const joined = like(first, parts.reduce((sum, part) => sum + part.length, 0))
  let end = 0
  for (const part of parts) {
    joined.set(part, end)
    end += part.length
  }
  return joined
}

/** A batch with longer rows; its masks say what was added. */
export function padBatch(
  batch: Batch, { length, decoderLength = decoderLengthOf(batch) }: { readonly length: number; readonly decoderLength?: number }, options: PadOptions = {},
): Batch {
  const { padId = 0, paddingSide = 'right', tokenLabels = false } = options
  const { ids, decoderIds } = batch
  const masked: Batch = {
    ...batch,
    ...(ids === undefined ? {} : { mask: batch.mask ?? new Int32Array(ids.length).fill(1) }),
    ...(decoderIds === undefined ? {} : { decoderMask: batch.decoderMask ?? new Int32Array(decoderIds.length).fill(1) }),
  }
  const lengths = { tokens: length, 'decoder tokens': decoderLength, numbers: undefined }
  const padded = NAMES.flatMap((name) => {
    const values = masked[name]
    const { of, fill = padId }: { readonly of: keyof typeof lengths; readonly fill?: number } = FIELDS[name]
    const kind = name === 'labels' && tokenLabels ? (decoderIds === undefined ? 'tokens' : 'decoder tokens') : of
    const width = lengths[kind]
    const side = kind === 'decoder tokens' ? 'right' : paddingSide // what is written begins in the first column
    return values === undefined || width === undefined ? [] : [[name, widened(values, batch.batch, width, fill, side)] as const]
  })
  return { ...masked, ...Object.fromEntries(padded), length }
}

function widened<V extends Values>(values: V, rows: number, width: number, fill: number, side: 'left' | 'right'): V {
  const own = values.length / rows
  const wide = like(values, rows * width).fill(fill) as V
  for (let row = 0; row < rows; row++) wide.set(values.subarray(row * own, (row + 1) * own), row * width + (side === 'left' ? width - own : 0))
  return wide
}

function like<V extends Values>(values: V, length: number): V {
  return new (values.constructor as new (length: number) => V)(length)
}

/** How many tokens a batch has, those of the decoder too, without padding. */
export function countTokens({ ids, mask, decoderIds, decoderMask }: Batch): number {
  const count = (of: Int32Array | undefined, real: Int32Array | undefined): number => real?.reduce((sum, bit) => sum + bit, 0) ?? of?.length ?? 0
  return count(ids, mask) + count(decoderIds, decoderMask)
}

/** Tokens of a row of the decoder. */
export function decoderLengthOf({ decoderIds, batch }: Batch): number {
  return (decoderIds?.length ?? 0) / batch
}

/** @throws InputError when the batch has no token ids */
export function tokenIds({ ids }: Batch, caller: string): Int32Array {
  if (ids !== undefined) return ids
  throw new InputError(`${caller}: expected a batch of token ids, got one without.`)
}

/** @throws InputError with everything that is wrong with the batch, by a family's own rules */
export function checkBatch(architecture: Pick<Architecture, 'check'>, batch: Batch, limits?: Limits): void {
  const problems = architecture.check(batch, limits)
  if (problems.length > 0) throw new InputError('The batch does not fit the model:', problems)
}

/** What a batch has that a family does not take. */
export function strangers(batch: Batch, taken: readonly Exclude<keyof Batch, 'labels' | 'batch' | 'length' | 'height' | 'width'>[]): string[] {
  return NAMES.filter((name) => name !== 'labels' && !taken.includes(name) && batch[name] !== undefined)
    .map((name) => `${name}: expected none; the model takes ${taken.join(', ')}`)
}

/** Numbers of a kind listed, where there are many that are wrong. */
const LISTED = 8

/**
 * What is wrong with an array that must be an Int32Array: put into one, a fraction would be cut, and null and a text become 0.
 *
 * @param expected what the numbers should be
 */
export function integerProblems(name: string, values: Int32Array | undefined, fits: (value: number) => boolean, expected: string): string[] {
  const given: unknown = values
  if (values === undefined || (!Array.isArray(given) && !ArrayBuffer.isView(given))) return [`${name}: expected an Int32Array, got ${shown(given)}`]
  const isRight = (value: unknown): boolean => Number.isInteger(value) && fits(value as number)
  const wrong: string[] = []
  for (let i = 0; i < values.length; i++) {
    if (isRight(values[i])) continue
    if (wrong.length === LISTED) {
      wrong.push('…')
      break
    }
    wrong.push(`${name}[${i}] = ${shown(values[i])}`)
  }
  if (wrong.length > 0) return [`${name}: expected ${expected}; got ${wrong.join(', ')}`]
  return given instanceof Int32Array ? [] : [`${name}: expected an Int32Array, got ${Array.isArray(given) ? 'an array' : `a ${(given as object).constructor.name}`}; make one with Int32Array.from`]
}
