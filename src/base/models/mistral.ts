// Mistral. Jiang et al. 2023, arXiv:2310.06825
//
// LLaMA with attention to the nearest tokens only.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { GROWING_KINDS } from './rotary.ts'
import { readLayerWindows, readWindow } from './windows.ts'

/** `model_type: 'mistral'`. */
export const mistral: Family = llamaFamily('Mistral', (read, bounds) => {
  const window = readWindow(read)
  return { ...readLlamaConfig(read, bounds, { kvHeads: 8 }), window: () => window }
}, { off: { layer_types: [] } })

/** `model_type: 'ministral'`: some layers with the window, others without. */
export const ministral: Family = llamaFamily('Ministral', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 8 })
  const window = readWindow(read)
  return { ...config, window: readLayerWindows(read, config.layers, window, () => window !== undefined) }
})

/** What rotary positions of `Ministral3Config` are where a file says nothing. */
const STRETCHED = {
  rope_type: 'yarn', rope_theta: 1e6, factor: 16, original_max_position_embeddings: 16_384, mscale: 1, mscale_all_dim: 1, llama_4_scaling_beta: 0.1,
}

/** `model_type: 'ministral3'`: Mistral with positions stretched by YaRN and with queries that grow with their position. */
export const ministral3: Family = llamaFamily('Ministral3', (read, bounds) => {
  const window = readWindow(read, 0)
  const config = readLlamaConfig(read, bounds, { kvHeads: 8, headSize: 128, epsilon: 1e-5, rotary: { kinds: GROWING_KINDS, usual: STRETCHED } })
  return { ...config, window: () => window }
}, { off: { layer_types: [] } })
