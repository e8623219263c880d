// Qwen2. Yang et al. 2024, arXiv:2407.10671
//
// LLaMA with biases on queries, keys and values; upper layers may attend to the nearest tokens only.

import type { Architecture, ConfigJson } from '../architecture.ts'
import { configReader } from '../config.ts'
import { llamaFamily, readLlamaConfig, type LlamaConfig } from './llama.ts'

/** Qwen2 as described by a config.json with `model_type: 'qwen2'`. */
export function qwen2(json: ConfigJson): Architecture {
  const config = readLlamaConfig(json, 'qwen2')
  return llamaFamily('Qwen2', { ...config, biases: { qkv: true, output: false, mlp: false }, window: readWindow(json, 'qwen2') })
}

/** The window of each layer, in Qwen's words. */
export function readWindow(json: ConfigJson, modelType: string): LlamaConfig['window'] {
  const read = configReader(json, modelType)
  if (!read.flag('use_sliding_window', false)) return () => undefined
  const [window, first] = [read.number('sliding_window', 4096), read.number('max_window_layers', 28)]
  const types = json['layer_types'] as readonly unknown[] | null | undefined
  return (layer) => ((types?.[layer] ?? (layer >= first ? 'sliding_attention' : undefined)) === 'sliding_attention' ? window : undefined)
}
