// SmolLM3. Bakouch et al. 2025, SmolLM3-3B
//
// LLaMA in which every fourth layer has no positions (NoPE: Yang et al. 2025, arXiv:2501.18795).

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { readLayerWindows } from './windows.ts'

/** `model_type: 'smollm3'`. */
export const smollm3: Family = llamaFamily('SmolLM3', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 4, tied: true, theta: 2_000_000 })
  const biased = read.flag('attention_bias', false)
  const interval = read.integer('no_rope_layer_interval', { min: 1, fallback: 4 })
  const listed = read.has('no_rope_layers') ? read.list('no_rope_layers', 'number') : undefined
  read.check(listed === undefined || listed.length >= config.layers, `no_rope_layers: expected ${config.layers} or more, one for each of num_hidden_layers, got ${listed?.length ?? 0}`, ['no_rope_layers'])
  const turns = (layer: number): boolean => (listed === undefined ? (layer + 1) % interval !== 0 : listed[layer] !== 0)
  const [used, given] = [read.flag('use_sliding_window', false), read.integer('sliding_window', { min: 1, fallback: 0 })]
  const window = used && given > 0 ? given : undefined
  return {
    ...config,
    biases: { qkv: biased, output: biased, mlp: read.flag('mlp_bias', false) },
    rotaryOf: (layer) => (turns(layer) ? 0 : undefined),
    window: readLayerWindows(read, config.layers, window, (layer) => window !== undefined && !turns(layer)),
  }
})
