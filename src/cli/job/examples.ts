// A job's rows as a model takes them.

import type { Task } from '../../base/architecture.ts'
import type { ImageProcessor } from '../../base/image/processor.ts'
import type { Model } from '../../base/model.ts'
import type { Tokenizer } from '../../base/tokenizer/tokenizer.ts'
import type { Dataset, Row } from '../../data/dataset.ts'
import { InputError } from '../../errors.ts'
import { prepareBatches, type BatchSource, type Examples } from '../../training/batches.ts'
import { corruptSpans } from '../../training/corrupt-spans.ts'
import { maskTokens } from '../../training/mask-tokens.ts'
import { readExamples, type ReadExamples, type ReadOptions } from '../../training/read-examples.ts'
import { ROW_OPTIONS } from '../../training/row-options.ts'
import type { JobData } from './job.ts'

/** Tokens of a row where the job does not say. */
export const MAX_LENGTH = 512

/** What reads rows: the tokenizer of those with texts, the processor of those with pictures. */
export interface Readers {
  readonly tokenizer?: Tokenizer
  readonly processor?: ImageProcessor
}

/** The columns that say what is learned, and what that makes of a model. */
const TASK_OF: readonly (readonly [column: keyof JobData, task: Task])[] = [
  ['messages', 'causal-lm'], ['target', 'seq2seq-lm'], ['tags', 'token-classification'], ['answer', 'question-answering'], ['positive', 'sentence-embedding'],
]

/** @throws InputError where the columns do not tell */
export function taskOf(asked: Task | undefined, data: JobData): Task {
  if (asked !== undefined) return asked
  const found = TASK_OF.find(([column]) => data[column] !== undefined)?.[1]
  if (found !== undefined) return found
  const classes = data.label !== undefined || data.labelSet !== undefined || data.number !== undefined
  if (classes) return data.image === undefined ? 'sequence-classification' : 'image-classification'
  if (data.image !== undefined && data.text !== undefined) return 'image-text'
  throw new InputError("The job cannot be used: task: expected one, such as 'causal-lm', 'masked-lm' or 'seq2seq-lm', beside columns that say nothing of what is learned; or a column: label, tags, answer, positive, messages, target.")
}

/**
 * Reads rows by the job's columns.
 *
 * @param labels of the classes, where they are known
 * @throws InputError as `readExamples`
 */
export async function readRows(rows: Dataset, data: JobData, readers: Readers, labels?: readonly string[]): Promise<ReadExamples> {
  const columns = Object.fromEntries(Object.entries(data).filter(([name]) => Object.hasOwn(ROW_OPTIONS, name)))
  const options: ReadOptions<Row> = {
    ...columns, ...readers, ...(readers.tokenizer === undefined ? {} : { maxLength: data.maxLength ?? MAX_LENGTH }), ...(labels === undefined || labels.length === 0 || !isClassed(data) ? {} : { labels }),
  }
  return await readExamples(rows, options)
}

const isClassed = ({ label, labelSet, tags }: JobData): boolean => [label, labelSet, tags].some((column) => column !== undefined)

/** Rows as a model learns them: of masked words, and of an encoder-decoder without texts to write, batches in which others are hidden in each epoch. */
export function asTask(model: Model, rows: Examples, { tokenizer }: Readers, { batchSize = 32, bucketWindow = 1, seed = 0 }: Batching = {}): Examples | BatchSource {
  const { task } = model.parts
  if (tokenizer === undefined || (task !== 'masked-lm' && (task !== 'seq2seq-lm' || rows.targets !== undefined))) return rows
  const transform = task === 'masked-lm' ? maskTokens({ tokenizer, seed }) : corruptSpans({ model, tokenizer, seed })
  return prepareBatches(rows, { batchSize, bucketWindow, order: { seed }, transform })
}

/** Of a job. */
interface Batching {
  readonly batchSize?: number
  readonly bucketWindow?: number
  readonly seed?: number
}
