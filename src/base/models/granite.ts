// Granite. Shen et al. 2024, arXiv:2408.13359
//
// LLaMA in which the rows that come into the layers (virtual tokens too), what each part of a layer gives, scores and logits are
// multiplied by numbers of the configuration.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'

/** `model_type: 'granite'`. */
export const granite: Family = llamaFamily('Granite', (read, bounds) => {
  const biased = read.flag('attention_bias', false)
  const factor = (key: string): number => read.number(key, { fallback: 1 })
  return {
    ...readLlamaConfig(read, bounds),
    biases: { qkv: biased, output: biased, mlp: read.flag('mlp_bias', false) },
    factors: {
      words: 1, rows: factor('embedding_multiplier'), branch: factor('residual_multiplier'), scores: factor('attention_multiplier'),
      logits: 1 / read.number('logits_scaling', { above: 0, fallback: 1 }),
    },
  }
})
