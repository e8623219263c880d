import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ImageProcessor } from '../base/image/processor.ts'
import { loadTokenizer, type Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { unknownTokens } from '../base/tokenizer/unknown-tokens.ts'
import type { Dataset } from '../data/dataset.ts'
import { checkNames } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import type { Examples, Label } from './examples.ts'
import { checkDataset, checkRowOptions, inputOf, ROW_OPTIONS, targetOf, type RowOptions } from './row-options.ts'
import { pixelEncoder, processorProblems } from './row-pixels.ts'
import { encoded, examplesOf, type Encoders, type Question, type TokenRows } from './row-tokens.ts'
import { sharedTokens } from './share-tokens.ts'
import { several, type Workers } from './workers.ts'
import { rowReader, type Partner, type ReadResult, type ReadRow } from './rows.ts'

/** How `readExamples` reads. */
export interface ReadOptions<Row> extends RowOptions<Row> {
  /** Of rows with a text: a tokenizer, or the folder or Hub id of one. @default none */
  readonly tokenizer?: Tokenizer | string
  /** Of rows with a picture: an image processor, or the folder or Hub id of one. @default none */
  readonly processor?: ImageProcessor | string
  /** Workers that tokenize together, each its share of the texts; all call it, with the same rows. @default this process alone */
  readonly distributed?: Workers
}

/** What a data set has for a model. */
export interface ReadExamples extends ReadResult {
  /** For `Trainer` and `evaluate`; classes are there by name, so that two data sets do not number them differently. */
  readonly examples: Examples
}

/** Rows that are tokenized, and those whose pictures are decoded, together. */
const PART = 500
const PART_OF_PICTURES = 64

/**
 * Reads a data set into rows for a model, all of them into memory; `streamBatches` takes the same options and keeps some.
 *
 * @throws InputError, with all that is wrong and where, when rows lack a text or what is to be learned, or it is none of the classes, and
 *   when an option cannot be used; what the reader of the data set throws; CheckpointError, HubError as `loadTokenizer`
 * @example
 * const { examples, labels, counts } = await readExamples(csv('mails.csv'), { tokenizer: source, text: 'text', label: 'label', maxLength: 128 })
 * console.table(counts)
 * const fresh = await loadModel(source, { task: 'sequence-classification', labels })
 * console.log(await evaluate(fresh, examples))
 */
export async function readExamples<Row>(dataset: Dataset<Row>, options: ReadOptions<Row>): Promise<ReadExamples> {
  checkNames('readExamples', options, { ...ROW_OPTIONS, tokenizer: true, processor: true, distributed: true })
  checkRowOptions('readExamples', options)
  checkDataset('readExamples', dataset)
  const tokenizer = typeof options.tokenizer === 'string' ? await loadTokenizer(options.tokenizer) : options.tokenizer
  const problems = processorProblems(options, options.processor)
  if (inputOf(options) !== undefined && typeof (tokenizer as Partial<Tokenizer> | undefined)?.encode !== 'function') {
    problems.push(`tokenizer: expected one, or the folder or Hub id of one, got ${tokenizer instanceof Promise ? 'a promise; await loadTokenizer(…)' : shown(tokenizer)}`)
  }
  if (problems.length > 0) throw new InputError('readExamples: the options cannot be used:', problems)
  const reader = rowReader('readExamples', options)
  const rows: ReadRow[] = []
  let number = 0
  for await (const row of dataset.rows()) {
    const read = reader.read(row, number++)
    if (read !== undefined) rows.push(read)
  }
  if (number === 0) throw new InputError('readExamples: expected at least one row, got an empty data set.')
  reader.check()
  const parts: Examples[] = []
  let [texts, truncated] = [0, 0]
  const workers = several(options.distributed)
  const ask = (question: Question): TokenRows => encoded(tokenizer as Tokenizer, question) // asked of rows with texts alone
  const tokens = async (question: Question): Promise<TokenRows> => {
    const encodedRows = workers === undefined ? ask(question) : await sharedTokens(workers, question, ask)
    texts += encodedRows.truncated.length
    truncated += encodedRows.truncated.filter(Boolean).length
    return encodedRows
  }
  const encoders: Encoders = { tokens, pixels: await pixelEncoder(options.processor) }
  const size = options.image === undefined ? PART : PART_OF_PICTURES
  for (let begin = 0; begin < rows.length; begin += size) {
    const part = examplesOf(rows.slice(begin, begin + size), options, encoders)
    parts.push(await part.catch((error: unknown) => unusable(error, problems)))
    await nextTurn() // others have the thread in between
  }
  if (problems.length > 0) throw new InputError('readExamples: rows cannot be used:', problems)
  const examples = joined(parts)
  const result = reader.result()
  const unknown = tokenizer === undefined ? undefined : unknownTokens(tokenizer, examples.ids ?? [])
  const contradicted = targetOf(options) === 'label' ? contradictions(rows) : 0
  const isNumbers = rows.length > 1 && rows.every(({ input }) => typeof input === 'string' && input.trim() !== '' && Number.isFinite(Number(input)))
  const tags = targetOf(options) === 'tags' && truncated === 0 ? rows.flatMap(({ target }) => target as readonly Label[]).filter((label) => label !== IGNORED_LABEL).length : 0
  const untold = Math.max(0, tags - (examples.tokenLabels ?? []).flatMap((row) => Array.from<Label>(row)).filter((label) => label !== IGNORED_LABEL).length)
  const isOwn = targetOf(options) === 'positive' && options.score === undefined ? rows.filter(({ input, target }) => (target as Partner).positive === input).length : 0
  const cut = inputOf(options) === 'messages' || targetOf(options) === 'answer' ? answersCut(examples) : 0
  const warnings = [
    ...(truncated === 0 ? [] : [`${truncated} of ${texts} texts are longer than maxLength ${options.maxLength}: their rest is cut off${options.tags === undefined ? '' : ', with its tags'}`]),
    ...(unknown === undefined ? [] : [unknown]),
    ...(contradicted === 0 ? [] : [`${contradicted} rows have the text of another row, and another label`]),
    ...(isNumbers ? ['every text is a number: is it the column that was meant?'] : []),
    ...(untold === 0 ? [] : [`${untold} of ${tags} words are none to the tokenizer, as empty ones are: their tags are not learned`]),
    ...(isOwn === 0 ? [] : [`${isOwn} of ${rows.length} positives are the text of the row itself`]),
    ...(cut === 0 ? [] : [`${cut} of ${rows.length} answers do not count: maxLength cuts them off`]),
  ]
  return { ...result, examples, warnings: [...result.warnings, ...warnings] }
}

/** Rows whose text has stood before, with another label. */
function contradictions(rows: readonly ReadRow[]): number {
  const labels = new Map<string, ReadRow['target']>()
  return rows.filter(({ input, target }) => {
    const text = input === undefined ? undefined : JSON.stringify(input)
    if (text === undefined || target === IGNORED_LABEL) return false
    if (!labels.has(text)) labels.set(text, target)
    return labels.get(text) !== target
  }).length
}

/** Keeps what is wrong with some rows, so that the others' problems are told with it. */
function unusable(error: unknown, problems: string[]): Examples {
  if (!(error instanceof InputError)) throw error
  problems.push(...error.problems)
  return {}
}

/** Rows of which maxLength has left nothing of an answer. */
function answersCut({ spans = [], tokenLabels = [] }: Examples): number {
  return [...spans, ...tokenLabels].filter((row) => Array.from<Label>(row).every((label) => label === IGNORED_LABEL)).length
}

function joined(parts: readonly Examples[]): Examples {
  const names = Object.keys(parts[0] ?? {}) as (keyof Examples)[]
  return Object.fromEntries(names.map((name) => [name, parts.flatMap((part) => part[name] as readonly Label[])]))
}
