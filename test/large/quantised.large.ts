// A model of the size of Llama-2-7B in 7 GB: needs 14 GB of disk, and minutes.

import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import type { Report } from './load-and-step.ts'
import { writeShards } from './shards.ts'

const LLAMA_2_7B = {
  model_type: 'llama', vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32,
  num_key_value_heads: 32, max_position_embeddings: 4096, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: false,
}
const LENGTH = 128
const MOST = 7e9

const temporary = temporaryFolder()
const program = fileURLToPath(new URL('load-and-step.ts', import.meta.url))

it('a LLaMA of 7 billion parameters in bfloat16 shards loads as NF4, and LoRA takes steps of 1 x 128, in 7 GB', async () => {
  await loadEngine()
  const folder = temporary('7b')
  try {
    const { parameters, files } = await writeShards(folder, LLAMA_2_7B, 2e9)
    const { stdout } = await promisify(execFile)('node', ['--import', 'tsx', program, folder, String(LENGTH), 'nf4', '2'])
    const { engine, load, step } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report
    const gigabytes = (amount: number): string => `${(amount / 1e9).toFixed(2)} GB`
    console.log(`${(parameters / 1e9).toFixed(2)} billion parameters in ${files} files: loads in ${load.seconds.toFixed(0)} s with a peak of ${gigabytes(engine + load.peak)}, ` +
      `${gigabytes(engine + load.now)} after; two LoRA steps on ${LENGTH} tokens in ${step.seconds.toFixed(0)} s, peak ${gigabytes(engine + step.peak)}, loss ${step.loss.toFixed(3)}`)
    expect(engine + Math.max(load.peak, step.peak)).toBeLessThan(MOST)
    expect(step.loss).toBeGreaterThan(0)
    expect(step.moved).toBe(true)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 3_600_000)
