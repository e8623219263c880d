// The other side of stream-batches.ts: turns texts into tokens in a thread of its own.

import { parentPort, workerData } from 'node:worker_threads'
import { loadTokenizer } from '../base/tokenizer/tokenizer.ts'
import { encoded, type Question } from './row-tokens.ts'
import type { Answer } from './stream-batches.ts'

const tokenizer = loadTokenizer(workerData as string)

parentPort?.on('message', (question: Question) => {
  void answer(question).then((message) => parentPort?.postMessage(message))
})

async function answer(question: Question): Promise<Answer> {
  try {
    return encoded(await tokenizer, question)
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
