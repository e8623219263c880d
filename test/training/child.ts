import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TrainerEvent } from '../../src/training/events.ts'

const program = fileURLToPath(new URL('long-run.ts', import.meta.url))

/** Runs long-run.ts to its end, or sends it a signal at a step, some milliseconds later where `after` says so. */
export async function child(
  checkpoints: string,
  out: string,
  interrupt?: { readonly signal: NodeJS.Signals; readonly step: number; readonly after?: number },
): Promise<{ readonly lines: TrainerEvent[]; readonly stderr: string }> {
  const run = spawn(process.execPath, ['--import', 'tsx', program, checkpoints, out], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: TrainerEvent[] = []
  let stderr = ''
  run.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  createInterface({ input: run.stdout }).on('line', (line) => {
    const event = JSON.parse(line) as TrainerEvent
    lines.push(event)
    if (interrupt !== undefined && event.step === interrupt.step) setTimeout(() => run.kill(interrupt.signal), interrupt.after ?? 0)
  })
  await new Promise((done) => run.once('close', done))
  return { lines, stderr }
}
