// What a row of a data set has for a model: the same for `readExamples` and `streamBatches`.

import { InputError, shown } from '../errors.ts'
import type { Names } from '../base/options.ts'

/** The values of a column, by its name or made of the row. */
export type Column<Row> = (keyof Row & string) | ((row: Row) => unknown)

/**
 * Which columns of a row are what: `text`, `words`, `messages` or `image`, which may stand beside a text, and of the rest one at most. Values are texts or numbers, as they stand in the file;
 * undefined, null, '' and blanks alone are missing.
 */
export interface RowOptions<Row> {
  /** The text of a row, or the two of a pair. @default none */
  readonly text?: Column<Row> | readonly [Column<Row>, Column<Row>]
  /** In place of a text its words, a list, for `tags`. @default none */
  readonly words?: Column<Row>
  /**
   * In place of a text a conversation for a causal LM, a list of `{ role, content }`: written by the tokenizer's chat template, of which the
   * answers, messages of the role 'assistant', are learned. @default none
   */
  readonly messages?: Column<Row>
  /** A picture: the path of its file, its bytes, `{ bytes, path }` as Parquet data sets of the Hub have it, or its pixels. @default none */
  readonly image?: Column<Row>
  /**
   * Sequence classification: the class, by its name or, where `labels` are given, its number among them; −100 for a row that does not
   * count. @default none
   */
  readonly label?: Column<Row>
  /** Several labels a row: a list of those that it has. @default none */
  readonly labelSet?: Column<Row>
  /** Regression: a number, or several. @default none */
  readonly number?: Column<Row> | readonly Column<Row>[]
  /** Token classification: a list with the class of each word, by name or number; −100 for a word that does not count. @default none */
  readonly tags?: Column<Row>
  /**
   * Question answering, of the second text: `{ text, start }`, or as SQuAD has it, where empty lists mean that there is none. The start may
   * be left out where the text stands there once. One that `maxLength` cuts off does not count. @default none
   */
  readonly answer?: Column<Row>
  /** Encoder-decoders: the text that is to be written. @default none */
  readonly target?: Column<Row>
  /** Sentence embedding: the text that belongs to the row's. @default none */
  readonly positive?: Column<Row>
  /** Beside `positive`: a text, or a list of them, that looks as if it belonged to the row's and does not; a row may have none. @default none */
  readonly negative?: Column<Row> | readonly Column<Row>[]
  /** Beside `positive`: a number that says how alike the two are, for `cosineSimilarity` and `coSent`. @default none */
  readonly score?: Column<Row>
  /** Names of the classes by their number. @default those of the data in their order, numbers by size */
  readonly labels?: readonly string[]
  /** What becomes of rows that lack something: an error that says where, or they are left out. @default 'error' */
  readonly missing?: 'error' | 'drop'
  /** Most tokens of a row, special ones included. @default no limit */
  readonly maxLength?: number
}

export const ROW_OPTIONS: Names<RowOptions<unknown>> = {
  text: true, words: true, messages: true, image: true, label: true, labelSet: true, number: true, tags: true, answer: true, target: true, positive: true, negative: true, score: true, labels: true, missing: true, maxLength: true,
}

export const INPUTS = ['text', 'words', 'messages'] as const
type Input = (typeof INPUTS)[number]

/** What a model reads of the rows; nothing where they are pictures alone. */
export function inputOf<Row>(options: RowOptions<Row>): Input | undefined {
  return INPUTS.find((name) => options[name] !== undefined)
}

/** What stands beside a text that belongs to the row's. */
export const BESIDE_POSITIVE = ['negative', 'score'] as const

export const TARGETS = ['label', 'labelSet', 'number', 'tags', 'answer', 'target', 'positive'] as const
export type Target = (typeof TARGETS)[number]

/** What is learned of the rows; nothing where they have only a text. */
export function targetOf<Row>(options: RowOptions<Row>): Target | undefined {
  return TARGETS.find((name) => options[name] !== undefined)
}

/** @throws InputError when it is none, with what was forgotten */
export function checkDataset(caller: string, dataset: unknown): void {
  if (typeof dataset === 'object' && dataset !== null && 'rows' in dataset) return
  const got = dataset instanceof Promise ? 'a promise; await it, as in await hubDataset(id)' : Array.isArray(dataset) ? 'a list; datasetOf(rows) makes one of it' : shown(dataset)
  throw new InputError(`${caller}: expected a data set, as csv(path) is one, got ${got}.`)
}

/** @throws InputError with all that is wrong with the options */
export function checkRowOptions<Row>(caller: string, options: RowOptions<Row>): void {
  const { text, words, messages, image, answer, tags, labels, missing = 'error' } = options
  const problems: string[] = []
  const given = TARGETS.filter((name) => options[name] !== undefined)
  const isColumn = (column: unknown): boolean => typeof column === 'string' || typeof column === 'function'
  for (const name of [...INPUTS, 'image', ...TARGETS, ...BESIDE_POSITIVE] as const) {
    const column: unknown = options[name]
    const columns = name === 'text' || name === 'number' || name === 'negative' ? [column].flat() : [column]
    if (column !== undefined && !columns.every(isColumn)) problems.push(`${name}: expected the name of a column, or a function of the row, got ${shown(column)}`)
  }
  const inputs = INPUTS.filter((name) => options[name] !== undefined)
  const pictureless = [words, messages, tags, answer, options.target, options.positive].some((column) => column !== undefined)
  if (image === undefined && inputs.length !== 1) problems.push(`${INPUTS.join(', ')}, image: expected one of them`)
  if (image !== undefined && (pictureless || Array.isArray(text))) problems.push('image: expected at most a text beside it, and label, labelSet or number')
  if (messages !== undefined && given.length > 0) problems.push(`${given.join(', ')}: expected none beside messages, whose answers are what is learned`)
  if (given.length > 1) problems.push(`${given.join(', ')}: expected one of them, for one task`)
  if (Array.isArray(text) && text.length !== 2) problems.push(`text: expected one column, or two for a pair, got ${text.length}`)
  if ((tags !== undefined) && words === undefined) problems.push('tags: expected words beside them')
  if (answer !== undefined && !Array.isArray(text)) problems.push("answer: expected a pair of texts beside it, as in text: ['question', 'context']")
  if (options.target !== undefined && text === undefined) problems.push('target: expected text beside it, which is read')
  const beside = BESIDE_POSITIVE.filter((name) => options[name] !== undefined)
  if (beside.length > 0 && options.positive === undefined) problems.push(`${beside.join(', ')}: expected positive beside it, the text that belongs to the row's`)
  if (beside.length > 1) problems.push('negative: expected none beside score; a pair that does not belong together is one with a low score')
  if (missing !== 'error' && (missing as string) !== 'drop') problems.push(`missing: expected 'error' or 'drop', got ${shown(missing)}`)
  if (labels !== undefined && !(Array.isArray(labels) && labels.length > 0 && labels.every((label) => typeof label === 'string') && new Set(labels).size === labels.length)) {
    problems.push(`labels: expected names of classes that differ, got ${shown(labels)}`)
  }
  if (problems.length > 0) throw new InputError(`${caller}: the options cannot be used:`, problems)
}
