// Seed-OSS. ByteDance Seed 2025, Seed-OSS-36B
//
// LLaMA with biases of their own for queries, keys and values and for the product after them, and dropout after each part.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { DROPOUT } from './settings.ts'

/** `model_type: 'seed_oss'`. */
export const seedOss: Family = llamaFamily('SeedOss', (read, bounds) => ({
  ...readLlamaConfig(read, bounds, { kvHeads: 8, headSize: 128, attentionDropout: 0.1 }),
  residualDropout: read.number('residual_dropout', { ...DROPOUT, fallback: 0.1 }),
  biases: { qkv: read.flag('attention_bias', true), output: read.flag('attention_out_bias', false), mlp: read.flag('mlp_bias', false) },
}), { idle: ['pretraining_tp'] })
