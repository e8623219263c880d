// Threads that decode and resample, shared by all who ask: they are started when there is work, and do not keep a program from its end.

import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { newThread } from '../files/thread.ts'
import type { PictureSource } from './picture.ts'
import type { ImageSettings, PreparedPicture } from './prepare.ts'

export interface ImageQuestion {
  readonly source: PictureSource
  readonly settings: ImageSettings
  readonly maxPixels: number
}

/** A picture for the model, or what is wrong with it. */
export type ImageAnswer = PreparedPicture | { readonly problem: string }

interface Job {
  readonly question: ImageQuestion
  readonly done: (answer: ImageAnswer) => void
}

interface Thread {
  readonly worker: Worker
  /** By number. */
  readonly jobs: Map<number, Job>
}

/** A core is left for the training. */
const MOST = Math.max(1, Math.min(4, availableParallelism() - 1))
/** Pictures that a thread is handed at a time: a batch of them, because nothing is handed out while a step is computed. */
const EACH = 64

const threads: Thread[] = []
const waiting: Job[] = []
let number = 0

/** @returns what the picture became, or what is wrong with it */
export async function inThread(question: ImageQuestion): Promise<ImageAnswer> {
  if (threads.length === 0) await import('sharp') // before any thread does: its library is to stay in memory when a thread ends
  return await new Promise((done) => {
    waiting.push({ question, done })
    handOut()
  })
}

function handOut(): void {
  for (let job = waiting[0]; job !== undefined; job = waiting[0]) {
    const least = [...threads].sort((a, b) => a.jobs.size - b.jobs.size)[0]
    const thread = least === undefined || (least.jobs.size > 0 && threads.length < MOST) ? start() : least
    if (thread.jobs.size >= EACH) return
    waiting.shift()
    thread.jobs.set(number, job)
    thread.worker.ref()
    const { source, own } = alone(job.question.source)
    thread.worker.postMessage({ id: number++, ...job.question, source }, own)
  }
}

/** A copy that the thread takes over: of a picture within a larger array the whole array would go along. */
function alone(source: PictureSource): { readonly source: PictureSource; readonly own: ArrayBuffer[] } {
  if ('path' in source) return { source, own: [] }
  const copy = new Uint8Array('data' in source ? source.data : source.bytes)
  return { source: 'data' in source ? { ...source, data: copy } : { bytes: copy }, own: [copy.buffer] }
}

function start(): Thread {
  const thread: Thread = { worker: newThread('image-worker', import.meta.url), jobs: new Map() }
  const { worker, jobs } = thread
  worker.on('message', ({ id, answer }: { readonly id: number; readonly answer: ImageAnswer }) => {
    const job = jobs.get(id)
    jobs.delete(id)
    if (jobs.size === 0) worker.unref()
    job?.done(answer)
    handOut()
  })
  worker.on('error', (cause) => {
    threads.splice(threads.indexOf(thread), 1)
    for (const { done } of jobs.values()) done({ problem: `cannot be decoded: ${cause.message}` })
    jobs.clear()
    handOut()
  })
  threads.push(thread)
  return thread
}
