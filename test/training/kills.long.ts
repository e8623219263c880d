import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { int, randomStream } from '../../src/base/random.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { child } from './child.ts'

const temporary = temporaryFolder()
const KILLS = 20
const STEPS = 36 // of long-run.ts
const EVERY = 3 // steps between its checkpoints

it('a process killed at twenty random moments ends with the very weights of one that was left alone', async () => {
  await child(temporary('whole'), temporary('whole.safetensors'))
  const random = randomStream(0, 'kills')
  let reached = 0
  for (let kills = 0; kills < KILLS; kills++) {
    const step = Math.min(reached + 1 + int(random, 3), STEPS - 1)
    const { lines } = await child(temporary('killed'), temporary('killed.safetensors'), { signal: 'SIGKILL', step, after: int(random, 40) })
    expect(lines.find(({ type }) => type === 'resume')?.step ?? 0).toBeGreaterThanOrEqual(reached - EVERY)
    reached = Math.max(reached, lines.at(-1)?.step ?? 0)
  }
  await child(temporary('killed'), temporary('killed.safetensors'))
  const digest = (name: string): string => createHash('sha256').update(readFileSync(temporary(name))).digest('hex')
  expect(digest('killed.safetensors')).toBe(digest('whole.safetensors'))
})
