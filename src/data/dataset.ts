import { createHash } from 'node:crypto'
import { int, randomStream } from '../base/random.ts'
import { InputError, shown } from '../errors.ts'
import { placed, placedLike, whereOf } from './where.ts'

/** One row of a table, by column. What a file holds is checked by its reader only as far as the format goes. */
export type Row = Readonly<Record<string, unknown>>

/** Rows in a fixed order that are read as they are asked for, so that a data set may be larger than the memory. */
export interface Dataset<T = Row> {
  /** The rows from number `from` on. Each call reads anew: the same rows in the same order. */
  rows(from?: number): AsyncGenerator<T, void>
}

/**
 * Rows that are in memory already.
 *
 * @throws InputError when it is no list
 * @example
 * const data = datasetOf([{ text: 'a', label: 0 }, { text: 'b', label: 1 }])
 */
export function datasetOf<T>(values: readonly T[]): Dataset<T> {
  if (!Array.isArray(values)) throw new InputError(`datasetOf: expected a list of rows, got ${shown(values)}. What gives its rows once, such as a generator, becomes one with [...rows]; files have csv, jsonLines, json and parquet.`)
  return {
    // eslint-disable-next-line @typescript-eslint/require-await -- nothing to wait for, but read as the others are
    async *rows(from = 0) {
      for (let i = from; i < values.length; i++) {
        const row = values[i] as T // there is one for each number
        yield isOfFile(whereOf(row)) ? row : placed(row, `row ${i}`)
      }
    },
  }
}

/** Rows of a file keep their place where they come through a list. */
function isOfFile(where: string | undefined): boolean {
  return where !== undefined && !/^row \d+$/.test(where)
}

/**
 * Every row turned into something else as it is read.
 *
 * @param f is given the row and its number
 * @example
 * const texts = mapRows(datasetOf([{ text: 'hello' }]), ({ text }) => text)
 */
export function mapRows<T, U>(dataset: Dataset<T>, f: (row: T, index: number) => U): Dataset<U> {
  return {
    async *rows(from = 0) {
      let index = from
      for await (const row of dataset.rows(from)) yield placedLike(f(row, index++), row)
    },
  }
}

/**
 * One data set after the other.
 *
 * @example
 * const both = concatenate([datasetOf([{ text: 'a' }]), datasetOf([{ text: 'b' }])])
 */
export function concatenate<T>(datasets: readonly Dataset<T>[]): Dataset<T> {
  return {
    async *rows(from = 0) {
      let skip = from
      for (const dataset of datasets) {
        if (skip === 0) {
          yield* dataset.rows()
          continue
        }
        for await (const row of dataset.rows()) {
          if (skip === 0) yield row
          else skip--
        }
      }
    },
  }
}

/**
 * Two data sets that share no key: a row's side follows from a hash of its key alone, so it stays there whatever is added,
 * removed or reordered. Rows with the same key (copies of a text, mails of one thread) are on one side.
 *
 * @param key of a row: the name of a column, or a function
 * @param share of the keys that is held out, from 0 to 1
 * @throws InputError when the share is out of range, or a key is no text
 * @example
 * const { train, evaluate } = splitByHash(datasetOf([{ text: 'a' }, { text: 'b' }]), 'text', 0.2)
 */
export function splitByHash<T>(
  dataset: Dataset<T>,
  key: (keyof T & string) | ((row: T) => string),
  share: number,
): { readonly train: Dataset<T>; readonly evaluate: Dataset<T> } {
  if (!(share >= 0 && share <= 1)) throw new InputError(`splitByHash: expected a share from 0 to 1, got ${share}.`)
  const isHeldOut = (row: T): boolean => createHash('sha256').update(textOf(row)).digest().readUInt32BE() / 2 ** 32 < share
  const textOf = (row: T): string => {
    const value: unknown = typeof key === 'function' ? key(row) : (row[key] ?? '') // what a row lacks is for its reader to say
    if (typeof value === 'string' || typeof value === 'number') return String(value)
    throw new InputError(`splitByHash: key: expected a text, got ${shown(value)} in ${whereOf(row) ?? 'a row'}.`)
  }
  return { train: filterRows(dataset, (row) => !isHeldOut(row)), evaluate: filterRows(dataset, isHeldOut) }
}

/**
 * The rows that are to stay. Where `keep` tells a type, they are of that type from then on.
 *
 * @example
 * const mails = datasetOf([{ text: 'hello', label: 'ham' }, { text: 'you have won', label: null }])
 * const labelled = filterRows(mails, (mail): mail is { text: string; label: string } => mail.label !== null)
 */
export function filterRows<T, Kept extends T>(dataset: Dataset<T>, keep: (row: T) => row is Kept): Dataset<Kept>
export function filterRows<T>(dataset: Dataset<T>, keep: (row: T) => boolean): Dataset<T>
export function filterRows<T>(dataset: Dataset<T>, keep: (row: T) => boolean): Dataset<T> {
  return {
    async *rows(from = 0) {
      let skip = from
      for await (const row of dataset.rows()) {
        if (!keep(row)) continue
        if (skip === 0) yield row
        else skip--
      }
    },
  }
}

/**
 * The rows in another order, of which only `buffer` are in memory: each place is filled by a row drawn from the next
 * `buffer` ones. With a buffer as large as the data set every order is equally likely.
 *
 * @throws InputError when `buffer` is no integer of at least 1
 * @example
 * const shuffled = shuffleRows(datasetOf([1, 2, 3]), { buffer: 1000, seed: 0 })
 */
export function shuffleRows<T>(dataset: Dataset<T>, { buffer, seed }: { readonly buffer: number; readonly seed: number }): Dataset<T> {
  if (!Number.isInteger(buffer) || buffer < 1) throw new InputError(`shuffleRows: expected a buffer of at least 1 row, got ${buffer}.`)
  return {
    async *rows(from = 0) {
      const random = randomStream(seed, 'rows')
      const waiting: T[] = []
      let index = 0
      const draw = function* (next: T | undefined): Generator<T, void> {
        const at = int(random, waiting.length)
        const row = waiting[at] as T // at is below the length
        if (next === undefined) waiting.splice(at, 1)
        else waiting[at] = next
        if (index++ >= from) yield row
      }
      for await (const row of dataset.rows()) {
        if (waiting.length < buffer) waiting.push(row)
        else yield* draw(row)
      }
      while (waiting.length > 0) yield* draw(undefined)
    },
  }
}
