import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { compiled } from '../../bench/process.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { nativeInstructionSets } from '../../src/base/engine/native.ts'
import { isRunning } from '../../src/base/files/lock.ts'
import type { Told } from './program.ts'

/** Whether processes can join each other here. */
export async function hasCollectives(): Promise<boolean> {
  await loadEngine()
  return process.platform === 'linux' && nativeInstructionSets().length > 0
}

/** What a worker printed. */
export interface Line {
  readonly rank: number
  readonly type: string
  readonly step: number
  readonly loss?: number
  readonly end?: string
  readonly weights?: readonly number[]
}

/** Launchers at work, of which each has started workers. */
export interface Team {
  readonly launchers: readonly number[]
  /** Notes which workers there are, so that the end of those whose launcher is gone is waited for. */
  readonly look: () => void
  /** Process of a worker, while it lives. */
  pidOf(rank: number): number | undefined
}

/** How a training of several processes ended. */
export interface Ended {
  readonly lines: readonly Line[]
  readonly stderr: string
  /** Of each launcher; null where a signal ended it. */
  readonly codes: readonly (number | null)[]
  /** When the last process was gone. */
  readonly at: number
  /** It had to be ended, as its time was over. */
  readonly hung: boolean
}

export interface LaunchOptions {
  /** Called when the processes have been started; may strike them later. */
  readonly onStart?: (team: Team) => void
  /** Called with each line that the first worker prints. */
  readonly onLine?: (line: Line, team: Team) => void
  /** Milliseconds after which everything is ended. */
  readonly limit?: number
}

let programs: Promise<readonly [main: string, program: string]> | undefined

/**
 * Runs program.ts by `tfjs-peft launch`, until the last of its workers is gone too.
 *
 * @param launchers the options of each launcher; several stand for as many machines
 */
export async function launched(launchers: readonly (readonly string[])[], told: Told, { onStart, onLine, limit = 120_000 }: LaunchOptions = {}): Promise<Ended> {
  programs ??= Promise.all([compiled('../src/cli/main'), compiled('../test/distributed/program')])
  const [main, program] = await programs
  const runs = launchers.map((options) => spawn(process.execPath, [main, 'launch', ...options, program, JSON.stringify(told)], { stdio: ['ignore', 'pipe', 'pipe'] }))
  const lines: Line[] = []
  let stderr = ''
  const seen = new Set<number>()
  const pids = runs.map(({ pid }) => pid ?? NaN)
  const look = (): void => pids.flatMap(childrenOf).forEach((pid) => seen.add(pid))
  const team: Team = {
    launchers: pids,
    look,
    pidOf(rank) {
      look()
      return [...seen].find((pid) => isRunning(pid) && rankOf(pid) === rank)
    },
  }
  for (const run of runs) {
    run.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    createInterface({ input: run.stdout }).on('line', (text) => {
      const [, rank = '', json = ''] = /^\[(\d+)\] (\{.*)$/.exec(text) ?? []
      if (json === '') return
      const line = { rank: Number(rank), ...(JSON.parse(json) as Omit<Line, 'rank'>) }
      if (lines.push(line) === 1) look()
      onLine?.(line, team)
    })
  }
  onStart?.(team)
  let hung = false
  const end = setTimeout(() => {
    hung = true
    look()
    for (const pid of [...seen, ...pids].filter(isRunning)) process.kill(pid, 'SIGKILL')
  }, limit)
  const codes = await Promise.all(runs.map((run) => new Promise<number | null>((done) => run.once('close', done))))
  while ([...seen].some(isRunning)) await wait(50)
  clearTimeout(end)
  return { lines, stderr, codes, at: performance.now(), hung }
}

/** Runs program.ts once for each environment, as a scheduler does. @returns what each prints, and its exit code */
export async function scheduled(environments: readonly NodeJS.ProcessEnv[], told: Told): Promise<readonly { readonly code: number | null; readonly text: string }[]> {
  programs ??= Promise.all([compiled('../src/cli/main'), compiled('../test/distributed/program')])
  const [, program] = await programs
  return await Promise.all(environments.map(async (env) => {
    const run = spawn(process.execPath, [program, JSON.stringify(told)], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [run.stdout, run.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part))
    const code = await new Promise<number | null>((done) => run.once('close', done))
    return { code, text }
  }))
}

/** The processes that one has started; none where it has ended. */
function childrenOf(pid: number): readonly number[] {
  try {
    return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).trim().split(/\s+/).map(Number)
  } catch {
    return []
  }
}

function rankOf(pid: number): number | undefined {
  try {
    const [, rank] = /(?:^|\0)TFJS_PEFT_RANK=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? []
    return rank === undefined ? undefined : Number(rank)
  } catch {
    return undefined
  }
}
