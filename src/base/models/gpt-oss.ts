// gpt-oss. OpenAI 2025, arXiv:2508.10925
//
// LLaMA with experts in place of each feed-forward part, a score of each head that takes attention from the tokens, biases everywhere,
// positions stretched by YaRN, and every other layer attending to the nearest tokens only.

import type { Family } from '../architecture.ts'
import { clampedGate } from '../ops/clamped-gate.ts'
import { llamaFamily, readLlamaConfig } from './llama.ts'
import { readMixture } from './mixture.ts'
import { readLayerWindows, readWindow } from './windows.ts'

/** What rotary positions are where a file says nothing. */
const STRETCHED = { rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false, original_max_position_embeddings: 4096 }

/** `model_type: 'gpt_oss'`. */
export const gptOss: Family = llamaFamily('GptOss', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 8, headSize: 64, epsilon: 1e-5, theta: 150_000, rotary: { usual: STRETCHED } })
  const biased = read.flag('attention_bias', true)
  const [alpha, limit] = [read.number('swiglu_alpha', { fallback: 1.702 }), read.number('swiglu_limit', { above: 0, fallback: 7 })]
  return {
    ...config,
    biases: { qkv: biased, output: biased, mlp: false },
    sinks: true,
    window: readLayerWindows(read, config.layers, readWindow(read, 128), (layer) => layer % 2 === 0),
    mixture: {
      has: () => true,
      config: {
        ...readMixture(read, bounds.size, { experts: 128, each: 4 }),
        size: config.intermediateSize,
        among: 'chosen',
        router: { name: 'router', bias: true },
        stacks: { transposed: true, bias: true },
        middle: (both) => clampedGate(both, { alpha, limit }),
      },
    },
  }
})
