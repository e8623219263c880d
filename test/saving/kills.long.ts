import { expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'
import { killSaves } from './kills.ts'
import type { Kind } from './variants.ts'

const temporary = temporaryFolder()
/** Of each kind: a few, or as many as are asked for. */
const KILLS = Number(process.env['TFJS_PEFT_KILLS'] ?? 20)

const files: Readonly<Record<Kind, readonly string[]>> = {
  adapter: ['README.md', 'adapter_config.json', 'adapter_model.safetensors'],
  guards: ['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'guards.safetensors'],
  model: ['config.json', 'model.safetensors', 'tokenizer.json'],
  merged: ['config.json', 'model.safetensors', 'tokenizer.json'],
  checkpoint: ['step-10000000.safetensors'],
}

it.each(Object.keys(files) as Kind[])('a process killed again and again while it saves (%s) leaves the files of one save', { timeout: 3_600_000 }, async (kind) => {
  const { left, ...count } = await killSaves(kind, KILLS, temporary)
  console.log(`${kind}: ${JSON.stringify(count)}`)
  expect(count).toMatchObject({ mixed: 0, loaded: KILLS })
  expect(count.midway).toBeGreaterThan(KILLS / 10)
  expect(left.filter((file) => file !== 'vocab.txt')).toEqual(files[kind])
})
