// Qwen3. Yang et al. 2025, arXiv:2505.09388
//
// LLaMA with norms on the heads of queries and keys; upper layers may attend to the nearest tokens only.

import type { Architecture, ConfigJson } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { readWindow } from './qwen2.ts'

/** Qwen3 as described by a config.json with `model_type: 'qwen3'`. */
export function qwen3(json: ConfigJson): Architecture {
  const config = readLlamaConfig(json, 'qwen3', { headSize: 128 })
  const { qkv, output } = config.biases
  return llamaFamily('Qwen3', { ...config, biases: { qkv, output, mlp: false }, headNorms: true, window: readWindow(json, 'qwen3') })
}
