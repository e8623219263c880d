import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Dataset } from '../data/dataset.ts'
import { checkNames, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import { few, isNatural } from './problems.ts'
import { prepareBatches, type BatchOptions, type BatchSource, type PaddedBatch } from './batches.ts'

/** How rows that come one after the other become batches. */
export interface StreamOptions<Row> extends Pick<BatchOptions, 'batchSize' | 'padId' | 'padToMultipleOf' | 'paddingSide' | 'classes' | 'transform'> {
  /** Folder or Hub id of the tokenizer. */
  readonly tokenizer: string
  /** Most tokens of a row, special ones included. @default no limit */
  readonly maxLength?: number
  /** The text of a row, or a pair of texts. */
  readonly text: (row: Row) => string | readonly [string, string]
  /** Its class; anything but a natural number is an error, so do not make one of what is not there: `Number(null)` is 0. @default rows have none */
  readonly label?: (row: Row) => number
  /** Rows of the data set. @default counted, by reading it once */
  readonly rows?: number
  /** Batches that are read together: rows of like length share one of them, and their order is drawn anew. @default 16 */
  readonly window?: number
  /** Windows that are read and tokenized ahead of their use. @default 2 */
  readonly ahead?: number
  /** Decides the order within a window. @default 0 */
  readonly seed?: number
}

const PADDING = ['padId', 'padToMultipleOf', 'paddingSide', 'classes'] as const

const NAMES: Names<StreamOptions<unknown>> = {
  batchSize: true, padId: true, padToMultipleOf: true, paddingSide: true, classes: true, transform: true, tokenizer: true, maxLength: true,
  text: true, label: true, rows: true, window: true, ahead: true, seed: true,
}

export type Question = readonly (string | readonly [string, string])[]
export type Answer = { readonly ids: readonly Int32Array[]; readonly typeIds: readonly Int32Array[] } | { readonly error: string }

/**
 * Batches of a data set that may be larger than the memory, for `Trainer`: rows are read and tokenized ahead of the step
 * that needs them, in a thread of their own. They come in the data set's order, but for the order within a window: give a
 * function of the epoch to shuffle them farther.
 *
 * @throws InputError when the data set is empty or an option is out of range; while reading, what its reader throws, and
 *   InputError for a text or a label that cannot be used
 * @example
 * const mails = jsonLines('mails.jsonl')
 * const train = await streamBatches((epoch) => shuffleRows(mails, { buffer: 1000, seed: epoch }), {
 *   tokenizer: 'sentence-transformers/all-MiniLM-L6-v2', maxLength: 128, batchSize: 32,
 *   text: (mail) => String(mail['text']), label: (mail) => mail['label'] as number,
 * })
 * await new Trainer({ model, train, epochs: 2 }).fit()
 */
export async function streamBatches<Row>(
  dataset: Dataset<Row> | ((epoch: number) => Dataset<Row>),
  options: StreamOptions<Row>,
): Promise<BatchSource> {
  checkNames('streamBatches', options, NAMES)
  const { batchSize, window = 16, ahead = 2, seed = 0, transform = (batch: PaddedBatch): PaddedBatch => batch } = options
  const padding = Object.fromEntries(PADDING.map((name) => [name, options[name]])) as Pick<BatchOptions, (typeof PADDING)[number]>
  const problems = Object.entries({ batchSize, window, rows: options.rows ?? 1, ahead: ahead + 1 })
    .filter(([, value]) => !Number.isInteger(value) || value < 1)
    .map(([name, value]) => (name === 'ahead' ? `ahead: expected a natural number, got ${ahead}` : `${name}: expected an integer of at least 1, got ${value}`))
  if (problems.length > 0) throw new InputError('streamBatches: the options cannot be used:', problems)
  const inEpoch = typeof dataset === 'function' ? dataset : (): Dataset<Row> => dataset
  const rows = options.rows ?? await countRows(inEpoch(0))
  if (rows === 0) throw new InputError('streamBatches: expected at least one row, got an empty data set.')
  const count = Math.ceil(rows / batchSize)
  const windows = Math.ceil(count / window)

  async function* batchesOf(epoch: number, from: number): AsyncGenerator<PaddedBatch, void> {
    const first = Math.floor(from / window)
    const read = readAhead(tokenized(inEpoch(epoch).rows(first * window * batchSize), first * window * batchSize, window * batchSize, options), ahead)
    let number = first
    for await (const examples of read) {
      const batches = prepareBatches(examples, { ...padding, batchSize, bucketWindow: window, order: { seed } })
      for (const batch of batches.epoch(epoch * windows + number)) { // an order of its own for each window of each epoch
        const index = number * window + batch.index
        const rowsOfData = batch.rows.map((row) => number * window * batchSize + row)
        if (index >= from) yield transform({ ...batch, rows: rowsOfData, epoch, index })
      }
      number++
    }
  }
  return { count, epoch: (epoch, from = 0) => batchesOf(epoch, from) }
}

interface Tokenized {
  readonly ids: readonly Int32Array[]
  readonly typeIds: readonly Int32Array[]
  readonly labels?: readonly number[]
}

/** The rows, so many at a time, with their tokens; the thread lives as long as they are read. */
async function* tokenized<Row>(rows: AsyncIterable<Row>, first: number, size: number, options: StreamOptions<Row>): AsyncGenerator<Tokenized, void> {
  const { tokenizer, maxLength, text, label, classes = Infinity } = options
  let row = first
  const worker = new Worker(new URL(`./tokenize-worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: { source: tokenizer, options: { maxLength } },
  })
  try {
    for await (const part of inParts(rows, size)) {
      const answer = await ask(worker, part.map(text))
      if ('error' in answer) throw new InputError(`streamBatches: the tokenizer ${tokenizer} refuses: ${answer.error}`)
      if (label === undefined) yield answer
      else {
        const labels = part.map(label)
        const wrong = labels.flatMap((value, i) => (isNatural(value) && value < classes ? [] : [`${shown(value)} in row ${row + i}`]))
        if (wrong.length > 0) throw new InputError(`streamBatches: labels that are not ${classes === Infinity ? 'natural numbers' : `integers from 0 to ${classes - 1}`}: ${few(wrong)}.`)
        yield { ...answer, labels }
      }
      row += part.length
    }
  } finally {
    await worker.terminate()
  }
}

async function ask(worker: Worker, question: Question): Promise<Answer> {
  return await new Promise((done, fail) => {
    worker.once('error', fail)
    worker.once('message', (answer: Answer) => {
      worker.off('error', fail)
      done(answer)
    })
    worker.postMessage(question)
  })
}

async function* inParts<T>(values: AsyncIterable<T>, size: number): AsyncGenerator<T[], void> {
  let part: T[] = []
  for await (const value of values) {
    part.push(value)
    if (part.length < size) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}

/** The same values, of which `ahead` are asked for before their turn. */
async function* readAhead<T>(values: AsyncGenerator<T, void>, ahead: number): AsyncGenerator<T, void> {
  const asked: Promise<IteratorResult<T, void>>[] = []
  try {
    for (;;) {
      while (asked.length <= ahead) {
        const next = values.next()
        next.catch(() => undefined) // it is thrown when its turn comes; if it never comes, nobody misses it
        asked.push(next)
      }
      const result = await asked.shift()
      if (result === undefined || result.done === true) return
      yield result.value
    }
  } finally {
    await values.return()
  }
}

async function countRows(dataset: Dataset<unknown>): Promise<number> {
  const rows = dataset.rows()
  let count = 0
  while ((await rows.next()).done !== true) count++
  return count
}
