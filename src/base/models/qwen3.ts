// Qwen3 and Qwen3-MoE. Yang et al. 2025, arXiv:2505.09388
//
// LLaMA with norms on the heads of queries and keys; upper layers may attend to the nearest tokens only. With experts in place of the
// feed-forward part of some layers, or all, where all layers may attend so.

import type { Bounds, Family } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { llamaFamily, readLlamaConfig, type LlamaConfig, type LlamaDefaults } from './llama.ts'
import { gatedBy, readMixture } from './mixture.ts'
import { readUpperWindows, readWindow } from './windows.ts'

/** `model_type: 'qwen3'`. */
export const qwen3: Family = llamaFamily('Qwen3', (read, bounds) => {
  const config = readQwen3(read, bounds, { kvHeads: 32, headSize: 128 })
  return { ...config, window: readUpperWindows(read, config.layers) }
})

/** `model_type: 'qwen3_moe'`. */
export const qwen3Moe: Family = llamaFamily('Qwen3Moe', (read, bounds) => {
  const config = readQwen3(read, bounds, { kvHeads: 4 })
  const given = readWindow(read)
  const window = read.flag('use_sliding_window', false) ? given : undefined
  const step = read.integer('decoder_sparse_step', { min: 1, fallback: 1 })
  const dense = read.list('mlp_only_layers', 'integer', [])
  const size = read.integer('moe_intermediate_size', { ...bounds.size, fallback: 768 })
  return {
    ...config,
    window: () => window,
    mixture: {
      has: (layer) => !dense.includes(layer) && (layer + 1) % step === 0,
      config: {
        ...readMixture(read, bounds.size, { experts: 128, each: 8 }),
        size,
        middle: gatedBy(config.activation),
        among: read.flag('norm_topk_prob', false) ? 'chosen' : 'all',
        pieces: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
      },
    },
  }
})

function readQwen3(read: SectionReader, bounds: Bounds, defaults: LlamaDefaults): LlamaConfig {
  const biased = read.flag('attention_bias', false)
  return { ...readLlamaConfig(read, bounds, defaults), biases: { qkv: biased, output: biased, mlp: false }, queryNorms: 'heads' }
}
