import { execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { nativeInstructionSets } from '../../src/base/engine/native.ts'

/** Whether processes can join each other here. */
export async function hasCollectives(): Promise<boolean> {
  await loadEngine()
  return process.platform === 'linux' && nativeInstructionSets().length > 0
}

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const program = fileURLToPath(new URL('program.ts', import.meta.url))

/** What a worker printed. */
export interface Line {
  readonly rank: number
  readonly type: string
  readonly step: number
  readonly loss?: number
  readonly end?: string
  readonly weights?: readonly number[]
}

/** The workers that a launcher has started; none where it has ended. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).trim().split(/\s+/).map(Number)
  } catch {
    return []
  }
}

/** Runs program.ts by `tfjs-peft launch`. @param onLine may send signals to the launcher, or to what it has started */
export async function launched(
  options: readonly string[], args: readonly (string | number)[], onLine: (line: Line, launcher: number) => void = () => undefined,
): Promise<{ readonly lines: readonly Line[]; readonly stderr: string; readonly code: number | null; readonly at: number }> {
  const run = spawn(process.execPath, ['--import', 'tsx', main, 'launch', ...options, program, ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: Line[] = []
  let stderr = ''
  run.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  createInterface({ input: run.stdout }).on('line', (text) => {
    const [, rank = '', json = ''] = /^\[(\d+)\] (\{.*)$/.exec(text) ?? []
    if (json === '') return
    const line = { rank: Number(rank), ...(JSON.parse(json) as Omit<Line, 'rank'>) }
    lines.push(line)
    onLine(line, run.pid ?? 0)
  })
  const code = await new Promise<number | null>((done) => run.once('close', done))
  return { lines, stderr, code, at: performance.now() }
}
