// Models in full size: how much memory loading takes beyond the model itself, and that a training step runs.

import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import type { Report } from './load-and-step.ts'
import { writeShards } from './shards.ts'

const MODELS = {
  'GPT-2 124M': {
    model_type: 'gpt2', vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, tie_word_embeddings: true,
  },
  'TinyLlama 1.1B': {
    model_type: 'llama', vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 22, num_attention_heads: 32,
    num_key_value_heads: 4, max_position_embeddings: 2048, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: false,
  },
}
const LENGTH = 128
/** The runtime's own: the heap, names, what V8 has not collected yet. */
const MARGIN = 100e6

const temporary = temporaryFolder()
const program = fileURLToPath(new URL('load-and-step.ts', import.meta.url))

/** Bytes of a weight by the type it is held in; norms and biases, which stay float32, count for little. */
const BYTES = { float32: 4, bfloat16: 2 }

const runs = Object.entries(MODELS).flatMap(([name, config]) => Object.entries(BYTES).map(([dtype, bytes]) => ({ name, config, dtype, bytes })))

it.for(runs)('$name in bfloat16 shards loads as $dtype in the memory of the model and one tensor, and LoRA takes a step', async ({ name, config, dtype, bytes }) => {
  await loadEngine()
  const folder = temporary(name)
  try {
    const { parameters, largest, files } = await writeShards(folder, config, name.startsWith('GPT') ? 100e6 : 500e6)
    const { stdout } = await promisify(execFile)('node', ['--import', 'tsx', program, folder, String(LENGTH), dtype])
    const { load, step } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report
    const gigabytes = (amount: number): string => `${(amount / 1e9).toFixed(2)} GB`
    console.log(`${name}: ${(parameters / 1e6).toFixed(1)} million parameters in ${files} files, ${gigabytes(bytes * parameters)} as ${dtype}, ` +
      `largest tensor ${gigabytes(bytes * largest)}; loads in ${load.seconds.toFixed(1)} s with a peak of ${gigabytes(load.peak)}, ` +
      `${gigabytes(load.now)} after; a LoRA step on ${LENGTH} tokens ${step.seconds.toFixed(1)} s, peak ${gigabytes(step.peak)}, loss ${step.loss.toFixed(3)}`)
    expect(files).toBeGreaterThan(1)
    expect(load.peak).toBeLessThan(bytes * (parameters + largest) + MARGIN)
    expect(step.loss).toBeGreaterThan(0)
    expect(step.moved).toBe(true)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
