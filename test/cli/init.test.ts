import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, expect, it, vi } from 'vitest'
import { initCommand } from '../../src/cli/commands/init.ts'
import { inspectCommand } from '../../src/cli/commands/inspect.ts'
import { checkJob } from '../../src/cli/job/read.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
afterEach(() => void vi.restoreAllMocks())

async function printed(command: (args: string[]) => Promise<number>, ...args: string[]): Promise<string> {
  let output = ''
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => void (output += `${String(text)}\n`))
  expect(await command(args)).toBe(0)
  return output
}

it('init writes a job of flags, which train takes, and overwrites none', async () => {
  const file = temporary('job.json')
  const flags = ['--model', 'm', '--data', 'mails.csv', '--text', 'text', '--label', 'label', '--output', 'out/spam', '--rank', '4']
  expect(await printed(initCommand, file, ...flags)).toBe(`${file} is written. To train it: tfjs-peft train ${file}\n`)
  const job = JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>>
  expect(job['$schema']).toBe('./node_modules/tfjs-peft/dist/job.schema.json')
  expect(checkJob(job, file)).toMatchObject({ model: 'm', data: { train: 'mails.csv', text: 'text', label: 'label' }, method: { name: 'lora', rank: 4 }, output: 'out/spam' })
  await expect(initCommand([file, ...flags])).rejects.toThrow(`init: ${file} is there already`)
})

it('init says which flags are missing where nobody can be asked', async () => {
  await expect(initCommand([temporary('other.json'), '--model', 'm'])).rejects.toThrow('init: nobody is there to be asked, and these are missing: --data; --output; one of --text, --words, --messages, --image')
  await expect(initCommand([temporary('other.json'), '--modell', 'm'])).rejects.toThrow('init: there is no --modell, perhaps --model')
})

it('inspect says what a model is, where methods can be, which fit, and what a step would take', async () => {
  const source = goldenPath('lora/base')
  writeFileSync(temporary('x'), '')
  const text = await printed(inspectCommand, source, '--batch-size', '4', '--max-length', '8')
  expect(text).toMatch(/: bert for sequence-classification\nparameters {2}\d+ \([\d.]+ MiB as float32\), at most \d+ tokens\n/)
  expect(text).toMatch(/linear {4}query +3 × 32 → 32/)
  expect(text).toMatch(/lora {13}\d+ parameters trained \([\d.]+ %\)/)
  expect(text).toMatch(/A step of lora, 4 rows of 8 tokens, reckoned from one of 2 rows on this machine now: an estimate\n {2}time {6}\d+ ms, [\d.]+ MFLOP\n {2}memory {4}[\d.]+ MiB: weights/)
  const json = JSON.parse(await printed(inspectCommand, source, '--json', '--method', 'prefix', '--batch-size', '2', '--max-length', '8')) as { readonly methods: readonly { readonly method: string }[]; readonly step: { readonly method: string; readonly operations: number } }
  expect(json.methods).toHaveLength(16)
  expect(json.step.method).toBe('prefix')
  const twice = JSON.parse(await printed(inspectCommand, source, '--json', '--method', 'prefix', '--batch-size', '4', '--max-length', '8')) as typeof json
  expect(twice.step.operations).toBe(2 * json.step.operations)
  await expect(inspectCommand([source, '--method', 'loar'])).rejects.toThrow("inspect: --method: expected one of lora, dora")
})
