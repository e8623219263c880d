// The decoders that llama.cpp has, in its words: which of ours each is, what it takes for granted, and what its settings and tensors are called.
// Source: llama.cpp's src/llama-arch.cpp and src/llama-model.cpp, release 0.5.0

import type { Architecture, ConfigJson } from '../../base/architecture.ts'
import type { Gpt2Config } from '../../base/models/gpt2.ts'
import { maxLengthOf, type LlamaConfig } from '../../base/models/llama.ts'
import type { Settings } from './gguf-file.ts'
import { rotaryForm, type RotaryForm } from './rotary-form.ts'

/** A model in llama.cpp's words. */
export interface Form extends RotaryForm {
  /** What llama.cpp calls the family. */
  readonly name: string
  /** What a module is called there, in full; undefined for one that it does not have. */
  readonly nameOf: (module: string) => string | undefined
  /** Heads whose rows in a product lie otherwise there: the two numbers that are turned together side by side; undefined where they do not. */
  readonly headsOf: (module: string) => number | undefined
  /** What is added to the weights of norms. */
  readonly normShift: number
  /** The head may be another tensor than the table of the words. */
  readonly ownHead: boolean
}

interface LlamaForm {
  readonly name: string
  /** @default as in our layers */
  readonly interleaved?: true
  readonly queryNorms?: LlamaConfig['queryNorms']
  readonly norms?: LlamaConfig['norms']
  readonly fused?: true
  /** Norms by 1 and the weight, words by the root of their width, and GELU. */
  readonly gemma?: true
  /** Which layers attend to the nearest tokens only. @default the context ends where the first of them would */
  readonly near?: (layer: number) => boolean
  /** Layers of those models whose scores are divided by the root of width / heads in place of a head's size. */
  readonly large?: number
}

const FORMS: Readonly<Record<string, LlamaForm>> = {
  llama: { name: 'llama', interleaved: true },
  mistral: { name: 'llama', interleaved: true },
  qwen2: { name: 'qwen2' },
  qwen3: { name: 'qwen3', queryNorms: 'heads' },
  phi3: { name: 'phi3', fused: true },
  gemma: { name: 'gemma', gemma: true },
  gemma2: { name: 'gemma2', gemma: true, norms: 'both', near: (layer) => layer % 2 === 0, large: 46 },
  gemma3_text: { name: 'gemma3', gemma: true, norms: 'both', queryNorms: 'heads', near: (layer) => layer % 6 !== 5, large: 62 },
}

/** `model_type` of the models that have a form. */
export const FAMILIES: readonly string[] = ['gpt2', ...Object.keys(FORMS)]

/** @returns what llama.cpp would compute otherwise, where there is anything */
export function formOf({ decoder }: Architecture, { model_type: type }: ConfigJson): Form | readonly string[] {
  if (decoder === undefined || typeof type !== 'string' || !FAMILIES.includes(type)) {
    return [`model_type: ${JSON.stringify(type)} is none that is written here; those are ${FAMILIES.join(', ')}`]
  }
  const form = FORMS[type]
  return form === undefined ? gpt2Form(decoder as Gpt2Config) : llamaForm(decoder as LlamaConfig, form)
}

function gpt2Form(config: Gpt2Config): Form | readonly string[] {
  const problems = [
    ...differences({ activation: [config.activation, 'gelu_new'], scale_attn_weights: [config.scaled, true], scale_attn_by_inverse_layer_idx: [config.scaledByLayer, false] }),
  ]
  if (problems.length > 0) return problems
  return {
    name: 'gpt2',
    settings: {
      'gpt2.context_length': ['u32', config.maxLength],
      'gpt2.embedding_length': ['u32', config.hiddenSize],
      'gpt2.block_count': ['u32', config.layers],
      'gpt2.feed_forward_length': ['u32', config.intermediateSize],
      'gpt2.attention.head_count': ['u32', config.heads],
      'gpt2.attention.layer_norm_epsilon': ['f32', config.epsilon],
      'gpt2.vocab_size': ['u32', config.vocabSize],
    },
    factors: {},
    nameOf: namer('transformer.', 'h', GPT2_MODULES),
    headsOf: () => undefined,
    normShift: 0,
    ownHead: true,
  }
}

function llamaForm(config: LlamaConfig, form: LlamaForm): Form | readonly string[] {
  const { name, queryNorms, norms = 'before', fused = false, gemma = false } = form
  const { heads, kvHeads, headSize, hiddenSize, layers, factors, caps } = config
  const rotary = rotaryForm(config, name, form.near !== undefined)
  const scale = (size: number): number => 1 / Math.sqrt(size)
  const problems = [
    ...differences({
      hidden_act: [config.activation, gemma ? 'gelu_pytorch_tanh' : 'silu'],
      'query and key norms': [config.queryNorms, queryNorms],
      norms: [config.norms, norms],
      'the scale of scores': [factors.scores, scale(layers === form.large ? hiddenSize / heads : headSize)],
      'the scale of words': [factors.words, gemma ? Math.sqrt(hiddenSize) : 1],
      attn_logit_softcapping: [caps.scores !== undefined, name === 'gemma2'],
      final_logit_softcapping: [caps.logits !== undefined && !gemma, false],
      attention_bias: [config.biases.qkv, name === 'llama' ? config.biases.qkv : name === 'qwen2'],
    }),
    ...Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
      (form.near === undefined || form.near(layer) === (config.window(layer) !== undefined) ? [] : [`layer_types: layer ${layer} attends to ${config.window(layer) === undefined ? 'all' : 'the nearest'} tokens, where llama.cpp's does not`])),
    ...('problems' in rotary ? rotary.problems : []),
  ]
  if (problems.length > 0 || 'problems' in rotary) return problems
  const window = Math.min(...Array.from({ length: layers }, (_, layer) => config.window(layer) ?? Infinity))
  return {
    name,
    settings: {
      [`${name}.context_length`]: ['u32', form.near === undefined ? Math.min(maxLengthOf(config), window) : maxLengthOf(config)],
      [`${name}.embedding_length`]: ['u32', hiddenSize],
      [`${name}.block_count`]: ['u32', layers],
      [`${name}.feed_forward_length`]: ['u32', config.intermediateSize],
      [`${name}.attention.head_count`]: ['u32', heads],
      [`${name}.attention.head_count_kv`]: ['u32', kvHeads],
      [`${name}.attention.key_length`]: ['u32', headSize],
      [`${name}.attention.value_length`]: ['u32', headSize],
      [`${name}.attention.layer_norm_rms_epsilon`]: ['f32', config.epsilon],
      [`${name}.vocab_size`]: ['u32', config.vocabSize],
      ...(form.near === undefined ? (fused ? { [`${name}.attention.sliding_window`]: ['u32', 0] } : {}) : { [`${name}.attention.sliding_window`]: ['u32', window] }),
      ...(caps.scores === undefined ? {} : { [`${name}.attn_logit_softcapping`]: ['f32', caps.scores] }),
      ...(caps.logits === undefined ? {} : { [`${name}.final_logit_softcapping`]: ['f32', caps.logits] }),
      ...rotary.settings,
    } satisfies Settings,
    factors: rotary.factors,
    nameOf: namer('model.', 'layers', norms === 'both' ? { ...LLAMA_MODULES, ...NORMS_OF_BOTH_SIDES } : LLAMA_MODULES),
    headsOf: (module) => (form.interleaved !== true ? undefined : module.endsWith('.q_proj') ? heads : module.endsWith('.k_proj') ? kvHeads : undefined),
    normShift: gemma ? 1 : 0,
    ownHead: !gemma,
  }
}

const LLAMA_MODULES: Readonly<Record<string, string>> = {
  embed_tokens: 'token_embd', norm: 'output_norm', lm_head: 'output',
  input_layernorm: 'attn_norm', post_attention_layernorm: 'ffn_norm',
  'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.qkv_proj': 'attn_qkv', 'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm', 'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.gate_up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down',
}

const NORMS_OF_BOTH_SIDES = { post_attention_layernorm: 'post_attention_norm', pre_feedforward_layernorm: 'ffn_norm', post_feedforward_layernorm: 'post_ffw_norm' }

const GPT2_MODULES: Readonly<Record<string, string>> = {
  wte: 'token_embd', wpe: 'position_embd', ln_f: 'output_norm', lm_head: 'output',
  ln_1: 'attn_norm', 'attn.c_attn': 'attn_qkv', 'attn.c_proj': 'attn_output', ln_2: 'ffn_norm', 'mlp.c_fc': 'ffn_up', 'mlp.c_proj': 'ffn_down',
}

function namer(base: string, layers: string, modules: Readonly<Record<string, string>>): Form['nameOf'] {
  return (module) => {
    const path = module.startsWith(base) ? module.slice(base.length) : module
    const [, layer, inside = ''] = new RegExp(`^${layers}\\.(\\d+)\\.(.+)$`).exec(path) ?? []
    const name = modules[layer === undefined ? path : inside]
    return name === undefined || layer === undefined ? name : `blk.${layer}.${name}`
  }
}

type Plain = string | number | boolean | undefined

/** @param settings what a setting is here, and what llama.cpp has in its place */
function differences(settings: Readonly<Record<string, readonly [here: Plain, there: Plain]>>): string[] {
  return Object.entries(settings).flatMap(([name, [here, there]]) =>
    (here === there || (typeof here === 'number' && typeof there === 'number' && Math.abs(here / there - 1) < 1e-6) ? [] : [`${name}: ${String(here ?? 'none')} here, ${String(there ?? 'none')} there`]))
}
