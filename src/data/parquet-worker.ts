// The other side of parquet.ts: reads in a thread of its own, which can be ended when a damaged file keeps it busy.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { InputError } from '../errors.ts'
import type { Row } from './dataset.ts'
import type { ParquetAnswer, ParquetQuestion } from './parquet.ts'
import { readParquet } from './parquet-read.ts'

let parts: AsyncGenerator<Row[], void> | undefined

parentPort?.on('message', (question: ParquetQuestion) => {
  void answerTo(question).then((answer) => parentPort?.postMessage(answer))
})

async function answerTo(question: ParquetQuestion): Promise<ParquetAnswer> {
  try {
    if (question === 'close') {
      await parts?.return()
      return { rows: [] }
    }
    if (question !== 'next') parts = readParquet(question.path, question.columns, question.from)
    const { done, value } = (await parts?.next()) ?? { done: true }
    return { rows: done === true ? undefined : value }
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    await nextTurn() // a second failure of the library, which nobody waits for, ends this thread before it is used again
    return { problem: error.message }
  }
}
