// OLMo 2. OLMo et al. 2025, arXiv:2501.00656; OLMo 3. Olmo et al. 2025, arXiv:2512.13961
//
// LLaMA in which what a part of a layer gives is normed, not what it is given, and queries and keys are normed with all heads as one.
// OLMo 3 attends to the nearest tokens in three layers of four, and these have rotary positions of their own.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig, type LlamaConfig } from './llama.ts'
import { readLayerWindows, readWindow } from './windows.ts'

const NORMS: Pick<LlamaConfig, 'queryNorms' | 'norms'> = { queryNorms: 'whole', norms: 'behind' }

/** `model_type: 'olmo2'`. */
export const olmo2: Family = llamaFamily('Olmo2', (read, bounds) => {
  const biased = read.flag('attention_bias', false)
  return { ...readLlamaConfig(read, bounds, { epsilon: 1e-5 }), biases: { qkv: biased, output: biased, mlp: false }, ...NORMS }
})

/** `model_type: 'olmo3'`. */
export const olmo3: Family = llamaFamily('Olmo3', (read, bounds) => {
  const biased = read.flag('attention_bias', false)
  const config = readLlamaConfig(read, bounds, { epsilon: 1e-5, theta: 500_000, rotaryByType: {} })
  const window = readLayerWindows(read, config.layers, readWindow(read), (layer) => (layer + 1) % 4 !== 0)
  return {
    ...config, biases: { qkv: biased, output: biased, mlp: false }, ...NORMS, window,
    rotaryOf: (layer) => (window(layer) === undefined ? 0 : 1),
  }
})
