// Phi-3. Abdin et al. 2024, arXiv:2404.14219; Phi-4. Abdin et al. 2024, arXiv:2412.08905
//
// LLaMA with one product for queries, keys and values and one for gate and up. A part of each head may be turned alone, and
// LongRoPE turns all tokens of a long text in another way than those of a short one.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { PHI_KINDS } from './rotary.ts'
import { DROPOUT } from './settings.ts'
import { readWindow } from './windows.ts'

/** `model_type: 'phi3'`. Dropout of its embeddings has a setting and no place. */
export const phi3: Family = llamaFamily('Phi3', (read, bounds) => {
  const original = read.integer('original_max_position_embeddings', { min: 2, fallback: 4096 })
  const window = readWindow(read, 0)
  return {
    ...readLlamaConfig(read, bounds, { epsilon: 1e-5, rotary: { partial: 1, original, kinds: PHI_KINDS } }),
    fused: true,
    residualDropout: read.number('resid_pdrop', { ...DROPOUT, fallback: 0 }),
    window: () => window,
    renewedAt: original,
  }
}, { partial: true, idle: ['embd_pdrop'] })
