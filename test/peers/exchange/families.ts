// Where recipes find the parts of each family.

import type { Task } from '../../../src/base/architecture.ts'
import {
  albertConfig, bertConfig, debertaConfig, distilbertConfig, electraConfig, ernieConfig, gemma2Config, gemma3Config, gemma4Config, gemmaConfig, gpt2Config, gptOssConfig, graniteConfig, llamaOwn, ministral3Config, ministralConfig, mistralConfig, mixtralConfig, modernbertConfig, mpnetConfig, nomicBertConfig, olmo2Config, olmo3Config,
  phi3Config, qwen35Config, qwen3Config, qwen3MoeConfig, qwenConfig, robertaConfig, seedOssConfig, smollm3Config,
} from './configs.ts'
import type { Draw } from './draw.ts'
import { bartConfig, clipConfig, dinov2Config, siglipConfig, t5Config, vitConfig } from './tower-configs.ts'

/** What a recipe has to know of a family. */
export interface Family {
  readonly decoder: boolean
  /** @default a text */
  readonly reads?: 'two texts' | 'pictures' | 'pictures and texts'
  readonly config: (draw: Draw) => Readonly<Record<string, unknown>>
  readonly tasks: readonly Task[]
  /** Ends of module paths. */
  readonly linear: readonly string[]
  readonly embeddings: readonly string[]
  readonly norms: readonly string[]
  readonly feedForward: readonly string[]
  /** The name before a layer's number. */
  readonly layers: string
  /** The head's product. */
  readonly head: string
  /** Modules that all-linear takes in PEFT, whose model does not run what it puts there. */
  readonly idle?: readonly string[]
}

const ENCODER_TASKS: readonly Task[] = ['feature-extraction', 'sequence-classification', 'token-classification', 'question-answering', 'masked-lm']
const DECODER_TASKS: readonly Task[] = ['feature-extraction', 'sequence-classification', 'token-classification', 'causal-lm', 'causal-lm']

const BERT: Family = {
  decoder: false,
  config: bertConfig,
  tasks: ENCODER_TASKS,
  linear: ['query', 'key', 'value', 'dense', 'attention.output.dense', 'intermediate.dense', 'attention.self.query'],
  embeddings: ['word_embeddings', 'position_embeddings', 'token_type_embeddings'],
  norms: ['LayerNorm', 'attention.output.LayerNorm', 'embeddings.LayerNorm'],
  feedForward: ['dense', 'intermediate.dense'],
  layers: 'layer',
  head: 'decoder',
}

const LLAMA: Family = {
  decoder: true,
  config: llamaOwn,
  tasks: DECODER_TASKS,
  linear: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'self_attn.q_proj'],
  embeddings: ['embed_tokens'],
  norms: ['input_layernorm', 'post_attention_layernorm', 'norm'],
  feedForward: ['down_proj', 'up_proj'],
  layers: 'layers',
  head: 'lm_head',
}

/** Of experts alone: what is not theirs. */
const MIXTURE = { ...LLAMA, linear: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'self_attn.q_proj'], feedForward: [] }

/** Transformers has no other classes for it. */
const ONLY_LM: readonly Task[] = ['feature-extraction', 'causal-lm']
const GEMMA_NORMS = ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm', 'norm']
const OLMO = {
  tasks: DECODER_TASKS.filter((task) => task !== 'token-classification'),
  norms: ['post_attention_layernorm', 'post_feedforward_layernorm', 'norm', 'q_norm', 'k_norm'],
}

const T5: Family = {
  decoder: false,
  reads: 'two texts',
  config: t5Config,
  tasks: ['seq2seq-lm'],
  linear: ['q', 'k', 'v', 'o', 'wo', 'SelfAttention.q', 'EncDecAttention.v'],
  embeddings: ['embed_tokens', 'relative_attention_bias'],
  norms: ['layer_norm', 'final_layer_norm'],
  feedForward: ['wo'],
  layers: 'block',
  head: 'lm_head',
}

const VIT: Family = {
  decoder: false,
  reads: 'pictures',
  config: vitConfig,
  tasks: ['feature-extraction', 'image-classification', 'image-classification'],
  linear: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'fc1', 'fc2', 'attention.q_proj', 'projection'],
  embeddings: [],
  norms: ['layernorm_before', 'layernorm_after', 'layernorm'],
  feedForward: ['fc2', 'fc1'],
  layers: 'layers',
  head: 'classifier',
}

const CLIP: Family = {
  ...VIT,
  reads: 'pictures and texts',
  config: clipConfig,
  tasks: ['image-text'],
  linear: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2', 'self_attn.q_proj', 'visual_projection', 'text_projection'],
  embeddings: ['token_embedding'],
  norms: ['layer_norm1', 'layer_norm2', 'pre_layrnorm', 'post_layernorm', 'final_layer_norm'],
}

export const FAMILIES: Readonly<Record<string, Family>> = {
  bert: BERT,
  ernie: { ...BERT, config: ernieConfig },
  electra: { ...BERT, config: electraConfig, head: 'generator_lm_head' },
  roberta: { ...BERT, config: robertaConfig },
  'xlm-roberta': { ...BERT, config: robertaConfig },
  camembert: { ...BERT, config: robertaConfig },
  'data2vec-text': { ...BERT, config: robertaConfig },
  'deberta-v2': {
    ...BERT,
    config: debertaConfig,
    linear: ['query_proj', 'key_proj', 'value_proj', 'dense', 'attention.output.dense', 'intermediate.dense', 'attention.self.query_proj'],
    embeddings: ['word_embeddings'],
  },
  mpnet: {
    ...BERT,
    config: mpnetConfig,
    linear: ['attn.q', 'attn.k', 'attn.v', 'attn.o', 'dense', 'intermediate.dense'],
    embeddings: ['word_embeddings', 'position_embeddings', 'relative_attention_bias'],
  },
  albert: {
    ...BERT,
    config: albertConfig,
    linear: ['query', 'key', 'value', 'attention.dense', 'ffn', 'ffn_output', 'embedding_hidden_mapping_in'],
    norms: ['attention.LayerNorm', 'full_layer_layer_norm', 'embeddings.LayerNorm'],
    feedForward: ['ffn', 'ffn_output'],
    layers: 'albert_layer_groups',
  },
  nomic_bert: {
    ...BERT,
    config: nomicBertConfig,
    tasks: ENCODER_TASKS.filter((task) => task !== 'question-answering'),
    linear: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'self_attn.q_proj'],
    embeddings: ['word_embeddings', 'token_type_embeddings'],
    norms: ['post_attention_layernorm', 'post_mlp_layernorm', 'embeddings.LayerNorm'],
    feedForward: ['down_proj', 'up_proj'],
    layers: 'layers',
  },
  distilbert: {
    ...BERT,
    config: distilbertConfig,
    linear: ['q_lin', 'k_lin', 'v_lin', 'out_lin', 'lin1', 'lin2', 'attention.q_lin'],
    embeddings: ['word_embeddings', 'position_embeddings'],
    norms: ['sa_layer_norm', 'output_layer_norm', 'LayerNorm'],
    feedForward: ['lin1', 'lin2'],
    head: 'vocab_projector',
  },
  modernbert: {
    ...BERT,
    config: modernbertConfig,
    linear: ['Wqkv', 'Wi', 'attn.Wo', 'mlp.Wo', 'Wo'],
    embeddings: ['tok_embeddings'],
    norms: ['attn_norm', 'mlp_norm', 'final_norm', 'embeddings.norm'],
    feedForward: ['mlp.Wo', 'Wi'],
    layers: 'layers',
  },
  gpt2: {
    ...LLAMA,
    config: gpt2Config,
    linear: ['c_attn', 'c_proj', 'c_fc', 'attn.c_proj', 'mlp.c_proj'],
    embeddings: ['wte', 'wpe'],
    norms: ['ln_1', 'ln_2', 'ln_f'],
    feedForward: ['mlp.c_proj', 'c_fc'],
    layers: 'h',
  },
  llama: LLAMA,
  mistral: { ...LLAMA, config: mistralConfig },
  ministral3: { ...LLAMA, config: ministral3Config },
  ministral: { ...LLAMA, config: ministralConfig },
  seed_oss: { ...LLAMA, config: seedOssConfig },
  qwen2: { ...LLAMA, config: qwenConfig },
  qwen3: { ...LLAMA, config: qwen3Config, norms: [...LLAMA.norms, 'q_norm', 'k_norm'] },
  phi3: { ...LLAMA, config: phi3Config, linear: ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj', 'self_attn.qkv_proj'], feedForward: ['down_proj', 'gate_up_proj'] },
  qwen3_5_text: {
    ...LLAMA, config: qwen35Config, tasks: DECODER_TASKS.filter((task) => task !== 'token-classification'), norms: [...LLAMA.norms, 'q_norm', 'k_norm'],
    linear: [...LLAMA.linear, 'in_proj_qkv', 'in_proj_z', 'in_proj_a', 'in_proj_b', 'out_proj'],
  },
  mixtral: { ...MIXTURE, config: mixtralConfig },
  qwen3_moe: { ...MIXTURE, config: qwen3MoeConfig, norms: [...LLAMA.norms, 'q_norm', 'k_norm'] },
  gpt_oss: { ...MIXTURE, config: gptOssConfig },
  smollm3: { ...LLAMA, config: smollm3Config },
  granite: { ...LLAMA, config: graniteConfig, tasks: ONLY_LM },
  gemma: { ...LLAMA, config: gemmaConfig },
  gemma2: { ...LLAMA, config: gemma2Config, norms: GEMMA_NORMS },
  gemma3_text: { ...LLAMA, config: gemma3Config, norms: [...GEMMA_NORMS, 'q_norm', 'k_norm'], tasks: DECODER_TASKS.filter((task) => task !== 'token-classification') },
  gemma4_text: { ...LLAMA, config: gemma4Config, norms: [...GEMMA_NORMS, 'q_norm', 'k_norm'], tasks: ONLY_LM, linear: ['q_proj', 'k_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'self_attn.q_proj'] },
  olmo2: { ...LLAMA, config: olmo2Config, ...OLMO },
  olmo3: { ...LLAMA, config: olmo3Config, ...OLMO },
  t5: T5,
  mt5: T5,
  bart: {
    ...T5,
    config: bartConfig,
    tasks: ['seq2seq-lm', 'seq2seq-lm', 'sequence-classification', 'question-answering'],
    linear: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2', 'self_attn.q_proj', 'encoder_attn.v_proj'],
    embeddings: ['embed_tokens'],
    norms: ['self_attn_layer_norm', 'encoder_attn_layer_norm', 'final_layer_norm', 'layernorm_embedding'],
    feedForward: ['fc2', 'fc1'],
    layers: 'layers',
  },
  vit: VIT,
  dinov2: { ...VIT, config: dinov2Config, linear: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'attention.q_proj', 'projection'], norms: ['norm1', 'norm2', 'layernorm'], feedForward: [], layers: 'layer' },
  clip: CLIP,
  siglip: { ...CLIP, config: siglipConfig, idle: ['head.attention.out_proj'], linear: ['q_proj', 'k_proj', 'v_proj', 'fc1', 'fc2', 'self_attn.q_proj'], norms: ['layer_norm1', 'layer_norm2', 'post_layernorm', 'final_layer_norm'] },
}
