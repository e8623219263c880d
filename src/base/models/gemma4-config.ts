// Settings of Gemma 4, whose two kinds of layers have heads of different sizes.

import { shown } from '../../errors.ts'
import type { Bounds } from '../architecture.ts'
import type { SectionReader } from '../settings.ts'
import { readCap } from './gemma.ts'
import { readLlamaConfig, type LlamaConfig } from './llama.ts'
import { gatedBy, type Mixture } from './mixture.ts'
import { GEMMA4_KINDS } from './rotary.ts'
import { readLayerWindows } from './windows.ts'

/** What tells a layer from others. */
export interface Gemma4Layer extends Pick<LlamaConfig, 'kvHeads' | 'headSize' | 'intermediateSize'> {
  /** How many keys back its queries see; all where undefined. */
  readonly window: number | undefined
  /** Its values have a product of their own; else they are the keys before these are normed. */
  readonly ownValues: boolean
  /** The layer whose keys and values it takes; its own where undefined. */
  readonly keysOf: number | undefined
}

export interface Gemma4Config extends LlamaConfig {
  readonly each: readonly Gemma4Layer[]
  /** Of what each layer is told of its words, and words that the table of that has; none where undefined. */
  readonly told: { readonly size: number; readonly count: number; readonly padding: number } | undefined
  readonly experts: Pick<Mixture, 'count' | 'each' | 'size' | 'middle'> | undefined
}

const SLOW = { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1_000_000 }

export function readGemma4(read: SectionReader, bounds: Bounds): Gemma4Config {
  const { size } = bounds
  const layers = read.integer('num_hidden_layers', bounds.layers)
  const windowOf = readLayerWindows(read, layers, read.integer('sliding_window', { min: 1, fallback: 512 }), (layer) => (layer + 1) % 6 !== 0)
  const window = (layer: number): number | undefined => (layer === layers - 1 ? undefined : windowOf(layer)) // the last attends to all, whatever the file says
  const sameKeys = read.flag('attention_k_eq_v', false)
  const sizes = readSizes(read, bounds, { layers, window, sameKeys })
  const turns = read.section('rope_parameters')
  read.check(!read.has('rope_parameters') || (turns.has('full_attention') && turns.has('sliding_attention')), 'rope_parameters: expected full_attention and sliding_attention, each with settings of its own')
  const whole = { headSize: sizes(layers - 1).headSize, kinds: GEMMA4_KINDS, usual: SLOW }
  const config = readLlamaConfig(read, bounds, { kvHeads: 4, headSize: 256, tied: true, activation: ['hidden_activation', 'gelu_pytorch_tanh'], rotaryByType: { whole } })
  const biased = read.flag('attention_bias', false)
  const shared = read.integer('num_kv_shared_layers', { min: 0, max: layers - 1, note: 'the first layer has keys of its own', fallback: 0 })
  const first = layers - shared
  const wide = read.flag('use_double_wide_mlp', false) ? 2 : 1
  const alike = (a: number, b: number): boolean => (window(a) === undefined) === (window(b) === undefined)
  const sources = Array.from({ length: layers }, (_, layer) => (layer < first ? layer : Array.from({ length: first }, (_, i) => first - 1 - i).find((i) => alike(i, layer))))
  read.check(!sources.includes(undefined), `num_kv_shared_layers: expected a layer below the last ${shared} for each kind of layer among them to take keys from, layer ${sources.indexOf(undefined)} has none`, ['num_kv_shared_layers', 'layer_types'])
  return {
    ...config,
    biases: { qkv: biased, output: biased, mlp: false },
    factors: { ...config.factors, words: Math.sqrt(config.hiddenSize), scores: 1 },
    caps: { logits: readCap(read, 'final_logit_softcapping', undefined) },
    each: Array.from({ length: layers }, (_, layer) => ({
      ...sizes(layer),
      intermediateSize: config.intermediateSize * (layer < first ? 1 : wide),
      window: window(layer),
      ownValues: !(sameKeys && window(layer) === undefined),
      keysOf: sources[layer] === layer ? undefined : sources[layer],
    })),
    told: readTold(read, bounds, config.vocabSize),
    experts: readExperts(read, size, config.activation),
  }
}

interface Kinds extends Pick<LlamaConfig, 'layers' | 'window'> {
  readonly sameKeys: boolean
}

/** Heads of keys and their size in each layer: by number of the layer, or in older files for layers that attend to all tokens. */
function readSizes(read: SectionReader, { size }: Bounds, { layers, window, sameKeys }: Kinds): (layer: number) => Pick<Gemma4Layer, 'kvHeads' | 'headSize'> {
  const usual = { headSize: read.integer('head_dim', { ...size, fallback: 256 }), kvHeads: read.integer('num_key_value_heads', { ...size, fallback: 4 }) }
  const [wholeSize, wholeHeads] = [read.integer('global_head_dim', { ...size, fallback: 512 }), read.integer('num_global_key_value_heads', { ...size, fallback: usual.kvHeads })]
  const heads = read.integer('num_attention_heads', { ...size, fallback: 8 })
  const own = read.section('per_layer_config')
  const byNumber = new Map(Object.entries(read.raw('per_layer_config') ?? {}).map(([key, settings]) => {
    read.check(Number(key) < layers, `per_layer_config: expected numbers of layers below ${layers}, got ${shown(key)}`)
    const section = own.section(key)
    for (const name of Object.keys((settings ?? {}) as object)) if (name !== 'head_dim' && name !== 'num_key_value_heads') section.off(name, [])
    return [Number(key), section]
  }))
  const all = Array.from({ length: layers }, (_, layer) => {
    if (!read.has('per_layer_config')) return window(layer) === undefined ? { headSize: wholeSize, kvHeads: sameKeys ? wholeHeads : usual.kvHeads } : usual
    const section = byNumber.get(layer)
    return section === undefined ? usual : { headSize: section.integer('head_dim', { ...size, fallback: usual.headSize }), kvHeads: section.integer('num_key_value_heads', { ...size, fallback: usual.kvHeads }) }
  })
  for (const [layer, { headSize, kvHeads }] of all.entries()) {
    const alike = all.findIndex((_, i) => (window(i) === undefined) === (window(layer) === undefined))
    const of = ['head_dim', 'num_key_value_heads', 'num_attention_heads', 'global_head_dim', 'num_global_key_value_heads', 'per_layer_config']
    read.check(headSize % 2 === 0, `layer ${layer}: expected heads of an even size, for rotary positions, got ${headSize}`, of)
    read.check(heads % kvHeads === 0, `layer ${layer}: expected heads of keys that divide num_attention_heads (${heads}), got ${kvHeads}`, of)
    read.check(headSize === all[alike]?.headSize && kvHeads === all[alike].kvHeads, `per_layer_config: expected layers of one kind in layer_types with the same heads, layer ${layer} has others than layer ${alike}`, of)
  }
  return (layer) => all[layer] ?? usual
}

function readTold(read: SectionReader, { size }: Bounds, vocabSize: number): Gemma4Config['told'] {
  const width = read.integer('hidden_size_per_layer_input', { ...size, min: 0, fallback: 256 })
  const count = read.integer('vocab_size_per_layer_input', { ...size, fallback: 262_144 })
  const padding = Math.max(0, read.integer('pad_token_id', { min: -1, max: vocabSize - 1, fallback: 0 }))
  if (width === 0) return undefined
  read.check(count >= vocabSize, `vocab_size_per_layer_input: expected at least vocab_size (${vocabSize}), got ${count}`, ['vocab_size', 'vocab_size_per_layer_input'])
  return { size: width, count, padding }
}

function readExperts(read: SectionReader, size: Bounds['size'], activation: string): Gemma4Config['experts'] {
  const used = read.flag('enable_moe_block', false)
  const count = (key: string): number => read.integer(key, used ? size : { ...size, fallback: 1 })
  const [experts, each, width] = [count('num_experts'), count('top_k_experts'), count('moe_intermediate_size')]
  read.check(each <= experts, `top_k_experts: expected at most the ${experts} of num_experts, got ${each}`, ['num_experts', 'top_k_experts'])
  return used ? { count: experts, each, size: width, middle: gatedBy(activation) } : undefined
}
