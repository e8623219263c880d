// The other side of image-threads.ts: reads, decodes and resamples in a thread of its own.

import { parentPort, type Transferable } from 'node:worker_threads'
import { InputError } from '../../errors.ts'
import { decode } from './decode.ts'
import type { ImageAnswer, ImageQuestion } from './image-threads.ts'
import { pixelsOf } from './prepare.ts'

/** One picture is decoded, by sharp's threads, while another is resampled; more would only take memory. */
const lanes = [Promise.resolve(), Promise.resolve()]
let count = 0

parentPort?.on('message', ({ id, ...question }: ImageQuestion & { readonly id: number }) => {
  const lane = count++ % lanes.length // not by id: every other picture may be another thread's
  lanes[lane] = (lanes[lane] ?? Promise.resolve()).then(async () => {
    const answer = await answerTo(question)
    const own: Transferable[] = 'pixels' in answer ? [answer.pixels.buffer as ArrayBuffer] : []
    parentPort?.postMessage({ id, answer }, own)
  })
})

async function answerTo({ source, settings, maxPixels }: ImageQuestion): Promise<ImageAnswer> {
  try {
    return pixelsOf(await decode(source, maxPixels), settings, maxPixels)
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    return { problem: error.message }
  }
}
