// Two JavaScript threads of one process run fused kernels at the same time: one has the pool, the other computes by itself. The process is
// one of its own: where it dies, this one says how.

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { nativeInstructionSets } from '../../../src/base/engine/native.ts'
import { temporaryFolder } from '../../temporary-folder.ts'
import { watched } from './watched-process.ts'

process.env['TF_NUM_INTRAOP_THREADS'] = '2' // the kernels' pool reads it once, when it is made
await loadEngine()
const temporary = temporaryFolder()

interface Answer {
  readonly first: readonly number[]
  readonly different: number
  /** Of products below the smallest normal number, one a row. */
  readonly tiny: readonly number[]
  readonly threads: number
}

/** What threads tell that each run the same kernels many times, beside each other. */
async function runWorkers(count: number): Promise<readonly Answer[]> {
  const { ok, stdout, report } = await watched(fileURLToPath(new URL('native-workers-run.mjs', import.meta.url)), String(count))
  expect(ok, `the process of ${count} threads: ${report}`).toBe(true)
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as readonly Answer[]
}

describe.runIf(nativeInstructionSets().length > 0)('the pool of threads', () => {
  it('gives two workers that use it at once the same numbers every time', async () => {
    const [a, b] = await runWorkers(2)
    expect(a?.first.length).toBeGreaterThan(0)
    expect([a?.different, b?.different]).toEqual([0, 0])
    expect(b?.first).toEqual(a?.first)
    expect([a?.threads, b?.threads]).toEqual([2, 2])
  })

  it('takes numbers below the smallest normal one for zero in every thread', async () => {
    const [one] = await runWorkers(1)
    expect(new Set(one?.tiny)).toEqual(new Set([0]))
  })
})

describe('a process that is watched', () => {
  const ending = async (program: string): Promise<string> => {
    const file = temporary('ends.mjs')
    writeFileSync(file, program)
    return (await watched(file)).report
  }

  it('is told of by its signal or exit code, its memory, and what it said last', async () => {
    expect(await ending('console.error("before"); process.kill(process.pid, "SIGSEGV"); setInterval(() => undefined, 1000)')).toMatch(/^signal SIGSEGV after [^]*want of memory meanwhile: (\d+|unknown)[^]*its last errors:\nbefore$/)
    expect(await ending('console.log("word"); setTimeout(() => process.exit(7), 300)')).toMatch(/^exit code 7 after [\d.]+ s; its memory was at most \d+ kB[^]*its last output:\nword\n/)
  })
})
