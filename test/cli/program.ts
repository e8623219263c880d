import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** How a call of the program ended. */
export interface Ended {
  readonly code: number | null
  readonly output: string
}

/** What goes in, and who sees what has come out so far. */
interface Talk {
  readonly input?: string
  readonly look?: (output: string, interrupt: () => void) => void
}

/** Runs the program in a folder, with nothing over a network. */
export function runProgram(folder: string, args: readonly string[], { input, look }: Talk = {}): Promise<Ended> {
  const main = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...args], { cwd: folder, env: { ...process.env, HF_HUB_OFFLINE: '1' } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      look?.(output, () => child.kill('SIGINT'))
    })
  }
  child.stdin.end(input)
  return new Promise((resolve) => child.on('close', (code) => { resolve({ code, output }) }))
}
