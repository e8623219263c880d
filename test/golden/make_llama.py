"""Writes llama/<case>/, mistral/<case>/, qwen2/<case>/ and qwen3/<case>/ (see families.py); llama/lora/, a LoRA on
llama/causal_lm; and llama/generation/."""

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from families import causal_labels, decoder_calls, encoder_batch, make, make_generation, make_lora

SMALL = dict(
    vocab_size=37, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=40,
    max_position_embeddings=96, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)


def rope(kind, **numbers):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **numbers})


def case(family, name, model_class, config_class, seed, **changes):
    config = config_class(**{**SMALL, **changes})
    batch = encoder_batch(seed, config.vocab_size)
    calls = decoder_calls(batch)
    if "SequenceClassification" in model_class.__name__:
        del calls["ids_only"]  # transformers finds the last token by its id, not by the mask
    return make(family, name, model_class, config, seed, batch, calls)


def llama(name, model_class, seed, **changes):
    return case("llama", name, model_class, LlamaConfig, seed, **changes)


if __name__ == "__main__":
    llama("base", LlamaModel, seed=1)
    llama("one_kv_head", LlamaModel, seed=2, num_key_value_heads=1, num_hidden_layers=1, attention_bias=True, mlp_bias=True)
    llama("odd_sizes", LlamaModel, seed=3, num_attention_heads=6, num_key_value_heads=2, hidden_size=30, head_dim=10,
          intermediate_size=41, rms_norm_eps=1e-5, num_hidden_layers=3, vocab_size=29, max_position_embeddings=11)
    llama("rope_llama3", LlamaModel, seed=4, num_key_value_heads=2, num_hidden_layers=1,
          **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=12))
    llama("rope_linear", LlamaModel, seed=5, num_hidden_layers=1, **rope("linear", factor=3.0))
    llama("rope_dynamic", LlamaModel, seed=6, num_hidden_layers=1, max_position_embeddings=8, **rope("dynamic", factor=2.0))
    llama("sequence_classification", LlamaForSequenceClassification, seed=7, num_key_value_heads=2, num_labels=3)
    causal = llama("causal_lm", LlamaForCausalLM, seed=8, num_key_value_heads=2)
    llama("tied", LlamaForCausalLM, seed=9, tie_word_embeddings=True, num_hidden_layers=1)
    case("mistral", "window", MistralForCausalLM, MistralConfig, 10, num_key_value_heads=2, sliding_window=4)
    case("mistral", "no_window", MistralForCausalLM, MistralConfig, 11, num_hidden_layers=1, sliding_window=None)
    case("qwen2", "causal_lm", Qwen2ForCausalLM, Qwen2Config, 12, num_key_value_heads=2, tie_word_embeddings=True)
    case("qwen2", "window", Qwen2ForCausalLM, Qwen2Config, 13, use_sliding_window=True, sliding_window=3, max_window_layers=1)
    case("qwen3", "causal_lm", Qwen3ForCausalLM, Qwen3Config, 14, num_key_value_heads=2, head_dim=8)

    batch = encoder_batch(15, SMALL["vocab_size"])
    options = dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"])
    adapted = make_lora("llama", "lora", "causal_lm", causal, 16, batch, {"labels": causal_labels(batch)}, "CAUSAL_LM", options, True)
    make_generation("llama", "generation", causal, adapted, SMALL["vocab_size"], 17)
