import { basename } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { newThread } from '../base/files/thread.ts'
import type { ImageProcessor } from '../base/image/processor.ts'
import type { Model } from '../base/model.ts'
import { warnOfOtherWords } from '../base/tokenizer/own-words.ts'
import { loadTokenizer, type Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { unknownTokens } from '../base/tokenizer/unknown-tokens.ts'
import { filterRows, type Dataset } from '../data/dataset.ts'
import { checkNames, type Names } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import { NO_DECODER_START, prepareBatches, type BatchOptions, type BatchSource, type Examples, type PaddedBatch } from './batches.ts'
import { checkDataset, checkRowOptions, inputOf, ROW_OPTIONS, targetOf, type RowOptions } from './row-options.ts'
import { pixelEncoder, processorProblems } from './row-pixels.ts'
import { examplesOf, type Encoders, type Question, type TokenRows } from './row-tokens.ts'
import { lacksSomething, rowReader, type ReadResult } from './rows.ts'
import { sharedTokens } from './share-tokens.ts'
import { several, type Workers } from './workers.ts'

/** How rows that come one after the other become batches. */
export interface StreamOptions<Row> extends RowOptions<Row>, Pick<BatchOptions, 'batchSize' | 'padId' | 'padToMultipleOf' | 'paddingSide' | 'decoderStart' | 'transform'> {
  /** Of rows with a text: folder or Hub id of the tokenizer. @default none */
  readonly tokenizer?: string
  /** Of rows with a picture: an image processor, or the folder or Hub id of one. @default none */
  readonly processor?: ImageProcessor | string
  /** Rows of the data set, which is not read beforehand then: `labels` must be given, and `missing: 'drop'` cannot. @default counted */
  readonly rows?: number
  /** Batches that are read together: rows of like length share one of them, and their order is drawn anew. @default 16, of pictures 1 */
  readonly window?: number
  /** Windows that are read, and tokenized or decoded, ahead of their use. @default 2 */
  readonly ahead?: number
  /** Decides the order within a window. @default 0 */
  readonly seed?: number
  /** Workers that tokenize together, each its share of the texts; all read all rows, in the same order. @default this process alone */
  readonly distributed?: Workers
}

/** Batches of a data set, and what was found when it was read for the first time. */
export interface StreamedBatches extends BatchSource, ReadResult {
  readonly labels: readonly string[]
}

const PADDING = ['padId', 'padToMultipleOf', 'paddingSide', 'decoderStart'] as const

const NAMES: Names<StreamOptions<unknown>> = {
  ...ROW_OPTIONS, batchSize: true, padId: true, padToMultipleOf: true, paddingSide: true, decoderStart: true, transform: true, tokenizer: true, processor: true, rows: true, window: true,
  ahead: true, seed: true, distributed: true,
}

export type Answer = TokenRows | { readonly error: string }

/**
 * Batches of a data set that may be larger than the memory, for `Trainer` and `evaluate`: rows are read, and tokenized or decoded, ahead
 * of the step that needs them, in threads of their own. They come in the data set's order, but for the order within a window: give a
 * function of the epoch to shuffle them farther. All rows are read once beforehand, unless `rows` says how many there are: what is wrong
 * with them is known before the training.
 *
 * @throws InputError when the data set is empty, an option is out of range, or rows are wrong as in `readExamples`; while reading, what its
 *   reader throws, and InputError for rows that cannot be used
 * @example
 * const mails = csv('mails.csv')
 * const train = await streamBatches((epoch) => shuffleRows(mails, { buffer: 1000, seed: epoch }), {
 *   tokenizer: 'sentence-transformers/all-MiniLM-L6-v2', text: 'text', label: 'label', labels: ['ham', 'spam'], maxLength: 128, batchSize: 32,
 * })
 * await new Trainer({ model, train, epochs: 2 }).fit()
 */
export async function streamBatches<Row>(
  dataset: Dataset<Row> | ((epoch: number) => Dataset<Row>),
  options: StreamOptions<Row>,
): Promise<StreamedBatches> {
  checkNames('streamBatches', options, NAMES)
  checkRowOptions('streamBatches', options)
  const { batchSize, window = options.image === undefined ? 16 : 1, ahead = 2, seed = 0, missing, transform = (batch: PaddedBatch): PaddedBatch => batch } = options
  const padding = Object.fromEntries(PADDING.map((name) => [name, options[name]])) as Pick<BatchOptions, (typeof PADDING)[number]>
  const problems = problemsOf(options)
  if (problems.length > 0) throw new InputError('streamBatches: the options cannot be used:', problems)
  if (typeof dataset !== 'function') checkDataset('streamBatches', dataset)
  const inEpoch = (epoch: number): Dataset<Row> => {
    const rows = typeof dataset === 'function' ? dataset(epoch) : dataset
    return missing === 'drop' ? filterRows(rows, (row) => !lacksSomething(row, options)) : rows
  }
  const found = options.rows === undefined ? await survey(typeof dataset === 'function' ? dataset(0) : dataset, options) : undefined
  const { labels = options.labels ?? [], counts = {}, dropped = 0, warnings = [] } = found ?? {}
  const rows = options.rows ?? found?.rows ?? 0
  const known: RowOptions<Row> = { ...options, ...(labels.length > 0 ? { labels } : {}) }
  const count = Math.ceil(rows / batchSize)
  const windows = Math.ceil(count / window)
  const kind = targetOf(options)
  const numeric = kind === 'number' || kind === 'labelSet'
  const names = labels.length > 0 ? { labels } : {}
  let [seen, isTold]: [Examples['ids'], boolean] = [undefined, false]

  async function* batchesOf(epoch: number, from: number): AsyncGenerator<PaddedBatch, void> {
    const first = Math.floor(from / window)
    const begin = first * window * batchSize
    const read = readAhead(encodedRows(inEpoch(epoch).rows(begin), begin, window * batchSize, { ...options, ...known }), ahead)
    let number = first
    for await (const { examples, takeTurn } of read) {
      takeTurn()
      if (!isTold) seen ??= (await examples).ids
      const batches = prepareBatches(await examples, { ...padding, ...names, numeric, batchSize, bucketWindow: window, order: { seed } })
      for (const batch of batches.epoch(epoch * windows + number)) { // an order of its own for each window of each epoch
        const index = number * window + batch.index
        const rowsOfData = batch.rows.map((row) => number * window * batchSize + row)
        if (index >= from) yield transform({ ...batch, rows: rowsOfData, epoch, index })
      }
      number++
    }
  }
  const { tokenizer } = options
  let words: Promise<Tokenizer> | undefined
  const warn = async (model: Model): Promise<void> => {
    if (tokenizer === undefined) return
    const own = await (words ??= loadTokenizer(tokenizer))
    warnOfOtherWords(model, own)
    const unknown = seen === undefined ? undefined : unknownTokens(own, seen)
    if (unknown !== undefined) console.warn(`streamBatches: in ${seen?.length} rows ${unknown}`)
    if (seen !== undefined) [seen, isTold] = [undefined, true]
  }
  return { count, labels, counts, dropped, warnings, warn, settings: settingsOf({ ...options, window, seed }), epoch: (epoch, from = 0) => batchesOf(epoch, from) }
}

/** What decides the batches; functions are taken for the same, a folder by its last name, as it is elsewhere on another machine. */
function settingsOf<Row>({ tokenizer, processor, ...options }: StreamOptions<Row>): Readonly<Record<string, string | number>> {
  const folder = (source: string | undefined): string | undefined => (source === undefined ? undefined : basename(source))
  const given = { ...options, tokenizer: folder(tokenizer), processor: typeof processor === 'object' ? JSON.stringify(processor.settings) : folder(processor) }
  const shownAs = (value: unknown): string | number => typeof value === 'number' || typeof value === 'string' ? value : Array.isArray(value) ? JSON.stringify(value) : `a ${typeof value}`
  return Object.fromEntries(Object.entries(given).flatMap(([name, value]) => (value === undefined || ['ahead', 'labels', 'transform', 'distributed'].includes(name) ? [] : [[name, shownAs(value)] as const])))
}

function problemsOf<Row>({ batchSize, window = 1, rows, ahead = 0, labels, missing, tokenizer, processor, ...options }: StreamOptions<Row>): string[] {
  const problems = Object.entries({ batchSize, window, rows: rows ?? 1, ahead: ahead + 1 })
    .filter(([, value]) => !Number.isInteger(value) || value < 1)
    .map(([name, value]) => (name === 'ahead' ? `ahead: expected a natural number, got ${shown(ahead)}` : `${name}: expected an integer of at least 1, got ${shown(value)}`))
  const ofClasses = options.label !== undefined || options.labelSet !== undefined || options.tags !== undefined
  if (rows !== undefined && ofClasses && labels === undefined) problems.push('labels: expected names of the classes beside rows; without rows the data are read once, and the names found')
  if (rows !== undefined && missing === 'drop') problems.push("missing: expected 'error' beside rows; without rows the data are read once, and those that are left counted")
  if (options.target !== undefined && options.decoderStart === undefined) problems.push(NO_DECODER_START)
  problems.push(...processorProblems(options, processor))
  if (inputOf(options) !== undefined && typeof tokenizer !== 'string') problems.push(`tokenizer: expected the folder or Hub id of one, which a thread of its own loads, got ${shown(tokenizer)}`)
  return problems
}

/** Reads all rows once. */
async function survey<Row>(dataset: Dataset<Row>, options: RowOptions<Row>): Promise<Omit<StreamedBatches, 'count' | 'epoch'> & { readonly rows: number }> {
  const reader = rowReader('streamBatches', options)
  let rows = 0
  for await (const row of dataset.rows()) reader.read(row, rows++)
  if (rows === 0) throw new InputError('streamBatches: expected at least one row, got an empty data set.')
  reader.check()
  return { ...reader.result(), rows: rows - reader.result().dropped }
}

/** Rows on their way through other threads, several windows at a time: these go on while this thread computes a step. */
interface UnderWay {
  readonly examples: Promise<Examples>
  /** Called before they are waited for: workers then tell each other their tokens, as all of them have come as far. */
  readonly takeTurn: () => void
}

/** The rows, so many at a time, with their tokens and pixels; the thread of the tokenizer lives as long as they are read. */
async function* encodedRows<Row>(rows: AsyncIterable<Row>, first: number, size: number, options: StreamOptions<Row>): AsyncGenerator<UnderWay, void> {
  const { tokenizer, processor } = options
  let number = first
  const worker = tokenizer === undefined ? undefined : newThread('tokenize-worker', import.meta.url, tokenizer)
  const broken = new Promise<never>((_, fail) => worker?.once('error', fail))
  broken.catch(() => undefined) // who asks is told
  let answered: Promise<unknown> = Promise.resolve()
  const tokens = async (question: Question): Promise<TokenRows> => {
    const asked = answered.then(() => Promise.race([ask(worker as Worker, question), broken])) // of rows with texts alone
    answered = asked.catch(() => undefined)
    const answer = await asked
    if ('error' in answer) throw new InputError(`streamBatches: the tokenizer ${tokenizer ?? ''} refuses: ${answer.error}`)
    return answer
  }
  const workers = several(options.distributed)
  let begun: Promise<unknown> = Promise.resolve()
  const inThreads = async <T>(made: Promise<T>): Promise<T> => {
    begun = Promise.allSettled([begun, made])
    return await made
  }
  const own = (question: Question): Promise<TokenRows> => inThreads(tokens(question))
  try {
    const toPixels = await pixelEncoder(processor)
    const pixels: Encoders['pixels'] = (...of) => inThreads(toPixels(...of))
    for await (const part of inParts(rows, size)) {
      const reader = rowReader('streamBatches', options)
      const read = part.flatMap((row) => reader.read(row, number++) ?? [])
      reader.check()
      let takeTurn = (): void => undefined
      const turn = new Promise<void>((take) => { takeTurn = take })
      const examples = examplesOf(read, options, { pixels, tokens: workers === undefined ? own : (question) => sharedTokens(workers, question, own, turn) })
      examples.catch(() => undefined) // what fails is told when its turn comes
      yield { examples, takeTurn }
    }
  } finally {
    await begun // those before a row that cannot be used come all the same
    await worker?.terminate()
  }
}

async function ask(worker: Worker, question: Question): Promise<Answer> {
  return await new Promise((done) => {
    worker.once('message', done)
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
