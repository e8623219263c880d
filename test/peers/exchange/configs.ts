// Settings of small models, unusual but valid, in the words of transformers' configuration classes.

import { given, type Draw } from './draw.ts'

type Settings = Readonly<Record<string, unknown>>

const ACTIVATIONS = ['gelu', 'gelu_new', 'relu', 'silu', 'gelu_pytorch_tanh', 'swish', 'tanh', 'gelu_fast', 'quick_gelu', 'relu2', 'mish', 'sigmoid', 'gelu_10', 'leaky_relu']
const RARE_ACTIVATIONS = ['relu6', 'linear', 'laplace', 'hardswish']

/** Left out as a rule, which means the family's own. */
export function activation(draw: Draw): string | undefined {
  return draw.maybe(0.35, () => draw.pick(draw.chance(0.15) ? RARE_ACTIVATIONS : ACTIVATIONS))
}

export function bertConfig(draw: Draw): Settings {
  const heads = draw.int(1, 4)
  return given({
    vocab_size: draw.int(12, 50),
    hidden_size: heads * draw.int(2, 9),
    num_hidden_layers: draw.int(1, 3),
    num_attention_heads: heads,
    intermediate_size: draw.int(5, 40),
    hidden_act: activation(draw),
    max_position_embeddings: draw.int(24, 40),
    type_vocab_size: draw.maybe(0.5, () => draw.int(1, 3)),
    layer_norm_eps: draw.maybe(0.3, () => draw.pick([1e-12, 1e-6, 1e-5, 0.01])),
    hidden_dropout_prob: draw.maybe(0.3, () => draw.pick([0, 0.1, 0.5])),
    attention_probs_dropout_prob: draw.maybe(0.2, () => draw.pick([0, 0.3])),
    classifier_dropout: draw.maybe(0.3, () => draw.pick([null, 0, 0.2])),
    tie_word_embeddings: draw.maybe(0.4, () => draw.chance(0.5)),
    pad_token_id: draw.maybe(0.3, () => draw.int(0, 3)),
  })
}

export function distilbertConfig(draw: Draw): Settings {
  const heads = draw.int(1, 4)
  return given({
    vocab_size: draw.int(12, 50),
    dim: heads * draw.int(2, 9),
    n_layers: draw.int(1, 3),
    n_heads: heads,
    hidden_dim: draw.int(5, 40),
    activation: activation(draw),
    max_position_embeddings: draw.int(24, 40),
    sinusoidal_pos_embds: draw.maybe(0.2, () => draw.chance(0.5)),
    seq_classif_dropout: draw.maybe(0.2, () => draw.pick([0, 0.4])),
    qa_dropout: draw.maybe(0.2, () => draw.pick([0, 0.4])),
    tie_word_embeddings: draw.maybe(0.4, () => draw.chance(0.5)),
    pad_token_id: draw.maybe(0.3, () => draw.int(0, 3)),
  })
}

export function modernbertConfig(draw: Draw): Settings {
  const [heads, headSize] = [draw.int(1, 3), 2 * draw.int(1, 4)]
  const positions = draw.int(24, 40)
  const layers = draw.int(1, 3)
  const dropout = (): number | undefined => draw.maybe(0.2, () => draw.pick([0, 0.3]))
  const flag = (): boolean | undefined => draw.maybe(0.3, () => draw.chance(0.5))
  return given({
    vocab_size: draw.int(12, 50),
    hidden_size: heads * headSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: draw.int(5, 40),
    hidden_activation: activation(draw),
    classifier_activation: activation(draw),
    max_position_embeddings: positions,
    local_attention: draw.maybe(0.8, () => draw.int(0, 12)),
    layer_types: draw.maybe(0.5, () => layerTypes(draw, { num_hidden_layers: layers })),
    global_attn_every_n_layers: draw.maybe(0.3, () => draw.int(1, 3)),
    rope_parameters: draw.maybe(0.5, () => ({ full_attention: rope(draw, headSize, positions), sliding_attention: rope(draw, headSize, positions) })),
    norm_eps: draw.maybe(0.3, () => draw.pick([1e-6, 0.01])),
    norm_bias: flag(), attention_bias: flag(), mlp_bias: flag(), decoder_bias: flag(), classifier_bias: flag(), tie_word_embeddings: flag(),
    classifier_pooling: draw.maybe(0.5, () => draw.pick(['cls', 'mean'])),
    embedding_dropout: dropout(), attention_dropout: dropout(), mlp_dropout: dropout(), classifier_dropout: dropout(),
    pad_token_id: draw.int(0, 3), cls_token_id: 1, sep_token_id: 2, bos_token_id: 1, eos_token_id: 2,
  })
}

export function gpt2Config(draw: Draw): Settings {
  const heads = draw.int(1, 4)
  return given({
    vocab_size: draw.int(12, 50),
    n_embd: heads * draw.int(2, 9),
    n_layer: draw.int(1, 3),
    n_head: heads,
    n_inner: draw.maybe(0.4, () => draw.pick([null, draw.int(5, 40)])),
    n_positions: draw.int(24, 40),
    activation_function: activation(draw),
    layer_norm_epsilon: draw.maybe(0.3, () => draw.pick([1e-6, 1e-5, 0.01])),
    scale_attn_weights: draw.maybe(0.3, () => draw.chance(0.5)),
    scale_attn_by_inverse_layer_idx: draw.maybe(0.3, () => draw.chance(0.5)),
    reorder_and_upcast_attn: draw.maybe(0.1, () => draw.chance(0.5)),
    tie_word_embeddings: draw.maybe(0.4, () => draw.chance(0.5)),
    pad_token_id: draw.maybe(0.7, () => draw.int(0, 3)),
    bos_token_id: 1,
    eos_token_id: 2,
  })
}

function rope(draw: Draw, headSize: number, positions: number): Settings {
  const theta = draw.pick([10_000, 500, 1_000_000])
  const factor = draw.number(1, 8)
  const factors = (): number[] => Array.from({ length: headSize / 2 }, () => draw.number(1, 4))
  const original = { original_max_position_embeddings: draw.int(4, positions) }
  const kinds: readonly (() => Settings)[] = [
    () => ({ rope_type: 'default' }),
    () => ({ rope_type: 'default' }),
    () => ({ rope_type: 'linear', factor }),
    () => ({ rope_type: headSize > 2 ? 'dynamic' : 'default', factor }), // its formula divides by headSize - 2
    () => ({ rope_type: 'llama3', factor, low_freq_factor: 1, high_freq_factor: draw.pick([2, 4]), ...original }),
    () => given({
      rope_type: 'yarn', factor, ...original,
      beta_fast: draw.maybe(0.3, () => 16), beta_slow: draw.maybe(0.3, () => 2),
      attention_factor: draw.maybe(0.3, () => draw.number(0.5, 1.5)), truncate: draw.maybe(0.3, () => draw.chance(0.5)),
    }),
    () => ({ rope_type: 'longrope', factor, short_factor: factors(), long_factor: factors(), ...original }),
  ]
  return { rope_theta: theta, ...draw.pick(kinds)() }
}

export function robertaConfig(draw: Draw): Settings {
  return { ...bertConfig(draw), pad_token_id: draw.int(0, 3) }
}

export function ernieConfig(draw: Draw): Settings {
  return given({ ...bertConfig(draw), use_task_id: draw.maybe(0.2, () => false) })
}

export function electraConfig(draw: Draw): Settings {
  const config = bertConfig(draw)
  return { ...config, embedding_size: draw.chance(0.5) ? config['hidden_size'] : draw.int(3, 20) }
}

export function debertaConfig(draw: Draw): Settings {
  const config = bertConfig(draw)
  const positions = Number(config['max_position_embeddings'])
  const relative = draw.chance(0.8)
  return given({
    ...config,
    type_vocab_size: draw.pick([0, 0, 2]),
    classifier_dropout: undefined,
    relative_attention: relative || draw.maybe(0.5, () => false),
    pos_att_type: draw.pick([null, 'p2c|c2p', ['c2p', 'p2c'], ['c2p'], 'p2c']),
    max_relative_positions: draw.maybe(0.5, () => draw.pick([-1, draw.int(9, positions)])),
    position_buckets: draw.maybe(0.6, () => draw.int(2, 12)),
    share_att_key: draw.maybe(0.6, () => draw.chance(0.7)),
    norm_rel_ebd: relative ? draw.maybe(0.5, () => draw.pick(['layer_norm', 'none'])) : undefined, // transformers saves a norm that it does not use
    position_biased_input: draw.maybe(0.6, () => draw.chance(0.4)),
    embedding_size: draw.maybe(0.2, () => draw.int(3, 20)),
    conv_kernel_size: draw.maybe(0.25, () => draw.pick([1, 3, 5])),
    conv_act: draw.maybe(0.2, () => 'gelu'),
    pooler_hidden_act: draw.maybe(0.2, () => 'tanh'),
  })
}

export function mpnetConfig(draw: Draw): Settings {
  return { ...robertaConfig(draw), pad_token_id: 1, classifier_dropout: undefined, type_vocab_size: 0, relative_attention_num_buckets: draw.pick([32, 40]) }
}

export function albertConfig(draw: Draw): Settings {
  const config = bertConfig(draw)
  return given({
    ...config,
    classifier_dropout: undefined,
    embedding_size: draw.int(3, 20),
    num_hidden_groups: draw.maybe(0.4, () => draw.int(1, Number(config['num_hidden_layers']))),
    inner_group_num: draw.maybe(0.2, () => 2),
  })
}

export function nomicBertConfig(draw: Draw): Settings {
  const config = bertConfig(draw)
  const [usual, own] = [Number(config['hidden_size']) / Number(config['num_attention_heads']), 2 * draw.int(1, 5)]
  const headSize = usual % 2 === 0 && draw.chance(0.5) ? usual : own
  return given({
    ...config,
    head_dim: headSize === usual ? undefined : headSize,
    hidden_dropout_prob: draw.maybe(0.3, () => 0.1), attention_probs_dropout_prob: draw.maybe(0.2, () => 0.3), classifier_dropout: draw.maybe(0.3, () => 0.2), // not 0, which its class refuses
    rope_parameters: draw.maybe(0.5, () => rope(draw, headSize, Number(config['max_position_embeddings']))),
  })
}

function llamaConfig(draw: Draw): Settings {
  const kvHeads = draw.int(1, 2)
  const heads = kvHeads * draw.int(1, 3)
  const usual = 2 * draw.int(1, 5) // the rotation turns pairs
  const headSize = draw.chance(0.4) ? 2 * draw.int(1, 6) : usual
  const positions = draw.int(24, 40)
  return given({
    vocab_size: draw.int(12, 50),
    hidden_size: heads * usual,
    num_hidden_layers: draw.int(1, 3),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads, // left out, it is 8 or 32 in some families
    head_dim: headSize,
    intermediate_size: draw.int(5, 40),
    hidden_act: draw.maybe(0.1, () => draw.pick(['swish', 'gelu', 'relu', 'gelu_pytorch_tanh', 'mish', 'relu2'])),
    max_position_embeddings: positions,
    rms_norm_eps: draw.maybe(0.4, () => draw.pick([1e-6, 1e-5, 0.01])),
    rope_parameters: draw.maybe(0.6, () => rope(draw, headSize, positions)),
    tie_word_embeddings: draw.maybe(0.6, () => draw.chance(0.5)),
    pad_token_id: draw.maybe(0.7, () => draw.int(0, 3)),
    bos_token_id: 1,
    eos_token_id: 2,
  })
}

export function llamaOwn(draw: Draw): Settings {
  return given({
    ...llamaConfig(draw),
    ...(draw.chance(0.3) ? { num_key_value_heads: null } : {}),
    attention_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    mlp_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    pretraining_tp: draw.maybe(0.1, () => 1),
  })
}

export function mistralConfig(draw: Draw): Settings {
  return given({ ...llamaConfig(draw), sliding_window: draw.maybe(0.7, () => draw.pick([null, draw.int(1, 9)])) })
}

function layerTypes(draw: Draw, config: Settings): string[] {
  return Array.from({ length: Number(config['num_hidden_layers']) }, () => draw.pick(['full_attention', 'sliding_attention']))
}

export function qwenConfig(draw: Draw): Settings {
  const config = llamaConfig(draw)
  const layers = Number(config['num_hidden_layers'])
  const windowed = draw.chance(0.5)
  return given({
    ...config,
    use_sliding_window: windowed || undefined,
    sliding_window: draw.maybe(windowed ? 0.9 : 0.2, () => draw.int(1, 9)),
    max_window_layers: draw.maybe(windowed ? 0.8 : 0.2, () => draw.int(0, layers)),
    layer_types: windowed ? draw.maybe(0.4, () => layerTypes(draw, config)) : undefined,
  })
}

export function qwen3Config(draw: Draw): Settings {
  return given({ ...qwenConfig(draw), attention_bias: draw.maybe(0.3, () => draw.chance(0.5)) })
}

export function ministralConfig(draw: Draw): Settings {
  const config = { ...llamaConfig(draw), sliding_window: draw.int(1, 9) } // transformers does not run it without
  return given({ ...config, layer_types: draw.maybe(0.5, () => layerTypes(draw, config)) })
}

export function ministral3Config(draw: Draw): Settings {
  const config: Settings = mistralConfig(draw)
  const rotary = { rope_type: 'yarn', rope_theta: draw.pick([500, 10_000]), factor: draw.number(1, 8), original_max_position_embeddings: draw.int(2, 16) }
  const growing = { ...rotary, llama_4_scaling_beta: draw.pick([0, 0.1, 0.7]) }
  return given({ ...config, pad_token_id: draw.int(0, 3), rope_parameters: draw.maybe(0.8, () => growing) })
}

export function qwen35Config(draw: Draw): Settings {
  const config: Settings = { ...llamaConfig(draw), rope_parameters: undefined }
  const keyHeads = draw.int(1, 2)
  const [headSize, layers] = [4 * draw.int(1, 3), Number(config['num_hidden_layers'])]
  const rotary = { rope_type: 'default', rope_theta: draw.pick([100, 10_000]), partial_rotary_factor: draw.pick([0.5, 1]) }
  return given({
    ...config,
    head_dim: headSize,
    // transformers' cache wants a layer that attends
    ...(draw.chance(0.7)
      ? { layer_types: Array.from({ length: layers }, (_, i) => (i === layers - 1 ? 'full_attention' : draw.pick(['linear_attention', 'full_attention']))) }
      : { full_attention_interval: draw.int(1, layers) }),
    linear_num_key_heads: keyHeads,
    linear_num_value_heads: keyHeads * draw.int(1, 2),
    linear_key_head_dim: draw.int(2, 6),
    linear_value_head_dim: draw.int(2, 6),
    linear_conv_kernel_dim: draw.int(2, 5),
    attention_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    rms_norm_eps: draw.pick([1e-4, 0.01]), // the norm of what a memory gives is steep where that is little
    rope_parameters: headSize === 8 ? draw.maybe(0.7, () => rotary) : rotary,
  })
}

export function smollm3Config(draw: Draw): Settings {
  const config = llamaConfig(draw)
  const windowed = draw.chance(0.5)
  return given({
    ...config,
    no_rope_layers: draw.maybe(0.5, () => Array.from({ length: Number(config['num_hidden_layers']) }, () => draw.int(0, 1))),
    no_rope_layer_interval: draw.maybe(0.5, () => draw.int(1, 3)),
    use_sliding_window: windowed || undefined,
    sliding_window: draw.maybe(windowed ? 0.9 : 0.2, () => draw.int(1, 9)),
    pad_token_id: draw.int(0, 3), // beyond the vocabulary where it is left out
    attention_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    mlp_bias: draw.maybe(0.3, () => draw.chance(0.5)),
  })
}

export function phi3Config(draw: Draw): Settings {
  const config: Settings = { ...llamaConfig(draw), head_dim: undefined, rope_parameters: undefined }
  const headSize = Number(config['hidden_size']) / Number(config['num_attention_heads'])
  const turned = 2 * draw.int(1, headSize / 2)
  const factors = (): number[] => Array.from({ length: turned / 2 }, () => draw.number(1, 4))
  const long = draw.chance(0.5)
  const rotary = { rope_theta: draw.pick([10_000, 500]), partial_rotary_factor: turned / headSize, rope_type: long ? 'longrope' : 'default' }
  return given({
    ...config,
    pad_token_id: draw.int(0, 3), // beyond the vocabulary where it is left out
    original_max_position_embeddings: draw.int(4, 40),
    rope_parameters: draw.maybe(0.7, () => ({ ...rotary, ...(long ? { short_factor: factors(), long_factor: factors() } : {}) })),
    sliding_window: draw.maybe(0.3, () => draw.int(1, 9)),
    resid_pdrop: draw.maybe(0.2, () => 0.3),
  })
}

export function graniteConfig(draw: Draw): Settings {
  const factor = (): number | undefined => draw.maybe(0.7, () => draw.pick([0.3, 2, 0.7]))
  return given({
    ...llamaOwn(draw), pretraining_tp: undefined,
    embedding_multiplier: factor(), residual_multiplier: factor(), attention_multiplier: factor(), logits_scaling: factor(),
  })
}

export function gemmaConfig(draw: Draw): Settings {
  return given({ ...llamaConfig(draw), pad_token_id: draw.int(0, 3), attention_bias: draw.maybe(0.3, () => draw.chance(0.5)) })
}

export function gemma2Config(draw: Draw): Settings {
  const { hidden_act: activation, ...config } = gemmaConfig(draw)
  return given({
    ...config,
    hidden_activation: activation,
    query_pre_attn_scalar: draw.maybe(0.7, () => draw.int(1, 20)),
    sliding_window: draw.int(1, 9),
    layer_types: draw.maybe(0.5, () => layerTypes(draw, config)),
    final_logit_softcapping: draw.maybe(0.5, () => draw.pick([null, 1.5, 20.5])),
    attn_logit_softcapping: draw.maybe(0.5, () => draw.pick([null, 0.7, 20.5])),
  })
}

export function gemma3Config(draw: Draw): Settings {
  const kind = (): Settings => given({ rope_type: 'default', rope_theta: draw.maybe(0.7, () => draw.pick([100, 10_000])) })
  return given({
    ...gemma2Config(draw),
    rope_parameters: draw.maybe(0.6, () => ({ full_attention: kind(), sliding_attention: kind() })),
  })
}

export function gemma4Config(draw: Draw): Settings {
  const { hidden_act: activation, ...config } = gemmaConfig(draw)
  const layers = draw.int(2, 4)
  const kinds = draw.pick([['full_attention', 'sliding_attention'], ['full_attention']]) // from the last layer down
  const experts = { enable_moe_block: true, num_experts: draw.int(2, 4), top_k_experts: draw.int(1, 2), moe_intermediate_size: draw.int(4, 9) }
  const told = { hidden_size_per_layer_input: draw.int(2, 8), vocab_size_per_layer_input: config['vocab_size'] }
  return given({
    ...config,
    hidden_activation: activation,
    num_hidden_layers: layers,
    layer_types: Array.from({ length: layers }, (_, i) => kinds[(layers - 1 - i) % kinds.length]),
    global_head_dim: 2 * draw.int(2, 6),
    rope_parameters: draw.maybe(0.6, () => ({
      full_attention: { rope_type: 'proportional', rope_theta: draw.pick([100, 10_000]), partial_rotary_factor: draw.pick([0.25, 0.5, 1]) },
      sliding_attention: { rope_type: 'default', rope_theta: draw.pick([100, 10_000]) },
    })),
    sliding_window: draw.int(2, 9),
    num_kv_shared_layers: draw.int(0, layers - kinds.length),
    use_double_wide_mlp: draw.chance(0.5),
    attention_k_eq_v: draw.chance(0.3),
    final_logit_softcapping: draw.maybe(0.4, () => draw.pick([1.5, 20.5])),
    ...(draw.chance(0.7) ? told : { hidden_size_per_layer_input: 0 }),
    ...(draw.chance(0.3) ? experts : {}),
  })
}

export function olmo2Config(draw: Draw): Settings {
  return given({ ...llamaConfig(draw), pad_token_id: draw.int(0, 3), attention_bias: draw.maybe(0.3, () => draw.chance(0.5)) })
}

export function olmo3Config(draw: Draw): Settings {
  const config = { ...olmo2Config(draw), sliding_window: draw.int(1, 9), rope_parameters: undefined }
  const kind = (): Settings => given({ rope_type: 'default', rope_theta: draw.maybe(0.7, () => draw.pick([100, 10_000])) })
  return given({
    ...config,
    layer_types: draw.maybe(0.6, () => layerTypes(draw, config)),
    rope_parameters: draw.maybe(0.6, () => ({ full_attention: kind(), sliding_attention: kind() })),
  })
}

export function seedOssConfig(draw: Draw): Settings {
  return given({
    ...llamaConfig(draw),
    pad_token_id: draw.int(0, 3), // 1 where it is left out
    attention_bias: draw.maybe(0.4, () => draw.chance(0.5)),
    attention_out_bias: draw.maybe(0.4, () => draw.chance(0.5)),
    mlp_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    residual_dropout: draw.maybe(0.2, () => 0.3),
  })
}

/** Experts in place of a feed-forward part. */
function experts(draw: Draw, count: 'num_experts' | 'num_local_experts'): Settings {
  const experts = draw.int(1, 5)
  return { [count]: experts, num_experts_per_tok: draw.int(1, Math.min(experts, 3)) }
}

export function mixtralConfig(draw: Draw): Settings {
  return { ...mistralConfig(draw), ...experts(draw, 'num_local_experts') }
}

export function qwen3MoeConfig(draw: Draw): Settings {
  const config = llamaConfig(draw)
  return given({
    ...config,
    ...experts(draw, 'num_experts'),
    moe_intermediate_size: draw.int(3, 20),
    norm_topk_prob: draw.maybe(0.6, () => draw.chance(0.5)),
    decoder_sparse_step: draw.maybe(0.3, () => draw.int(1, 2)),
    mlp_only_layers: draw.maybe(0.3, () => [draw.int(0, Number(config['num_hidden_layers']) - 1)]),
    attention_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    use_sliding_window: draw.maybe(0.4, () => true),
    sliding_window: draw.maybe(0.6, () => draw.int(1, 9)),
  })
}

export function gptOssConfig(draw: Draw): Settings {
  const config = llamaConfig(draw)
  return given({
    ...config,
    ...experts(draw, 'num_local_experts'),
    hidden_act: undefined, // its experts have an activation of their own
    sliding_window: draw.int(1, 9),
    layer_types: draw.maybe(0.5, () => layerTypes(draw, config)),
    attention_bias: draw.maybe(0.3, () => draw.chance(0.5)),
    pad_token_id: draw.int(0, 3),
  })
}
