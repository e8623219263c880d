import { stat } from 'node:fs/promises'
import type { Worker } from 'node:worker_threads'
import { newThread } from '../base/files/thread.ts'
import { InputError } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'
import { checkPath, unreadable } from './no-file.ts'
import { placed } from './where.ts'
import { checkNames } from '../base/options.ts'

/** How a Parquet file is read. */
export interface ParquetOptions {
  /** Milliseconds that one row group may take, after which the file counts as damaged. @default 20000, and 200 for each MB of the file */
  readonly timeout?: number
}

/** A file to read, the next rows of it, or its end. */
export type ParquetQuestion = { readonly path: string; readonly columns: readonly string[] | undefined; readonly from: number } | 'next' | 'close'

/** Some rows, none at the end, or what is wrong with the file. */
export type ParquetAnswer = { readonly rows: Row[] | undefined } | { readonly problem: string }

/**
 * Rows of a Parquet file, one row group in memory at a time, read in a thread of their own. 64-bit integers come as numbers where
 * these are exact, as bigint beyond 2^53; texts (the logical types STRING, ENUM and JSON) as such, other binary columns, as those of
 * pictures, as Uint8Array. Starting at a later row reads nothing of the groups before it.
 *
 * @param columns to read, which spares the others @default all
 * @throws InputError, with the file and where there is one the row group and the column, when the file is no Parquet file, is damaged
 *   or lacks a column; where there is no such file, with what is there
 * @example
 * const rows = parquet('train.parquet', ['text', 'label']).rows()
 */
export function parquet(path: string, columns?: readonly string[], options: ParquetOptions = {}): Dataset {
  checkPath('parquet', path)
  checkNames('parquet', options, { timeout: true })
  const { timeout } = options
  return {
    async *rows(from = 0) {
      const status = await stat(path).catch(async (cause: unknown) => { throw await unreadable(path, cause) })
      if (!status.isFile()) throw new InputError(`${path}: expected a Parquet file, got ${status.isDirectory() ? 'a folder' : 'something that is no file'}.`)
      const patience = timeout ?? 20_000 + 200 * (status.size / 2 ** 20)
      const worker = idle.pop() ?? newReader()
      let answers = false
      let row = from
      try {
        for (let question: ParquetQuestion = { path, columns, from }; ; question = 'next') {
          answers = false
          const answer = await ask(worker, question, path, patience)
          answers = true
          if ('problem' in answer) throw new InputError(`${path}: ${answer.problem}`)
          if (answer.rows === undefined) return
          for (const each of answer.rows) yield placed(each, `${path}: row ${row++}`)
        }
      } finally {
        if (answers && idle.length === 0) await ask(worker, 'close', path, patience).then(() => idle.push(worker))
        else await worker.terminate()
      }
    },
  }
}

/** A thread that has read its file, for the next one. */
const idle: Worker[] = []

function newReader(): Worker {
  const worker = newThread('parquet-worker', import.meta.url)
  worker.once('exit', () => idle.splice(0, idle.length, ...idle.filter((other) => other !== worker)))
  return worker
}

async function ask(worker: Worker, question: ParquetQuestion, path: string, patience: number): Promise<ParquetAnswer> {
  worker.ref()
  try {
    return await new Promise((done, fail) => {
      const broken = (cause: Error): void => {
        settle()
        fail(new InputError(`${path}: the Parquet file is damaged, or its row groups do not fit in memory: ${cause.message}`, [], { cause }))
      }
      const answered = (answer: ParquetAnswer): void => {
        settle()
        done(answer)
      }
      const late = new InputError(`${path}: a row group was not read within ${patience / 1000} s: the file is damaged, or larger than this machine can read in time. Where it is sound, raise timeout.`)
      // An answer that came while this thread was busy is taken before the time is up.
      const timer = setTimeout(() => setImmediate(fail, late), patience)
      const settle = (): void => {
        clearTimeout(timer)
        worker.off('message', answered).off('error', broken)
      }
      worker.once('error', broken).once('message', answered).postMessage(question)
    })
  } finally {
    worker.unref() // a reader that stops in the middle does not keep the program from its end
  }
}
