// Starts the workers of one machine, and ends all of them where one fails.

import { spawn, type ChildProcess } from 'node:child_process'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Addresses } from './addresses.ts'
import { RANK, WORKERS } from './place.ts'

/** Milliseconds that workers have to end by themselves when one has failed. */
const GRACE = 4000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface Worker {
  readonly rank: number
  readonly child: ChildProcess
}

/**
 * Runs a program once for each worker of this machine, which share its processors; each line that they print begins with the worker's
 * number. Signals are passed on to all. Where one fails the others are ended.
 *
 * @param program a file that Node runs
 * @returns the exit code: that of the first worker that failed, or 0
 */
export async function launch({ all, own }: Addresses, program: string, args: readonly string[]): Promise<number> {
  const threads = String(Math.max(1, Math.floor(availableParallelism() / own.length)))
  const workers: Worker[] = []
  const tell = (signal: NodeJS.Signals): void => workers.forEach(({ child }) => send(child, signal))
  for (const signal of SIGNALS) process.on(signal, tell) // before there is anyone who would be left behind
  for (const rank of own) {
    const env = {
      TF_NUM_INTRAOP_THREADS: threads, TF_NUM_INTEROP_THREADS: threads, TF_CPP_MIN_LOG_LEVEL: '3', // its errors come as the program's own
      ...process.env, [RANK]: String(rank), [WORKERS]: all.join(','),
    }
    // A group of its own: of Ctrl-C in a terminal each hears once, from here.
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    forward(child.stdout, process.stdout, rank)
    forward(child.stderr, process.stderr, rank)
    workers.push({ rank, child })
  }
  let failed: number | undefined
  let end: NodeJS.Timeout | undefined
  try {
    await Promise.all(workers.map(async ({ rank, child }) => {
      const { code, how } = await ended(child)
      if (code === 0 || failed !== undefined) return
      failed = code
      const others = workers.some((other) => isRunning(other.child)) ? '; the others are ended' : ''
      process.stderr.write(`tfjs-peft: worker ${rank} (${all[rank] ?? ''}) ended with ${how}${others}\n`)
      tell('SIGTERM')
      end = setTimeout(() => tell('SIGKILL'), GRACE)
    }))
    return failed ?? 0
  } finally {
    clearTimeout(end)
    for (const signal of SIGNALS) process.off(signal, tell)
  }
}

function forward(from: Readable, to: Writable, rank: number): void {
  createInterface({ input: from }).on('line', (line) => to.write(`[${rank}] ${line}\n`))
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function send(child: ChildProcess, signal: NodeJS.Signals): void {
  if (isRunning(child)) child.kill(signal)
}

async function ended(child: ChildProcess): Promise<{ readonly code: number; readonly how: string }> {
  return await new Promise((done) => {
    child.once('error', (error) => done({ code: 1, how: error.message }))
    child.once('close', (code, signal) => done(signal === null ? { code: code ?? 1, how: `exit code ${code ?? 'none'}` } : { code: 128 + constants.signals[signal], how: signal }))
  })
}
