// Mistral. Jiang et al. 2023, arXiv:2310.06825
//
// LLaMA with attention to the nearest tokens only.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
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
