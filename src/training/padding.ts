import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { BatchOptions, PaddedBatch } from './batches.ts'
import { numbersOf, tokens, type Examples } from './examples.ts'

/** Tokens that a row takes in a batch. */
export function lengthOf({ ids, positives }: Examples, row: number): number {
  return Math.max(tokens(ids, row).length, positives === undefined ? 0 : tokens(positives, row).length)
}

/** The rows of these numbers as one batch. */
export function pad(
  examples: Examples, rows: Int32Array, { padId = 0, padToMultipleOf = 1, paddingSide = 'right', numeric = false }: BatchOptions,
): Omit<PaddedBatch, 'epoch' | 'index'> {
  const { ids, positives, typeIds } = examples
  const of = (source: readonly ArrayLike<number>[]): ArrayLike<number>[] => Array.from(rows, (row) => tokens(source, row))
  const texts = [...of(ids), ...(positives === undefined ? [] : of(positives))]
  const batch = texts.length
  const longest = rows.reduce((most, row) => Math.max(most, lengthOf(examples, row)), 0)
  const length = Math.ceil(longest / padToMultipleOf) * padToMultipleOf
  const starts = texts.map((text) => (paddingSide === 'left' ? length - text.length : 0))
  const matrix = (values: readonly ArrayLike<number>[], fill: number): Int32Array => {
    const filled = new Int32Array(batch * length).fill(fill)
    values.forEach((row, i) => filled.set(row, i * length + (starts[i] ?? 0)))
    return filled
  }
  const mask = new Int32Array(batch * length)
  texts.forEach((text, i) => mask.fill(1, i * length + (starts[i] ?? 0), i * length + (starts[i] ?? 0) + text.length))
  const labels = labelsOf(examples, rows, { starts, matrix, numeric })
  return {
    ids: matrix(texts, padId),
    mask,
    ...(typeIds === undefined ? {} : { typeIds: matrix(of(typeIds), 0) }),
    ...(labels === undefined ? {} : { labels }),
    rows,
    batch,
    length,
  }
}

/** Labels of a batch: classes as integers, numbers as floats. */
function labelsOf(
  { labels, tokenLabels, spans, positives }: Examples,
  rows: Int32Array,
  { starts, matrix, numeric }: {
    readonly starts: readonly number[] // columns at which the rows begin
    readonly matrix: (values: readonly ArrayLike<number>[], fill: number) => Int32Array
    readonly numeric: boolean
  },
): Int32Array | Float32Array | undefined {
  if (labels !== undefined && numeric) return Float32Array.from(Array.from(rows, (row) => Array.from(numbersOf(labels[row] as number | ArrayLike<number>))).flat())
  if (labels !== undefined) return rows.map((row) => labels[row] as number)
  if (tokenLabels !== undefined) return matrix(Array.from(rows, (row) => tokens(tokenLabels, row)), IGNORED_LABEL)
  if (spans !== undefined) {
    return Int32Array.from(Array.from(rows).flatMap((row, i) =>
      Array.from(tokens(spans, row), (side) => (side === IGNORED_LABEL ? side : side + (starts[i] ?? 0)))))
  }
  return positives === undefined ? undefined : rows.map((_, i) => i)
}
