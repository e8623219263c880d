// Mistral. Jiang et al. 2023, arXiv:2310.06825
//
// LLaMA with attention to the nearest tokens only.

import type { Architecture, ConfigJson } from '../architecture.ts'
import { configReader } from '../config.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'

/** Mistral as described by a config.json with `model_type: 'mistral'`. */
export function mistral(json: ConfigJson): Architecture {
  const config = readLlamaConfig(json, 'mistral')
  const window = json['sliding_window'] === null ? undefined : configReader(json, 'mistral').number('sliding_window', 4096)
  return llamaFamily('Mistral', { ...config, biases: { qkv: false, output: false, mlp: false }, window: () => window })
}
