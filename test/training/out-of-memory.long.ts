import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

it('a process that trains with too little memory is warned before its first step, and keeps its weights and trains on after the one that fails', async () => {
  const run = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('out-of-memory.ts', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TF_CPU_BFC_MEM_LIMIT_IN_MB: '256' } })
  const said: Record<string, unknown>[] = []
  createInterface({ input: run.stdout }).on('line', (line) => said.push(JSON.parse(line) as Record<string, unknown>))
  await once(run, 'close')
  expect(said).toEqual([
    { type: 'warning', step: 0, text: expect.stringMatching(/^a step keeps at least \d+ MB for its way back, and \d+ MB of memory are left\. Take a smaller batchSize with accumulate, shorter rows, gradientCheckpointing: true, or a base with dtype: 'bfloat16'\.$/) as string },
    { type: 'error', name: 'TrainingError', unchanged: true, message: expect.stringMatching(/^Step 1: out of memory\. The weights and the optimiser are those of the step before\. Take a smaller batchSize/) as string },
    { type: 'trained on', changed: true },
  ])
})
