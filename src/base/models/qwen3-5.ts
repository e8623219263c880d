// Qwen3.5 (text). Qwen Team 2026, Qwen3.5; gated DeltaNet: Yang et al. 2024, arXiv:2412.06464
//
// Three layers of four read the text by a recurrence: a short convolution over the last tokens, then a memory from which each
// token takes away what it held for its key, and to which it writes its value. Every fourth attends, with normed queries and keys of which a quarter
// is turned, and a gate for what it gives. Norms multiply by their weights and 1.

import * as tf from '@tensorflow/tfjs-core'
import type { Rank, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import { shown } from '../../errors.ts'
import type { Bounds, Encoded, Family } from '../architecture.ts'
import { activation, gated } from '../ops/activation.ts'
import { reshape, timesMask } from '../ops/algebra.ts'
import { causalConvolution } from '../ops/causal-convolution.ts'
import { columnsOf } from '../ops/columns.ts'
import { gatedDelta, gatedDeltaFrom } from '../ops/gated-delta.ts'
import { logDecay } from '../ops/log-decay.ts'
import { inOrder, paddingFirst } from '../ops/padding.ts'
import type { Pass } from '../pass.ts'
import type { SectionReader } from '../settings.ts'
import { llamaFamily, readLlamaConfig, type LlamaConfig, type Mixer } from './llama.ts'

/** Of the recurrent layers. */
interface DeltaConfig extends Pick<LlamaConfig, 'hiddenSize' | 'activation' | 'epsilon'> {
  readonly keyHeads: number
  readonly keySize: number
  readonly valueHeads: number
  readonly valueSize: number
  /** Tokens that the convolution sees. */
  readonly kernel: number
}

/** `model_type: 'qwen3_5_text'`. */
export const qwen35: Family = llamaFamily('Qwen3_5', (read, bounds) => {
  const config = readLlamaConfig(read, bounds, { kvHeads: 4, headSize: 256, rotary: { partial: 0.25 } })
  const biased = read.flag('attention_bias', false)
  const delta = readDelta(read, bounds, config)
  const mixer: Mixer = { name: 'linear_attn', run: (pass, x, sequence) => deltaNet(pass, delta, x, sequence) }
  const recurs = readLayerTypes(read, config.layers)
  return {
    ...config, biases: { qkv: biased, output: biased, mlp: false }, queryNorms: 'heads', outputGate: true, zeroCentred: true,
    mixer: (layer) => (recurs(layer) ? mixer : undefined),
  }
}, {
  partial: true,
  classNames: { 'feature-extraction': 'Qwen3_5TextModel', 'sequence-classification': 'Qwen3_5TextForSequenceClassification' },
})

function readDelta(read: SectionReader, { size }: Bounds, { hiddenSize, activation: name, epsilon }: LlamaConfig): DeltaConfig {
  const sized = (key: string, fallback: number): number => read.integer(key, { ...size, fallback })
  const [keyHeads, valueHeads] = [sized('linear_num_key_heads', 16), sized('linear_num_value_heads', 32)]
  read.check(valueHeads % keyHeads === 0, `linear_num_value_heads: expected a multiple of linear_num_key_heads (${keyHeads}), got ${valueHeads}`, ['linear_num_key_heads'])
  const [keySize, valueSize] = [sized('linear_key_head_dim', 128), sized('linear_value_head_dim', 128)]
  return { hiddenSize, activation: name, epsilon, keyHeads, valueHeads, keySize, valueSize, kernel: sized('linear_conv_kernel_dim', 4) }
}

/** Which layers recur. */
function readLayerTypes(read: SectionReader, layers: number): (layer: number) => boolean {
  const interval = read.integer('full_attention_interval', { min: 1, fallback: 4 })
  if (!read.has('layer_types')) return (layer) => (layer + 1) % interval !== 0
  const types = read.list('layer_types', 'text')
  const unknown = types.find((type) => type !== 'linear_attention' && type !== 'full_attention')
  read.check(unknown === undefined, `layer_types: expected linear_attention or full_attention, got ${shown(unknown)}`)
  read.check(types.length === layers, `layer_types: expected ${layers}, one for each of num_hidden_layers, got ${types.length}`, ['layer_types', 'num_hidden_layers'])
  return (layer) => types[layer] === 'linear_attention'
}

/** Padding is nothing. Where it stands between virtual tokens and a text it goes before both, so that the convolution sees them side by side. */
function deltaNet(pass: Pass, config: DeltaConfig, x: Tensor2D, sequence: Encoded['sequence']): Tensor2D {
  const { mask, lengths, length, virtual } = sequence
  const padded = length === mask.shape[1] && lengths.some((tokens) => tokens < length)
  if (!padded) return recurrence(pass, config, x, sequence)
  const tokens = timesMask(x, mask)
  if (virtual === 0) return recurrence(pass, config, tokens, sequence)
  const order = paddingFirst(mask)
  return inOrder(recurrence(pass, config, inOrder(tokens, order), sequence), { from: order.to, to: order.from })
}

function recurrence(pass: Pass, config: DeltaConfig, x: Tensor2D, { batch: B, length: T }: Encoded['sequence']): Tensor2D {
  const { keyHeads: G, keySize: D, valueHeads: H, valueSize: E, kernel: K, hiddenSize, epsilon } = config
  const [keys, values] = [G * D, H * E]
  const mixed = reshape<Rank.R3>(pass.linear('in_proj_qkv', x, 2 * keys + values, { role: 'qkv', bias: false }), [B, T, 2 * keys + values])
  const z = pass.linear('in_proj_z', x, values, { role: 'gate', bias: false })
  const rate = activation('sigmoid', pass.linear('in_proj_b', x, H, { bias: false }))
  const speeds = pass.linear('in_proj_a', x, H, { bias: false })
  const memory = pass.memory('state')
  const [past, state] = (memory?.before ?? [tf.zeros([B, K - 1, 2 * keys + values])]) as [Tensor3D, Tensor3D | undefined]
  const weight = pass.param('conv1d.weight', { shape: [2 * keys + values, 1, K], init: 'normal', part: 'weight' }) as Tensor3D
  const seen = activation(config.activation, causalConvolution(mixed, weight, past))
  const aLog = pass.param('A_log', { shape: [H], init: 'zeros', part: 'weight' }) as Tensor1D
  const bias = pass.param('dt_bias', { shape: [H], init: 'ones', part: 'bias' }) as Tensor1D
  const [q, k, v] = columnsOf(reshape<Rank.R2>(seen, [B * T, 2 * keys + values]), [keys, keys, values])
  const heads = (y: Tensor2D, count: number): Tensor4D => reshape<Rank.R4>(y, [B, T, count, y.shape[1] / count])
  const call = { q: heads(q, G), k: heads(k, G), v: heads(v, H), decay: heads(logDecay(speeds, aLog, bias), H), rate: heads(rate, H) }
  const { y, memory: left } = memory === undefined ? { y: gatedDelta(call), memory: undefined } : gatedDeltaFrom(call, state)
  if (left !== undefined) memory?.leave([tf.slice(tf.concat([past, mixed], 1), [0, T, 0], [B, K - 1, -1]), left])
  const rows = (each: Tensor2D | Tensor4D): Tensor2D => reshape<Rank.R2>(each, [B * T * H, E])
  const given = gated('silu', rows(z), pass.rmsNorm('norm', rows(y), epsilon))
  return pass.linear('out_proj', reshape<Rank.R2>(given, [B * T, values]), hiddenSize, { role: 'attention-output', bias: false })
}
