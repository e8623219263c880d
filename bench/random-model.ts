// Checkpoints with random weights, to time models that cannot be fetched: a model's cost does not depend on its values.

import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConfigJson } from '../src/base/architecture.ts'
import { loadEngine } from '../src/base/engine/engine.ts'
import { fromFloat32 } from '../src/base/checkpoint/dtype.ts'
import { writeSafetensors, type TensorToWrite } from '../src/base/checkpoint/safetensors.ts'
import { piecesOf } from '../src/base/checkpoint/stacks.ts'
import { architectureOf } from '../src/base/models/auto.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { traceModel } from '../src/base/trace.ts'
import { cacheFolder } from '../src/setup/cache.ts'

const BERT_BASE = {
  model_type: 'bert', architectures: ['BertModel'], vocab_size: 30522, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12,
  intermediate_size: 3072, hidden_act: 'gelu', max_position_embeddings: 512, type_vocab_size: 2, layer_norm_eps: 1e-12,
  // Off on both sides: random numbers are no part of what is compared.
  hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, initializer_range: 0.02,
}

const GPT2 = {
  model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12,
  activation_function: 'gelu_new', layer_norm_epsilon: 1e-5, embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0, initializer_range: 0.02,
}

const MINILM = { ...BERT_BASE, hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1536 }

/** There is a `minilm-<n>-layers` for each. */
export const LAYERS: readonly number[] = [2, 6, 12, 24]

/** The shapes of models that are timed; MiniLM is all-MiniLM-L6-v2's. */
export const SHAPES: Readonly<Record<string, ConfigJson>> = {
  'gpt2-bfloat16': { ...GPT2, torch_dtype: 'bfloat16' },
  'bert-base': BERT_BASE,
  minilm: MINILM,
  'minilm-long': { ...MINILM, max_position_embeddings: 2048 },
  ...Object.fromEntries(LAYERS.map((layers) => [`minilm-${layers}-layers`, { ...MINILM, num_hidden_layers: layers }])),
  'modernbert-base': {
    model_type: 'modernbert', architectures: ['ModernBertModel'], vocab_size: 50368, hidden_size: 768, intermediate_size: 1152, num_hidden_layers: 22,
    num_attention_heads: 12, max_position_embeddings: 8192, local_attention: 128, global_attn_every_n_layers: 3, global_rope_theta: 160_000,
    local_rope_theta: 10_000, norm_eps: 1e-5, pad_token_id: 50283, initializer_range: 0.02,
  },
  gpt2: GPT2,
  tinyllama: {
    model_type: 'llama', architectures: ['LlamaForCausalLM'], vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632,
    num_hidden_layers: 22, num_attention_heads: 32, num_key_value_heads: 4, max_position_embeddings: 2048, rms_norm_eps: 1e-5,
    rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: false, initializer_range: 0.02, torch_dtype: 'bfloat16',
  },
  't5-base': {
    model_type: 't5', architectures: ['T5ForConditionalGeneration'], vocab_size: 32_128, d_model: 768, d_kv: 64, d_ff: 3072, num_layers: 12, num_heads: 12,
    relative_attention_num_buckets: 32, relative_attention_max_distance: 128, layer_norm_epsilon: 1e-6, feed_forward_proj: 'relu', dropout_rate: 0,
    pad_token_id: 0, eos_token_id: 1, decoder_start_token_id: 0, tie_word_embeddings: true,
  },
  'vit-base': {
    model_type: 'vit', architectures: ['ViTModel'], image_size: 224, patch_size: 16, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12,
    intermediate_size: 3072, hidden_act: 'gelu', hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, layer_norm_eps: 1e-12, initializer_range: 0.02,
  },
  'clip-vit-base-patch32': { model_type: 'clip', architectures: ['CLIPModel'], projection_dim: 512, text_config: {}, vision_config: {} },
  'qwen3-moe-layer': {
    model_type: 'qwen3_moe', architectures: ['Qwen3MoeForCausalLM'], vocab_size: 30_522, hidden_size: 1024, num_hidden_layers: 1, num_attention_heads: 16,
    num_key_value_heads: 4, head_dim: 64, intermediate_size: 3072, moe_intermediate_size: 768, num_experts: 16, num_experts_per_tok: 2,
    norm_topk_prob: true, max_position_embeddings: 2048, rms_norm_eps: 1e-6, rope_theta: 1_000_000, hidden_act: 'silu', tie_word_embeddings: true,
    pad_token_id: 0, initializer_range: 0.02,
  },
  'gemma3-1b': {
    model_type: 'gemma3_text', architectures: ['Gemma3ForCausalLM'], vocab_size: 262_144, hidden_size: 1152, intermediate_size: 6912, num_hidden_layers: 26,
    num_attention_heads: 4, num_key_value_heads: 1, head_dim: 256, max_position_embeddings: 32_768, sliding_window: 512, sliding_window_pattern: 6,
    rope_theta: 1_000_000, rope_local_base_freq: 10_000, query_pre_attn_scalar: 256, rms_norm_eps: 1e-6, hidden_activation: 'gelu_pytorch_tanh',
    pad_token_id: 0, bos_token_id: 2, eos_token_id: 1, initializer_range: 0.02, torch_dtype: 'bfloat16',
  },
  'bert-base-words': { ...BERT_BASE, architectures: ['BertForMaskedLM'] },
  // Llama-3.2-1B's vocabulary and width, of whose layers one is there: the head is what counts.
  'llama3-head': {
    model_type: 'llama', architectures: ['LlamaForCausalLM'], vocab_size: 128_256, hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 1,
    num_attention_heads: 32, num_key_value_heads: 8, head_dim: 64, max_position_embeddings: 8192, rms_norm_eps: 1e-5, rope_theta: 500_000,
    hidden_act: 'silu', tie_word_embeddings: true, initializer_range: 0.02, torch_dtype: 'bfloat16',
  },
  'qwen3-0.6b': {
    model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], vocab_size: 151_936, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28,
    num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128, max_position_embeddings: 40_960, rms_norm_eps: 1e-6, rope_theta: 1_000_000,
    hidden_act: 'silu', tie_word_embeddings: true, initializer_range: 0.02, torch_dtype: 'bfloat16',
  },
}

/**
 * Writes config.json and model.safetensors, in bfloat16 where the configuration says so; the same each time. An encoder's
 * pooler is included and its names are those without a head; a language model is written with its head, once where that is its table of words.
 */
async function writeRandomModel(folder: string, config: ConfigJson): Promise<void> {
  await loadEngine()
  await mkdir(folder, { recursive: true })
  const architecture = architectureOf(config)
  const { 'causal-lm': causal, 'seq2seq-lm': writer, 'masked-lm': filler, 'sequence-classification': classifier, 'image-text': pairs } = architecture.heads
  const lm = causal ?? writer ?? pairs ?? (JSON.stringify(config['architectures']).includes('MaskedLM') ? filler : undefined)
  const head = (lm ?? classifier)?.({ labels: 2, pooling: 'pooler' })
  const { specs } = traceModel((pass) => {
    const batch = architecture.example()
    const encoded = architecture.encode(pairs === undefined ? pass.at(architecture.baseName) : pass, batch)
    head?.run(pass, encoded, batch)
  })
  const half = config['torch_dtype'] === 'bfloat16'
  const tensors: TensorToWrite[] = [...specs]
    .filter(([name]) => lm !== undefined || name.startsWith(`${architecture.baseName}.`))
    .filter(([name]) => !Object.hasOwn(architecture.ties, name)) // one table of words, which both towers and the head have
    .flatMap(([name, spec]) => (spec.pieces === undefined ? [[name, spec] as const] : piecesOf(name, spec)))
    .map(([name, { shape, init, transposed, kernel }]) => ({
      name: lm === undefined ? name.slice(architecture.baseName.length + 1) : name,
      dtype: half ? 'BF16' : 'F32',
      shape: transposed === true ? [...shape].reverse() : kernel === undefined ? shape : [...shape.slice(0, 1), ...kernel],
      data: () => {
        const size = shape.reduce((product, n) => product * n, 1)
        const values = init === 'normal' ? normal(randomStream(0, name), size, 0, 0.02) : new Float32Array(size).fill(init === 'ones' ? 1 : 0)
        return half ? fromFloat32(values, 'BF16') : values
      },
    }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  await writeFile(join(folder, 'config.json'), JSON.stringify(config)) // last: it says that the rest is there
}

/** The folder of a shape's checkpoint, which is written the first time. */
export async function randomModelFolder(shape: string): Promise<string> {
  const config = SHAPES[shape]
  if (config === undefined) throw new Error(`Unknown shape '${shape}'; known: ${Object.keys(SHAPES).join(', ')}`)
  const folder = join(cacheFolder(), 'bench', shape)
  const there = await access(join(folder, 'config.json')).then(() => true, () => false)
  if (!there) await writeRandomModel(folder, config)
  return folder
}
