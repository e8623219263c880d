import { joinBatches, type Batch } from '../base/batch.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { BatchOptions, PaddedBatch } from './batches.ts'
import { INPUTS, negativesOf, numbersOf, tokens, type Examples } from './examples.ts'

/** Tokens that a row takes in a batch. */
export function lengthOf(examples: Examples, row: number): number {
  const { ids, positives, decoderIds, targets } = examples
  const own = [ids, positives, decoderIds, targets].flatMap((source) => (source === undefined ? [] : [tokens(source, row)]))
  return [...own, ...negativesOf(examples, row)].reduce((most, { length }) => Math.max(most, length), 0)
}

/** The rows of these numbers as one batch. */
export function pad(examples: Examples, rows: Int32Array, options: BatchOptions): Omit<PaddedBatch, 'epoch' | 'index'> {
  const { positives, scores, spans, tokenLabels = examples.targets } = examples
  const { paddingSide = 'right' } = options
  const own = Array.from(rows, (row) => rowOf(examples, row, options))
  const texts = positives === undefined ? [] : [...Array.from(rows, (row) => tokens(positives, row)), ...Array.from(rows, (row) => negativesOf(examples, row)).flat()]
  const others = texts.map((ids) => rowOf({ ids: [ids] }, 0))
  const batch = joinBatches([...own, ...others], { ...options, tokenLabels: tokenLabels !== undefined })
  if (positives !== undefined) return { ...batch, labels: scores === undefined ? rows.map((_, i) => i) : Float32Array.from(rows, (row) => scores[row] ?? NaN), rows }
  if (spans === undefined || paddingSide === 'right') return { ...batch, rows }
  const moved = own.map(({ length }) => batch.length - length) // where the rows begin, and with them the places of their answers
  const labels = batch.labels?.map((side, i) => (side === IGNORED_LABEL ? side : side + (moved[i >> 1] ?? 0)))
  return { ...batch, ...(labels === undefined ? {} : { labels }), rows }
}

/** One row as a batch: classes as integers, numbers as floats. */
export function rowOf(examples: Examples, row: number, { numeric = false, decoderStart }: Pick<BatchOptions, 'numeric' | 'decoderStart'> = {}): Batch {
  const { ids, labels, targets, tokenLabels = targets, spans } = examples
  const inputs = INPUTS.flatMap((name) => {
    const source = examples[name]
    return source === undefined ? [] : [[name, (name === 'pixels' ? Float32Array : Int32Array).from(tokens(source, row))] as const]
  })
  const found = (labels ?? tokenLabels ?? spans)?.[row]
  const target = found === undefined ? undefined : numbersOf(found)
  return {
    ...Object.fromEntries(inputs),
    ...(targets === undefined ? {} : { decoderIds: Int32Array.of(decoderStart ?? NaN, ...Array.from(tokens(targets, row)).slice(0, -1)) }),
    ...(target === undefined ? {} : { labels: numeric && labels !== undefined ? Float32Array.from(target) : Int32Array.from(target) }),
    batch: 1,
    length: ids === undefined ? 0 : tokens(ids, row).length,
  }
}
