// Two JavaScript threads of one process run fused kernels at the same time: one has the pool, the other computes by itself.

import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { nativeInstructionSets } from '../../../src/base/engine/native.ts'

process.env['TF_NUM_INTRAOP_THREADS'] = '2' // the kernels' pool reads it once, when it is made
await loadEngine()

interface Answer {
  readonly first: readonly number[]
  readonly different: number
  /** Of products below the smallest normal number, one a row. */
  readonly tiny: readonly number[]
  readonly threads: number
}

/** Runs the same kernels many times in a thread of its own. */
async function runWorker(): Promise<Answer> {
  const worker = new Worker(fileURLToPath(new URL('native-worker.mjs', import.meta.url)))
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

describe.runIf(nativeInstructionSets().length > 0)('the pool of threads', () => {
  it('gives two workers that use it at once the same numbers every time', async () => {
    const [a, b] = await Promise.all([runWorker(), runWorker()])
    expect(a.first.length).toBeGreaterThan(0)
    expect([a.different, b.different]).toEqual([0, 0])
    expect(b.first).toEqual(a.first)
    expect([a.threads, b.threads]).toEqual([2, 2])
  })

  it('takes numbers below the smallest normal one for zero in every thread', async () => {
    const { tiny } = await runWorker()
    expect(new Set(tiny)).toEqual(new Set([0]))
  })
})
