// A process that is watched to its end: one that dies says nothing itself, and what is known of how has to be looked at while it lives.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { freemem } from 'node:os'

export interface Watched {
  readonly ok: boolean
  readonly stdout: string
  /** How it ended, by which signal, in how much memory, and what it said last. */
  readonly report: string
}

const LAST_LINES = 40

/** Runs Node on a file. */
export async function watched(file: string, ...args: readonly string[]): Promise<Watched> {
  const [begin, killedBefore] = [performance.now(), killedForMemory()]
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr, peak, least] = ['', '', '', freemem()]
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const look = setInterval(() => {
    peak = statusOf(child.pid).match(/VmHWM:\s*(.*)/)?.[1] ?? peak
    least = Math.min(least, freemem())
  }, 50)
  const how = await new Promise<string>((done) => {
    child.once('error', (error) => done(error.message))
    child.once('close', (code, signal) => done(signal === null ? `exit code ${code}` : `signal ${signal}`))
  })
  clearInterval(look)
  const killed = killedForMemory()
  return {
    ok: how === 'exit code 0', stdout,
    report: [
      `${how} after ${((performance.now() - begin) / 1000).toFixed(1)} s; its memory was at most ${peak === '' ? 'unknown' : peak}, that of the machine at least ${(least / 1e9).toFixed(1)} GB free`,
      `processes that the system ended for want of memory meanwhile: ${killed === undefined || killedBefore === undefined ? 'unknown' : killed - killedBefore}`,
      ...[['output', stdout], ['errors', stderr]].map(([name, text = '']) => `its last ${name}:\n${text.trimEnd().split('\n').slice(-LAST_LINES).join('\n')}`),
    ].join('\n'),
  }
}

function statusOf(pid: number | undefined): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

/** How many processes the system has ended for want of memory, of all and of this container. */
function killedForMemory(): number | undefined {
  const counts = ['/proc/vmstat', '/sys/fs/cgroup/memory.events'].flatMap((file) => {
    try {
      return Number(/^oom_kill (\d+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 0)
    } catch {
      return []
    }
  })
  return counts.length === 0 ? undefined : Math.max(...counts)
}
