// Settings of small encoder-decoders, models of pictures, and models of both; see configs.ts.

import { activation } from './configs.ts'
import { given, type Draw } from './draw.ts'

type Settings = Readonly<Record<string, unknown>>

export function t5Config(draw: Draw): Settings {
  const [heads, headSize] = [draw.int(1, 3), draw.int(2, 6)]
  return given({
    vocab_size: draw.int(12, 50),
    d_model: draw.chance(0.7) ? heads * headSize : draw.int(4, 20),
    d_kv: headSize,
    d_ff: draw.int(5, 40),
    num_layers: draw.int(1, 3),
    num_decoder_layers: draw.maybe(0.4, () => draw.int(1, 3)),
    num_heads: heads,
    relative_attention_num_buckets: draw.maybe(0.5, () => 4 * draw.int(1, 5)),
    relative_attention_max_distance: draw.maybe(0.3, () => draw.int(20, 64)),
    feed_forward_proj: draw.maybe(0.6, () => draw.pick(['relu', 'gelu', 'gated-gelu', 'gated-silu', 'silu'])),
    layer_norm_epsilon: draw.maybe(0.3, () => draw.pick([1e-6, 1e-5, 0.01])),
    dropout_rate: draw.maybe(0.3, () => draw.pick([0, 0.3])),
    tie_word_embeddings: draw.maybe(0.5, () => draw.chance(0.5)),
    pad_token_id: 0, eos_token_id: 1, decoder_start_token_id: draw.pick([0, 0, 3]),
  })
}

export function bartConfig(draw: Draw): Settings {
  const heads = draw.int(1, 3)
  return given({
    vocab_size: draw.int(12, 50),
    d_model: heads * 2 * draw.int(1, 5),
    encoder_layers: draw.int(1, 3), decoder_layers: draw.int(1, 3),
    encoder_attention_heads: heads, decoder_attention_heads: draw.chance(0.7) ? heads : 1,
    encoder_ffn_dim: draw.int(5, 40), decoder_ffn_dim: draw.int(5, 40),
    activation_function: activation(draw),
    max_position_embeddings: draw.int(24, 40),
    scale_embedding: draw.maybe(0.4, () => draw.chance(0.5)),
    dropout: draw.maybe(0.2, () => 0.3), attention_dropout: draw.maybe(0.2, () => 0.3), classifier_dropout: draw.maybe(0.2, () => 0.3),
    pad_token_id: draw.int(0, 1), bos_token_id: 0, eos_token_id: 2, decoder_start_token_id: draw.pick([2, 2, 3]), forced_eos_token_id: null,
  })
}

function pictures(draw: Draw): Settings {
  const [heads, patch] = [draw.int(1, 3), draw.int(2, 4)]
  return given({
    hidden_size: heads * 2 * draw.int(1, 5),
    num_hidden_layers: draw.int(1, 3),
    num_attention_heads: heads,
    hidden_act: activation(draw),
    layer_norm_eps: draw.maybe(0.3, () => draw.pick([1e-12, 1e-5, 0.01])),
    image_size: patch * draw.int(1, 3) + draw.int(0, 1),
    patch_size: patch,
    num_channels: draw.maybe(0.3, () => draw.pick([1, 3])),
  })
}

export function vitConfig(draw: Draw): Settings {
  return given({
    ...pictures(draw), intermediate_size: draw.int(5, 40), qkv_bias: draw.maybe(0.4, () => draw.chance(0.5)),
    hidden_dropout_prob: draw.maybe(0.2, () => 0.3), attention_probs_dropout_prob: draw.maybe(0.2, () => 0.3),
  })
}

export function dinov2Config(draw: Draw): Settings {
  return given({
    ...pictures(draw), mlp_ratio: draw.int(1, 4), qkv_bias: draw.maybe(0.4, () => draw.chance(0.5)), use_swiglu_ffn: draw.maybe(0.5, () => draw.chance(0.7)),
    layerscale_value: draw.maybe(0.4, () => draw.number(0.5, 1.5)), use_mask_token: draw.maybe(0.3, () => draw.chance(0.5)),
  })
}

function texts(draw: Draw): Settings {
  const [heads, vocabulary] = [draw.int(1, 3), draw.int(12, 50)]
  return given({
    vocab_size: vocabulary,
    hidden_size: heads * 2 * draw.int(1, 5),
    num_hidden_layers: draw.int(1, 3),
    num_attention_heads: heads,
    intermediate_size: draw.int(5, 40),
    hidden_act: activation(draw),
    layer_norm_eps: draw.maybe(0.3, () => draw.pick([1e-12, 1e-5, 0.01])),
    max_position_embeddings: draw.int(14, 24),
    pad_token_id: 1, bos_token_id: 0, eos_token_id: draw.pick([2, vocabulary - 1]),
  })
}

export function clipConfig(draw: Draw): Settings {
  return given({
    text_config: texts(draw), vision_config: { ...pictures(draw), intermediate_size: draw.int(5, 40) },
    projection_dim: draw.int(3, 20), logit_scale_init_value: draw.maybe(0.3, () => draw.number(0, 3)),
  })
}

export function siglipConfig(draw: Draw): Settings {
  const vision: Settings = pictures(draw)
  return { text_config: { ...texts(draw), projection_size: vision['hidden_size'] }, vision_config: { ...vision, intermediate_size: draw.int(5, 40) } }
}
