// The other side of stream-batches.ts: turns texts into tokens in a thread of its own.

import { parentPort, workerData } from 'node:worker_threads'
import type { EncodeOptions } from '../base/tokenizer/encode.ts'
import { loadTokenizer } from '../base/tokenizer/tokenizer.ts'
import type { Answer, Question } from './stream-batches.ts'

const { source, options } = workerData as { readonly source: string; readonly options: EncodeOptions }
const tokenizer = loadTokenizer(source)

parentPort?.on('message', (texts: Question) => {
  void answer(texts).then((message) => parentPort?.postMessage(message))
})

async function answer(texts: Question): Promise<Answer> {
  try {
    const { ids, typeIds } = (await tokenizer).encode(texts, options)
    return { ids, typeIds }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
