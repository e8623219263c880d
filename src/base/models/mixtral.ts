// Mixtral. Jiang et al. 2024, arXiv:2401.04088
//
// Mistral with experts in place of each feed-forward part.

import type { Family } from '../architecture.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { gatedBy, readMixture } from './mixture.ts'

/** `model_type: 'mixtral'`. */
export const mixtral: Family = llamaFamily('Mixtral', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 8, epsilon: 1e-5, theta: 1_000_000 })
  const window = read.has('sliding_window') ? read.integer('sliding_window', { min: 1 }) : undefined
  return {
    ...config,
    window: () => window,
    mixture: {
      has: () => true,
      config: {
        ...readMixture(read, bounds.size, { experts: 8, each: 2 }),
        size: config.intermediateSize,
        middle: gatedBy(config.activation),
        among: 'chosen',
        pieces: { gate: 'w1', up: 'w3', down: 'w2' },
      },
    },
  }
}, {
  off: { router_jitter_noise: [0] },
  keys: { rename: [[/\.block_sparse_moe\./, '.mlp.']], written: [[/\.mlp\./, '.block_sparse_moe.']] },
})
