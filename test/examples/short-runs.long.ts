import { readdir } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'
import { run } from './run.ts'

const temporary = temporaryFolder()

it('the example of tasks one after the other prints what is left of each, without and with EWC', async () => {
  const printed = await run('tasks-with-ewc.ts', '--steps', '1')
  expect(printed.match(/^( {2}[01]\.\d\d){3}$/gm)).toHaveLength(6)
  expect(printed.match(/average [\d.]+, forgetting -?[\d.]+/g)).toHaveLength(2)
})

it('the example of tasks one after the other forgets the first as it comes, and keeps it with EWC while it learns the others', async () => {
  const [plain, guarded] = (await run('tasks-with-ewc.ts')).split('with EWC').map((part) => {
    const rows = [...part.matchAll(/^ {2}([01]\.\d\d) {2}([01]\.\d\d) {2}([01]\.\d\d)$/gm)].map((row) => row.slice(1).map(Number))
    return { learned: rows.map((row, i) => row[i] ?? NaN), last: rows.at(-1) ?? [] }
  })
  expect(plain?.last[0]).toBeLessThanOrEqual(0.8)
  expect(guarded?.last[0]).toBeGreaterThanOrEqual(0.95)
  for (const each of [plain, guarded]) for (const share of each?.learned ?? []) expect(share).toBeGreaterThanOrEqual(0.9)
})

it('the example of combined adapters measures each way and saves one', async () => {
  const printed = await run('combine-adapters.ts', '--steps', '1', '--out', temporary('combined'))
  expect(printed.match(/food [01]\.\d\d {2}films [01]\.\d\d$/gm)).toHaveLength(8)
  const [cat, merged] = ["combined by 'cat'", 'merged'].map((title) => printed.split('\n').find((line) => line.startsWith(title))?.slice(26))
  expect(merged).toBe(cat)
  expect(await readdir(temporary('combined'))).toContain('adapter_model.safetensors')
})

it('the chain from nothing to a task leaves a checkpoint of each stage, and goes on behind those that are there', async () => {
  const out = temporary('chain')
  const first = await run('chain.ts', '--steps', '2', '--skip', 'intermediate', '--out', out)
  expect(first.match(/^.*: \d+ s, [\d.]+ · 10¹² operations$/gm)).toHaveLength(3)
  expect(first).toMatch(/held out: [\d.]+ % of the tunes are right, of 10 of which 32 poems each were seen/)
  const again = await run('chain.ts', '--steps', '2', '--skip', 'intermediate', '--out', out)
  expect(again.match(/operations$/gm)).toBeNull()
  expect(again.split('\n').at(-2)).toBe(first.split('\n').at(-2))
}, 600_000)
