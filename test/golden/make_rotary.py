"""Writes rotary/<case>/ (see families.py): one layer of LLaMA's kind with each way to stretch rotary positions, in old words and new.
Each is run on texts shorter and longer than the model was first made for: `full` on a batch of which the longest text is short after
padding, `ids_only` on 11 tokens."""

import json

from transformers import (
    Gemma2Config,
    Gemma2Model,
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    ModernBertConfig,
    ModernBertModel,
    Olmo3Config,
    Olmo3Model,
    Phi3Config,
    Phi3Model,
    Qwen2Config,
    Qwen2Model,
    SmolLM3Config,
    SmolLM3Model,
)

from families import decoder_calls, encoder_batch, make
from reference import HERE

SMALL = dict(
    vocab_size=37, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=20,
    max_position_embeddings=96, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)


def case(name, seed, model_class=Qwen2Model, config_class=Qwen2Config, old=None, short=False, **settings):
    config = config_class(**{**SMALL, **settings})
    batch = encoder_batch(seed, config.vocab_size)
    if short:  # no text is longer than 7, though there are 11 columns
        batch["attention_mask"][:, :4] = 0
        batch["attention_mask"][:, 10] = 1
        batch["input_ids"] *= batch["attention_mask"]
    make("rotary", name, model_class, config, seed, batch, decoder_calls(batch))
    if old is not None:  # the words of transformers 4, which give the same model
        path = HERE / "rotary" / name / "config.json"
        written = json.loads(path.read_text())
        del written["rope_parameters"]
        left = {key: value for key, value in {**written, **old}.items() if value is not None}
        path.write_text(json.dumps(left, indent=2) + "\n")


def old_words(name, seed, model_class, config_class, **settings):
    """Settings of transformers 4 alone, read by transformers 5 itself; nothing is said of each layer."""
    case(name, seed, model_class, config_class, old={**settings, "layer_types": None, "no_rope_layers": None}, num_hidden_layers=2, head_dim=6, **settings)


def yarn(**numbers):
    return {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 24, **numbers}}


LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.3, 1.6], "long_factor": [1.0, 2.0, 4.5, 9.0],
    "original_max_position_embeddings": 8,
}

if __name__ == "__main__":
    case("yarn", 1, **yarn())
    case("yarn_betas", 2, **yarn(beta_fast=8.0, beta_slow=2.0, truncate=False))
    case("yarn_mscale", 3, MistralModel, MistralConfig, **yarn(mscale=0.7, mscale_all_dim=0.4))
    case("yarn_attention_factor", 4, LlamaModel, LlamaConfig, **yarn(attention_factor=1.5))
    case("yarn_old_words", 5, old={"rope_theta": 500.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24}},
         **yarn(rope_theta=500.0))
    case("longrope", 6, **{"rope_parameters": LONG})
    case("longrope_short", 7, short=True, **{"rope_parameters": {**LONG, "factor": 3.0}})
    case("longrope_attention_factor", 8, MistralModel, MistralConfig, **{"rope_parameters": {**LONG, "attention_factor": 1.25}})
    case("dynamic_short", 9, short=True, max_position_embeddings=8,
         **{"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}})
    case("linear_old_words", 10, old={"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 3.0}},
         **{"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0}})
    case("phi3_old_words", 11, Phi3Model, Phi3Config, original_max_position_embeddings=8,
         old={"rope_theta": 500.0, "partial_rotary_factor": 0.5, "rope_scaling": {"type": "su", "short_factor": [1.0, 1.1], "long_factor": [2.0, 4.5]}},
         **{"rope_parameters": {"rope_type": "longrope", "rope_theta": 500.0, "partial_rotary_factor": 0.5, "short_factor": [1.0, 1.1], "long_factor": [2.0, 4.5]}})
    near, whole = [{"rope_type": "linear", "factor": 3.0, "rope_theta": theta} for theta in (100.0, 700.0)]
    case("modernbert_old_words", 12, ModernBertModel, ModernBertConfig, num_hidden_layers=3, local_attention=4, cls_token_id=1, sep_token_id=2,
         layer_types=["full_attention", "sliding_attention", "full_attention"], rope_parameters={"full_attention": whole, "sliding_attention": near},
         old={"layer_types": None, "global_attn_every_n_layers": 2, "global_rope_theta": 700.0, "local_rope_theta": 100.0,
              "rope_scaling": {"rope_type": "linear", "factor": 3.0}})
    windowed = dict(sliding_window=3, rope_theta=1000.0)
    old_words("gemma2_old_words", 12, Gemma2Model, Gemma2Config, **windowed)
    old_words("gemma3_old_words", 13, Gemma3TextModel, Gemma3TextConfig, **windowed, rope_local_base_freq=100.0, sliding_window_pattern=2,
              rope_scaling={"rope_type": "linear", "factor": 2.0})
    old_words("olmo3_old_words", 14, Olmo3Model, Olmo3Config, **windowed, rope_scaling={"type": "linear", "factor": 2.0})
    old_words("smollm3_old_words", 15, SmolLM3Model, SmolLM3Config, **windowed, use_sliding_window=True, no_rope_layer_interval=2)
    case("olmo3_yarn_by_type", 16, Olmo3Model, Olmo3Config, num_hidden_layers=2, layer_types=["full_attention", "sliding_attention"], sliding_window=3,
         rope_parameters={"full_attention": yarn(rope_theta=100.0, beta_fast=1.0, beta_slow=0.3, truncate=False)["rope_parameters"],
                          "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})  # `truncate` is without effect
