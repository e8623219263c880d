// Qwen3. Yang et al. 2025, arXiv:2505.09388
//
// LLaMA with norms on the heads of queries and keys; upper layers may attend to the nearest tokens only.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { readUpperWindows } from './windows.ts'

/** `model_type: 'qwen3'`. */
export const qwen3: Family = llamaFamily('Qwen3', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 32, headSize: 128 })
  const biased = read.flag('attention_bias', false)
  return {
    ...config, biases: { qkv: biased, output: biased, mlp: false }, queryNorms: 'heads', window: readUpperWindows(read, config.layers),
  }
})
