// Starts the workers of one machine, and ends all of them where one fails.

import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Addresses } from './addresses.ts'
import { deviceOf } from './devices.ts'
import { RANK, WORKERS } from './place.ts'

/** Milliseconds that workers have to end by themselves when one has failed, and that output may come behind a worker's end. */
const GRACE = 4000

/** Share of one processor below which a worker does nothing: servers and timers take a little. */
const IDLE = 0.01

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface Worker {
  readonly rank: number
  readonly child: ChildProcess
}

/** How `launch` waits. */
export interface LaunchOptions {
  /** Seconds that a worker may do nothing once another has ended by itself. */
  readonly timeout: number
}

/**
 * Runs a program once for each worker of this machine, which share its processors; each line that they print begins with the worker's
 * number. Signals are passed on to all. Where one fails the others are ended; so are those that stand still when one has ended well.
 *
 * @param program a file that Node runs
 * @returns the exit code: that of the first worker that failed, or 0
 */
export async function launch({ all, own }: Addresses, program: string, args: readonly string[], { timeout }: LaunchOptions): Promise<number> {
  const threads = String(Math.max(1, Math.floor(availableParallelism() / own.length)))
  const workers: Worker[] = []
  const tell = (signal: NodeJS.Signals): void => workers.forEach(({ child }) => send(child, signal))
  for (const signal of SIGNALS) process.on(signal, tell) // before there is anyone who would be left behind
  // Ctrl-Z and fg, which the terminal tells this process alone.
  const pause = (): void => {
    tell('SIGSTOP')
    process.kill(process.pid, 'SIGSTOP')
  }
  const goOn = (): void => tell('SIGCONT')
  process.on('SIGTSTP', pause).on('SIGCONT', goOn)
  for (const rank of own) {
    const env = {
      TF_NUM_INTRAOP_THREADS: threads, TF_NUM_INTEROP_THREADS: threads, TF_CPP_MIN_LOG_LEVEL: '3', // its errors come as the program's own
      ...process.env, ...deviceOf(rank - (own[0] ?? 0), process.env), [RANK]: String(rank), [WORKERS]: all.join(','),
    }
    // A group of its own: of Ctrl-C in a terminal each hears once, from here.
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    forward(child.stdout, process.stdout, rank)
    forward(child.stderr, process.stderr, rank)
    workers.push({ rank, child })
  }
  // Where nobody reads any more, the workers find it out as they would by themselves.
  const lose = (): void => workers.forEach(({ child }) => { child.stdout?.destroy() })
  process.stdout.on('error', lose)
  let failed: number | undefined
  let end: NodeJS.Timeout | undefined
  let watch: NodeJS.Timeout | undefined
  const fail = (code: number, why: string): void => {
    failed = code
    process.stderr.write(`tfjs-peft: ${why}\n`)
    tell('SIGTERM')
    end = setTimeout(() => tell('SIGKILL'), GRACE)
  }
  try {
    await Promise.all(workers.map(async ({ rank, child }) => {
      const { code, how } = await ended(child)
      const others = workers.filter((other) => isRunning(other.child))
      if (failed !== undefined) return
      if (code !== 0) fail(code, `worker ${rank} (${all[rank] ?? ''}) ended with ${how}${others.length > 0 ? '; the others are ended' : ''}`)
      else if (others.length > 0) {
        watch ??= watchIdle(workers, timeout, (idle) => {
          if (failed === undefined) fail(1, `${idle.map((each) => `worker ${each} (${all[each] ?? ''})`).join(', ')} did nothing for ${timeout} seconds after another had ended; it is ended`)
        })
      }
    }))
    return failed ?? 0
  } finally {
    clearTimeout(end)
    clearInterval(watch)
    process.stdout.off('error', lose)
    for (const signal of SIGNALS) process.off(signal, tell)
    process.off('SIGTSTP', pause).off('SIGCONT', goOn)
  }
}

/** Tells, each so many seconds, which workers have stood still in them. */
function watchIdle(workers: readonly Worker[], seconds: number, tell: (ranks: readonly number[]) => void): NodeJS.Timeout {
  const worked = (): readonly number[] => workers.map(({ child }) => processorSeconds(child.pid))
  let before = worked()
  return setInterval(() => {
    const now = worked()
    const idle = workers.flatMap(({ rank, child }, i) => (isRunning(child) && (now[i] ?? NaN) - (before[i] ?? NaN) < IDLE * seconds ? [rank] : []))
    before = now
    if (idle.length > 0) tell(idle)
  }, seconds * 1000)
}

/** That a process has worked, with all its threads; NaN where the system does not say. */
function processorSeconds(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100 // Linux tells user and system time in hundredths, whatever it counts in
  } catch {
    return NaN
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
    // What a worker has started may hold its output open for ever.
    child.once('exit', () => setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream?.destroy()), GRACE).unref())
    child.once('close', (code, signal) => done(signal === null ? { code: code ?? 1, how: `exit code ${code ?? 'none'}` } : { code: 128 + constants.signals[signal], how: signal }))
  })
}
