// Gemma. Gemma Team 2024, arXiv:2403.08295; Gemma 2, arXiv:2408.00118; Gemma 3, arXiv:2503.19786
//
// LLaMA with embeddings scaled by the root of their size, a gate of GELU and norms that multiply by their weights and 1. Gemma 2 and 3
// norm what a part of a layer gives too, and some of their layers attend to the nearest tokens only; Gemma 2 caps scores and logits, Gemma 3
// norms queries and keys and turns its two kinds of layers by frequencies of their own.

import type { Bounds, Family } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { llamaFamily, readLlamaConfig, type LlamaConfig, type LlamaDefaults } from './llama.ts'
import { readLayerWindows, readWindow } from './windows.ts'

const BOTH_WAYS = { use_bidirectional_attention: [false] }

/** `model_type: 'gemma'`. */
export const gemma: Family = llamaFamily('Gemma', (read, bounds) => {
  const config = readGemma(read, bounds, { kvHeads: 16, activation: ['hidden_act', 'gelu_pytorch_tanh'] })
  return { ...config, activation: config.activation === 'gelu' ? 'gelu_pytorch_tanh' : config.activation } // the first files meant this
}, { off: BOTH_WAYS })

/** `model_type: 'gemma2'`. */
export const gemma2: Family = llamaFamily('Gemma2', (read, bounds) => {
  const config = readScaled(read, bounds, {})
  return {
    ...config,
    caps: { scores: readCap(read, 'attn_logit_softcapping', 50), logits: readCap(read, 'final_logit_softcapping', 30) },
    window: readLayerWindows(read, config.layers, readWindow(read), (layer) => layer % 2 === 0),
  }
}, { off: BOTH_WAYS })

/** `model_type: 'gemma3_text'`. */
export const gemma3: Family = llamaFamily('Gemma3Text', (read, bounds) => {
  const config = readScaled(read, bounds, { theta: 1_000_000, rotaryByType: { local: { key: 'rope_local_base_freq', theta: 10_000 } } })
  const pattern = read.integer('sliding_window_pattern', { min: 1, fallback: 6 })
  const window = readLayerWindows(read, config.layers, readWindow(read), (layer) => (layer + 1) % pattern !== 0)
  return {
    ...config,
    queryNorms: 'heads',
    caps: { scores: undefined, logits: readCap(read, 'final_logit_softcapping', undefined) },
    window,
    rotaryOf: (layer) => (window(layer) === undefined ? 0 : 1),
  }
}, { off: BOTH_WAYS, idle: ['attn_logit_softcapping'], classNames: { 'causal-lm': 'Gemma3ForCausalLM' } })

/** What all three have. */
function readGemma(read: SectionReader, bounds: Bounds, defaults: LlamaDefaults): LlamaConfig {
  const config = readLlamaConfig(read, bounds, { headSize: 256, tied: true, ...defaults })
  const biased = read.flag('attention_bias', false)
  return {
    ...config, biases: { qkv: biased, output: biased, mlp: false }, zeroCentred: true,
    factors: { ...config.factors, words: Math.sqrt(config.hiddenSize) },
  }
}

/** And what the second and third have. */
function readScaled(read: SectionReader, bounds: Bounds, defaults: LlamaDefaults): LlamaConfig {
  const config = readGemma(read, bounds, { kvHeads: 4, activation: ['hidden_activation', 'gelu_pytorch_tanh'], ...defaults })
  const scores = 1 / Math.sqrt(read.number('query_pre_attn_scalar', { above: 0, fallback: 256 }))
  return { ...config, norms: 'both', factors: { ...config.factors, scores } }
}

export function readCap(read: SectionReader, key: string, usual: number | undefined): number | undefined {
  const cap = read.number(key, { min: 0, fallback: usual ?? 0 })
  return read.isNull(key) || cap === 0 ? undefined : cap
}
