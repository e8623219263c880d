// Where a job's rows come from: by what the name is.

import { statSync } from 'node:fs'
import { InputError } from '../../errors.ts'
import { csv } from '../../data/csv.ts'
import { splitByHash, type Dataset, type Row } from '../../data/dataset.ts'
import { hubDataset } from '../../data/hub-dataset.ts'
import { imageFolder } from '../../data/image-folder.ts'
import { json } from '../../data/json.ts'
import { jsonLines } from '../../data/json-lines.ts'
import { parquet } from '../../data/parquet.ts'
import { linesOf, MAX_ROW_BYTES } from '../../data/text-file.ts'
import { placed } from '../../data/where.ts'
import type { JobData } from './job.ts'

const READERS: Readonly<Record<string, (path: string) => Dataset>> = {
  csv, tsv: (path) => csv(path, { separator: '\t' }), json, jsonl: jsonLines, ndjson: jsonLines, parquet, txt: textLines,
}
const HUB = 'hub:'

/**
 * The rows of a file, a folder of pictures or a data set of the Hub.
 *
 * @throws InputError where it is none of them; what its reader throws
 */
export async function openRows(name: string, of: Pick<JobData, 'split' | 'config'> = {}): Promise<Dataset> {
  if (name.startsWith(HUB)) return hubDataset(name.slice(HUB.length), of)
  const status = statSync(name, { throwIfNoEntry: false })
  if (status?.isDirectory() === true) return imageFolder(name)
  const kind = /\.(\w+)(\.gz)?$/.exec(name)?.[1]?.toLowerCase() ?? ''
  const read = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined
  if (read !== undefined) return read(name)
  throw new InputError(`data: expected a file whose name ends in ${Object.keys(READERS).map((each) => `.${each}`).join(', ')}, a folder of pictures, or a data set of the Hub as ${HUB}owner/name; got ${name}${status === undefined ? ', which is not there' : ''}.`)
}

/** The rows to train on, and those to measure on. */
export async function rowsOf(data: JobData): Promise<{ readonly train: Dataset; readonly evaluate?: Dataset }> {
  const all = await openRows(data.train, data)
  if (typeof data.evaluate === 'string') return { train: all, evaluate: await openRows(data.evaluate, data) }
  return data.evaluate === undefined ? { train: all } : splitByHash(all, (row) => JSON.stringify(keyOf(row, data)), data.evaluate)
}

/** Rows of one text are on one side. */
function keyOf(row: Row, { text, words, messages, image }: JobData): unknown {
  const columns = [text ?? words ?? messages ?? image ?? []].flat()
  return columns.map((column) => row[column])
}

/** A row for each line that has something, in the column `text`. */
function textLines(path: string): Dataset {
  return {
    async *rows(from = 0) {
      let index = 0
      for await (const { text, line } of linesOf(path, MAX_ROW_BYTES)) {
        for (const [i, each] of text.split('\n').entries()) if (each.trim() !== '' && index++ >= from) yield placed({ text: each }, `${path}: line ${line + i}`)
      }
    },
  }
}

