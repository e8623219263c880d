// Qwen2. Yang et al. 2024, arXiv:2407.10671
//
// LLaMA with biases on queries, keys and values; upper layers may attend to the nearest tokens only.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { readUpperWindows } from './windows.ts'

/** `model_type: 'qwen2'`. */
export const qwen2: Family = llamaFamily('Qwen2', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 32 })
  return { ...config, biases: { qkv: true, output: false, mlp: false }, window: readUpperWindows(read, config.layers) }
})
