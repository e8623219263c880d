import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { Batch } from '../base/batch.ts'
import { permutation, randomStream } from '../base/random.ts'
import type { Model } from '../base/model.ts'
import { InputError, shown } from '../errors.ts'
import { strangeNames, withClassNumbers } from './class-names.ts'
import { checkExamples, rowCount, type Examples } from './examples.ts'
import { lengthOf, pad } from './padding.ts'
import { few, isNatural } from './problems.ts'
import { checkNames, type Names } from '../base/options.ts'

export type { Examples } from './examples.ts'

/** How examples become batches. */
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
  /** Where rows are filled up. @default 'right' */
  readonly paddingSide?: 'left' | 'right'
  /** Batches are padded to their longest row, rounded up to a multiple of this. @default 1 */
  readonly padToMultipleOf?: number
  /** Leaves out a last batch of fewer rows. @default false */
  readonly dropLast?: boolean
  /** Beside `targets`: the token that the decoder is given before them, `model.parts.architecture.decoderStart`. @default none */
  readonly decoderStart?: number
  /** Labels are numbers, one or several for each row, not classes. @default false */
  readonly numeric?: boolean
  /** Names of the classes by their number: `model.labels`. Examples may name their classes then. @default they have numbers */
  readonly labels?: readonly string[]
  /** Labels must be below this. @default unchecked, or the number of `labels` */
  readonly classes?: number
  /** What becomes of each batch before it is used: `maskTokens(...)`, `nextTokenLabels`. @default nothing */
  readonly transform?: BatchTransform
}

const NAMES: Names<BatchOptions> = {
  batchSize: true, order: true, bucketWindow: true, padId: true, paddingSide: true, padToMultipleOf: true, dropLast: true, numeric: true, decoderStart: true,
  labels: true, classes: true, transform: true,
}

/** Makes another batch of a batch, the same one each time: what it draws depends on the batch alone. */
export type BatchTransform = (batch: PaddedBatch) => PaddedBatch

/**
 * Rows of one step, filled up to the same length; segments and labels where the examples have them. Of pairs, the rows come
 * first, then their positives, then all negatives; each label is the place of a row's own text behind the rows, or the score of the pair.
 */
export interface PaddedBatch extends Batch {
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
  /** The rows, where they are known: a training checks all of them before its first step. */
  readonly examples?: Examples
  /** Names of the classes by their number in the batches, where they are known: those of the model must be the same. */
  readonly labels?: readonly string[]
  /** What its batches were made with: a training goes on from a checkpoint with the same alone. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** What makes the labels of its batches, where those of the rows do not do. */
  readonly transform?: BatchTransform
  /** Says on the console, once, what may be wrong with them for a model; called when the first batch is there. */
  readonly warn?: (model: Model) => Promise<void>
  /** The batches of one epoch, from batch `from` on; the same ones each time it is asked. */
  epoch(epoch: number, from?: number): Iterable<PaddedBatch> | AsyncIterable<PaddedBatch>
}

/** Whether these are batches already. */
export function areBatches(rows: Examples | BatchSource): rows is BatchSource {
  return typeof rows === 'object' && (rows as unknown) !== null && 'epoch' in rows
}

/** That an option would make batches of rows, and there are batches already. */
export function readyBatches(option: string): string {
  return `${option}: expected none beside batches that are made already; give it to what makes them, prepareBatches or streamBatches`
}

/** Batches made of examples that are all there, so that their number is known. */
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
 * @throws InputError listing all that is wrong: no rows, empty rows, ids that are no numbers, labels that are missing,
 *   out of range or unknown, token labels of another length than their row, spans outside it, row counts that differ, options out
 *   of range
 * @example
 * const batches = prepareBatches({ ids: [[101, 7, 102], [101, 102]], labels: [1, 0] }, { batchSize: 2, order: { seed: 0 } })
 * for (const { ids, mask, labels, batch, length } of batches.epoch(0)) console.log(batch, length, ids, mask, labels)
 */
export function prepareBatches(given: Examples, options: BatchOptions): Batches {
  checkNames('prepareBatches', options, NAMES)
  const { batchSize, order = 'given', bucketWindow = 1, dropLast = false, numeric = false, labels, transform } = options
  const names = { labels: labels ?? [], record: { named: true, numeric } }
  const strange = strangeNames(names, given)
  const unknown = labels === undefined && strange.length > 0 ? ['labels: names of classes, whose numbers are not known; give them, as in { labels: model.labels }'] : strange
  const examples = withClassNumbers(names, given)
  const found = unknown.length > 0 ? unknown : checkExamples(examples, { ...(labels === undefined ? {} : { classes: labels.length }), ...options })
  const problems = [...checkOptions(examples, options), ...found]
  if (problems.length > 0) throw new InputError('prepareBatches: the examples do not make batches. Correct these:', problems)

  const shuffle = typeof order === 'object' && 'seed' in order ? order.seed : undefined
  const explicit = typeof order === 'object' && !('seed' in order) ? Int32Array.from(order) : undefined
  const total = explicit?.length ?? rowCount(examples)
  const count = dropLast ? Math.floor(total / batchSize) : Math.ceil(total / batchSize)
  if (count === 0) {
    throw new InputError(`prepareBatches: ${total} rows make no batch of ${batchSize} with dropLast. Lower batchSize or keep the last batch.`)
  }

  /** The rows of each batch of an epoch. */
  function plan(epoch: number): Int32Array[] {
    const rows = shuffle !== undefined
      ? permutation(randomStream(shuffle, 'rows', epoch), total)
      : explicit ?? Int32Array.from({ length: total }, (_, i) => i)
    const sorted = bucketWindow > 1 ? sortWindows(rows, batchSize * bucketWindow, (row) => lengthOf(examples, row)) : rows
    const batches = Array.from({ length: count }, (_, i) => sorted.slice(i * batchSize, (i + 1) * batchSize))
    if (shuffle === undefined || bucketWindow === 1) return batches
    // sorting has put short before long: without this each window would train on its short rows first
    return Array.from(permutation(randomStream(shuffle, 'batches', epoch), count), (i) => batches[i] as Int32Array)
  }

  return {
    count,
    examples,
    settings: { batchSize, bucketWindow, order: explicit === undefined ? JSON.stringify(order) : digest(explicit), ...(dropLast ? { dropLast: 1 } : {}) },
    ...(labels === undefined ? {} : { labels }),
    ...(transform === undefined ? {} : { transform }),
    epoch(epoch, from = 0) {
      if (!isNatural(epoch)) throw new InputError(`epoch: expected a natural number, got ${shown(epoch)}.`)
      if (!isNatural(from) || from > count) {
        throw new InputError(`from: expected a batch from 0 to ${count} of an epoch, got ${from}. Is the position of another data set?`)
      }
      return (function* () {
        for (const [i, rows] of plan(epoch).slice(from).entries()) {
          const batch = { ...pad(examples, rows, options), epoch, index: from + i }
          yield transform?.(batch) ?? batch
        }
      })()
    },
  }
}

/** What is said where targets have no start. */
export const NO_DECODER_START = 'decoderStart: expected the token that the decoder is given before its targets: model.parts.architecture.decoderStart'

function digest(numbers: Int32Array): string {
  return `#${bytesToHex(sha256(new Uint8Array(numbers.buffer))).slice(0, 16)}`
}

function sortWindows(rows: Int32Array, window: number, lengthOf: (row: number) => number): Int32Array {
  const sorted = new Int32Array(rows.length)
  for (let start = 0; start < rows.length; start += window) {
    const part = Array.from(rows.subarray(start, start + window)) // an Array, because its sort is stable
    sorted.set(part.sort((a, b) => lengthOf(a) - lengthOf(b)), start)
  }
  return sorted
}

function checkOptions(examples: Examples, options: BatchOptions): string[] {
  const { order = 'given', padId = 0, classes = 1 } = options
  const counts = { batchSize: options.batchSize, bucketWindow: options.bucketWindow ?? 1, padToMultipleOf: options.padToMultipleOf ?? 1, classes }
  const problems = Object.entries(counts)
    .filter(([, value]) => !isNatural(value) || value === 0)
    .map(([name, value]) => `${name}: expected an integer of at least 1, got ${shown(value)}`)
  if (examples.targets !== undefined && !isNatural(options.decoderStart ?? NaN)) {
    problems.push(NO_DECODER_START)
  }
  if (!isNatural(padId)) problems.push(`padId: expected a natural number, got ${shown(padId)}`)
  if (typeof order === 'object' && 'seed' in order) {
    if (!Number.isSafeInteger(order.seed)) problems.push(`order.seed: expected an integer, got ${order.seed}`)
  } else if (order !== 'given') {
    const rows = rowCount(examples)
    const unknown = Array.from(order).filter((row) => !isNatural(row) || row >= rows)
    if (unknown.length > 0) problems.push(`order: expected row numbers from 0 to ${rows - 1}, got ${few(unknown)}`)
    if (order.length === 0) problems.push('order: expected at least one row, got none')
  }
  return problems
}
