import type { Batch } from '../base/batch.ts'
import { permutation, randomStream } from '../base/random.ts'
import { InputError } from '../errors.ts'

/** Tokenized rows with what belongs to them; everything is indexed by row. */
export interface Examples {
  /** Token ids of each row, of any length from 1. */
  readonly ids: readonly ArrayLike<number>[]
  /** Segment of each token, where the model has segments. */
  readonly typeIds?: readonly ArrayLike<number>[]
  /** Class of each row. */
  readonly labels?: ArrayLike<number>
}

export interface BatchOptions {
  /** Rows of a batch. */
  readonly batchSize: number
  /** As the examples stand, shuffled anew in each epoch, or the given row numbers in each epoch. @default 'given' */
  readonly order?: 'given' | { readonly seed: number } | readonly number[] | Int32Array
  /**
   * Rows of about the same length share a batch: within this many batches of the order, rows are sorted by length.
   * Saves the work on padding; a shuffled epoch then shuffles its batches too. @default 1, no sorting
   */
  readonly bucketWindow?: number
  /** Id that fills rows up. @default 0 */
  readonly padId?: number
  /** Batches are padded to their longest row, rounded up to a multiple of this. @default 1 */
  readonly padToMultipleOf?: number
  /** Leaves out a last batch of fewer rows. @default false */
  readonly dropLast?: boolean
  /** Labels must be below this. @default unchecked */
  readonly classes?: number
}

/** Rows of one step, filled up at their end to the same length; segments and labels where the examples have them. */
export interface PaddedBatch extends Batch {
  readonly mask: Int32Array
  /** Number of each row in the examples. */
  readonly rows: Int32Array
  /** Position in the training: to go on behind this batch, ask for `epoch(epoch, index + 1)`. */
  readonly epoch: number
  readonly index: number
}

/** Where a training gets its batches from. */
export interface BatchSource {
  /** Batches of an epoch. */
  readonly count: number
  /** The batches of one epoch, from batch `from` on; the same ones each time it is asked. */
  epoch(epoch: number, from?: number): Iterable<PaddedBatch> | AsyncIterable<PaddedBatch>
}

export interface Batches extends BatchSource {
  /**
   * The batches of one epoch, from batch `from` on; the same ones each time it is asked.
   * @throws InputError when epoch or from is not a natural number, or from is beyond the last batch
   */
  epoch(epoch: number, from?: number): Generator<PaddedBatch, void>
}

/**
 * Checks the examples once and cuts them into padded batches.
 *
 * @throws InputError listing all that is wrong: no rows, empty rows, ids that are no numbers, labels that are missing
 *   or out of range, row counts that differ, options out of range
 * @example
 * const batches = prepareBatches({ ids: [[101, 7, 102], [101, 102]], labels: [1, 0] }, { batchSize: 2, order: { seed: 0 } })
 * for (const { ids, mask, labels, batch, length } of batches.epoch(0)) console.log(batch, length, ids, mask, labels)
 */
export function prepareBatches(examples: Examples, options: BatchOptions): Batches {
  const { batchSize, order = 'given', bucketWindow = 1, dropLast = false } = options
  const problems = [...checkOptions(examples, options), ...checkExamples(examples, options.classes)]
  if (problems.length > 0) throw new InputError('prepareBatches: the examples do not make batches. Correct these:', problems)

  const shuffle = typeof order === 'object' && 'seed' in order ? order.seed : undefined
  const explicit = typeof order === 'object' && !('seed' in order) ? Int32Array.from(order) : undefined
  const total = explicit?.length ?? examples.ids.length
  const count = dropLast ? Math.floor(total / batchSize) : Math.ceil(total / batchSize)
  if (count === 0) {
    throw new InputError(`prepareBatches: ${total} rows make no batch of ${batchSize} with dropLast. Lower batchSize or keep the last batch.`)
  }

  /** The rows of each batch of an epoch. */
  function plan(epoch: number): Int32Array[] {
    const rows = shuffle !== undefined
      ? permutation(randomStream(shuffle, 'rows', epoch), total)
      : explicit ?? Int32Array.from({ length: total }, (_, i) => i)
    const sorted = bucketWindow > 1 ? sortWindows(rows, batchSize * bucketWindow, (row) => tokens(examples.ids, row).length) : rows
    const batches = Array.from({ length: count }, (_, i) => sorted.slice(i * batchSize, (i + 1) * batchSize))
    if (shuffle === undefined || bucketWindow === 1) return batches
    // sorting has put short before long: without this each window would train on its short rows first
    return Array.from(permutation(randomStream(shuffle, 'batches', epoch), count), (i) => batches[i] as Int32Array)
  }

  return {
    count,
    epoch(epoch, from = 0) {
      if (!isNatural(epoch)) throw new InputError(`epoch: expected a natural number, got ${epoch}.`)
      if (!isNatural(from) || from > count) {
        throw new InputError(`from: expected a batch from 0 to ${count} of an epoch, got ${from}. Is the position of another data set?`)
      }
      return (function* () {
        for (const [i, rows] of plan(epoch).slice(from).entries()) yield { ...pad(examples, rows, options), epoch, index: from + i }
      })()
    },
  }
}

function sortWindows(rows: Int32Array, window: number, lengthOf: (row: number) => number): Int32Array {
  const sorted = new Int32Array(rows.length)
  for (let start = 0; start < rows.length; start += window) {
    const part = Array.from(rows.subarray(start, start + window)) // an Array, because its sort is stable
    sorted.set(part.sort((a, b) => lengthOf(a) - lengthOf(b)), start)
  }
  return sorted
}

function pad(examples: Examples, rows: Int32Array, options: BatchOptions): Omit<PaddedBatch, 'epoch' | 'index'> {
  const { padId = 0, padToMultipleOf = 1 } = options
  const batch = rows.length
  const longest = rows.reduce((most, row) => Math.max(most, tokens(examples.ids, row).length), 0)
  const length = Math.ceil(longest / padToMultipleOf) * padToMultipleOf
  const matrix = (source: readonly ArrayLike<number>[], fill: number): Int32Array => {
    const filled = new Int32Array(batch * length).fill(fill)
    rows.forEach((row, i) => filled.set(tokens(source, row), i * length))
    return filled
  }
  const mask = new Int32Array(batch * length)
  rows.forEach((row, i) => mask.fill(1, i * length, i * length + tokens(examples.ids, row).length))
  const { labels, typeIds } = examples
  return {
    ids: matrix(examples.ids, padId),
    mask,
    ...(typeIds === undefined ? {} : { typeIds: matrix(typeIds, 0) }),
    ...(labels === undefined ? {} : { labels: rows.map((row) => labels[row] as number) }),
    rows,
    batch,
    length,
  }
}

/** The tokens of a row that is known to exist. */
function tokens(source: readonly ArrayLike<number>[], row: number): ArrayLike<number> {
  return source[row] as ArrayLike<number>
}

function checkOptions({ ids }: Examples, options: BatchOptions): string[] {
  const { order = 'given', padId = 0, classes = 1 } = options
  const counts = { batchSize: options.batchSize, bucketWindow: options.bucketWindow ?? 1, padToMultipleOf: options.padToMultipleOf ?? 1, classes }
  const problems = Object.entries(counts)
    .filter(([, value]) => !isNatural(value) || value === 0)
    .map(([name, value]) => `${name}: expected an integer of at least 1, got ${value}`)
  if (!isNatural(padId)) problems.push(`padId: expected a natural number, got ${padId}`)
  if (typeof order === 'object' && 'seed' in order) {
    if (!Number.isSafeInteger(order.seed)) problems.push(`order.seed: expected an integer, got ${order.seed}`)
  } else if (order !== 'given') {
    const unknown = Array.from(order).filter((row) => !isNatural(row) || row >= ids.length)
    if (unknown.length > 0) problems.push(`order: expected row numbers from 0 to ${ids.length - 1}, got ${few(unknown)}`)
    if (order.length === 0) problems.push('order: expected at least one row, got none')
  }
  return problems
}

function checkExamples({ ids, typeIds, labels }: Examples, classes: number | undefined): string[] {
  if (ids.length === 0) return ['ids: expected at least one row, got an empty data set']
  const problems: string[] = []
  const report = (what: string, offenders: readonly (string | number)[]): void => {
    if (offenders.length > 0) problems.push(`${what}: ${few(offenders)}`)
  }
  const rows = Array.from(ids.keys())
  report('rows without a token', rows.filter((row) => tokens(ids, row).length === 0))
  report('ids that are not natural numbers', rows.flatMap((row) => unnatural(tokens(ids, row), row)))
  if (typeIds !== undefined) {
    if (typeIds.length !== ids.length) problems.push(`typeIds: expected ${ids.length} rows as in ids, got ${typeIds.length}`)
    const both = rows.slice(0, typeIds.length)
    report('typeIds that are not natural numbers', both.flatMap((row) => unnatural(tokens(typeIds, row), row)))
    report('typeIds not as long as their ids', both
      .filter((row) => tokens(typeIds, row).length !== tokens(ids, row).length)
      .map((row) => `${tokens(typeIds, row).length} for ${tokens(ids, row).length} in row ${row}`))
  }
  if (labels !== undefined) {
    if (labels.length !== ids.length) problems.push(`labels: expected ${ids.length}, one per row, got ${labels.length}`)
    const known = rows.slice(0, labels.length)
    const isMissing = (row: number): boolean => labels[row] === undefined || Number.isNaN(labels[row])
    report('rows without a label', known.filter(isMissing))
    const range = classes === undefined ? 'that are not natural numbers' : `that are not integers from 0 to ${classes - 1}`
    report(`labels ${range}`, known
      .filter((row) => !isMissing(row) && !(isNatural(labels[row]) && (labels[row] as number) < (classes ?? Infinity)))
      .map((row) => `${String(labels[row])} in row ${row}`))
  }
  return problems
}

/** The first token of a row that is no id, if there is one. */
function unnatural(row: ArrayLike<number>, index: number): string[] {
  for (let i = 0; i < row.length; i++) {
    if (!isNatural(row[i])) return [`${String(row[i])} at token ${i} of row ${index}`]
  }
  return []
}

function few(offenders: readonly (string | number)[]): string {
  const shown = offenders.slice(0, 5).join(', ')
  return offenders.length > 5 ? `${shown} and ${offenders.length - 5} more` : shown
}

function isNatural(value: number | undefined): boolean {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}
