"""Writes relatives/<model_type>_<task>/ (see families.py): models that compute as another family does, or nearly so, under names of their own;
relatives/<model_type>_lora/, a LoRA on some of them; and relatives/<model_type>_generation/, what these write."""

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from families import causal_labels, decoder_calls, encoder_batch, encoder_calls, make, make_generation, make_lora, make_prefix

ENCODER = dict(
    vocab_size=29, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20, max_position_embeddings=16,
    type_vocab_size=2, layer_norm_eps=1e-5, num_labels=3,
)
MODERN = dict(
    vocab_size=29, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=10, max_position_embeddings=16,
    local_attention=4, pad_token_id=1, num_labels=3,
)
DECODER = dict(
    vocab_size=29, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=20,
    head_dim=6, max_position_embeddings=96, pad_token_id=0, bos_token_id=1, eos_token_id=2, num_labels=3,
)
PHI3 = {
    **{key: value for key, value in DECODER.items() if key != "head_dim"}, "max_position_embeddings": 96, "original_max_position_embeddings": 24,
    "sliding_window": 9, "rope_parameters": {"rope_type": "longrope", "rope_theta": 1000.0, "partial_rotary_factor": 0.75,
                                             "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.5, 2.5, 4.5]},
}
ENCODERS = {"base": AutoModel, "sequence_classification": AutoModelForSequenceClassification, "token_classification": AutoModelForTokenClassification,
            "masked_lm": AutoModelForMaskedLM, "question_answering": AutoModelForQuestionAnswering}
DECODERS = {"base": AutoModel, "sequence_classification": AutoModelForSequenceClassification, "causal_lm": AutoModelForCausalLM}


def relatives(kind, seed, tasks, base, calls_of, name=None, adapted=False, targets=None, parameters=None, **changes):
    for index, (task, auto) in enumerate(tasks.items()):
        if AutoConfig.for_model(kind).__class__ not in auto._model_mapping:
            continue  # transformers has no such class
        labels = {"num_labels": 2} if task == "question_answering" else {}
        config = AutoConfig.for_model(kind, **{**base, **changes, **labels})
        model_class = auto._model_mapping[type(config)]
        types = config.type_vocab_size if "type_vocab_size" in base else 0
        # where a row is classified by the row at its beginning, padding there is a token whose neighbours in a window are hidden: no number of any use
        kinds = ("full", "right") if base is MODERN and task == "sequence_classification" else ("full", "right", "left")
        batch = encoder_batch(seed + index, config.vocab_size, pad=config.pad_token_id or 0, types=types, kinds=kinds)
        calls = calls_of(batch)
        if task == "sequence_classification" and base in (DECODER, PHI3):
            del calls["ids_only"]  # transformers finds the last token by its id, not by the mask
        model = make("relatives", f"{name or kind}_{task}", model_class, config, seed + index, batch, calls)
        if adapted and task == "sequence_classification" and base not in (DECODER, PHI3):
            labels = {"labels": torch.arange(6) % 3}
            make_lora("relatives", f"{name or kind}_lora", f"{name or kind}_{task}", model, seed + 9, batch, labels, "SEQ_CLS",
                      dict(r=2, lora_alpha=4, target_modules=list(targets or ["query", "value", "output.dense", "embeddings_project"])))
        if adapted and task == "causal_lm":
            options = dict(r=3, lora_alpha=6, target_modules=list(targets or ["q_proj", "v_proj", "o_proj", "down_proj"]), target_parameters=parameters)
            tuned = make_lora("relatives", f"{name or kind}_lora", f"{name or kind}_causal_lm", model, seed + 9, batch, {"labels": causal_labels(batch)}, "CAUSAL_LM", options, True)
            if kind == "gemma4_text" and name is None:
                full = encoder_batch(seed, config.vocab_size, kinds=("full", "right"))
                make_prefix("relatives", f"{kind}_prefix", f"{kind}_causal_lm", model, seed + 9, full)
            if config.max_position_embeddings >= 72:
                make_generation("relatives", f"{name or kind}_generation", model, tuned, config.vocab_size, seed + 7)


if __name__ == "__main__":
    for index, kind in enumerate(["ernie", "xlm-roberta", "camembert", "data2vec-text"]):
        relatives(kind, 10 * index + 1, ENCODERS, ENCODER, encoder_calls, adapted=kind in ("xlm-roberta", "camembert"))
    relatives("electra", 51, ENCODERS, ENCODER, encoder_calls, embedding_size=12, hidden_act="relu")
    relatives("electra", 56, ENCODERS, ENCODER, encoder_calls, name="electra_small", adapted=True, embedding_size=7)
    relatives("modernbert", 201, ENCODERS, MODERN, encoder_calls, adapted=True, targets=["Wqkv", "Wo", "Wi"])
    relatives("modernbert", 211, ENCODERS, MODERN, encoder_calls, name="modernbert_biased", norm_bias=True, attention_bias=True, mlp_bias=True,
              classifier_bias=True, decoder_bias=False, classifier_pooling="mean", classifier_activation="relu", hidden_activation="silu",
              tie_word_embeddings=False, layer_types=["sliding_attention", "full_attention"],
              rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})
    relatives("nomic_bert", 271, ENCODERS, ENCODER, encoder_calls, adapted=True, targets=["q_proj", "o_proj", "gate_proj", "token_type_embeddings"], head_dim=4)
    relatives("nomic_bert", 281, {"base": AutoModel, "masked_lm": AutoModelForMaskedLM}, ENCODER, encoder_calls, name="nomic_bert_linear", hidden_act="gelu",
              type_vocab_size=3, tie_word_embeddings=False, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0})
    relatives("ministral", 61, DECODERS, DECODER, decoder_calls, sliding_window=3, layer_types=["full_attention", "sliding_attention"])
    relatives("seed_oss", 71, DECODERS, DECODER, decoder_calls, attention_out_bias=True)
    relatives("granite", 81, DECODERS, DECODER, decoder_calls, adapted=True, embedding_multiplier=3.0, residual_multiplier=0.4,
              attention_multiplier=0.3, logits_scaling=2.0, attention_bias=True, mlp_bias=True)
    relatives("smollm3", 91, DECODERS, DECODER, decoder_calls, adapted=True, no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=3)
    gemma = dict(hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=9, sliding_window=3)
    relatives("gemma", 121, DECODERS, DECODER, decoder_calls, adapted=True)
    relatives("gemma2", 131, DECODERS, DECODER, decoder_calls, adapted=True, **gemma, attn_logit_softcapping=1.5, final_logit_softcapping=2.0)
    relatives("gemma3_text", 141, DECODERS, DECODER, decoder_calls, adapted=True, **gemma, layer_types=["sliding_attention", "full_attention"],
              rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})
    gemma4 = dict(rms_norm_eps=0.1, num_hidden_layers=4, sliding_window=3, layer_types=["sliding_attention", "full_attention"] * 2, hidden_size_per_layer_input=6,
                  vocab_size_per_layer_input=29, global_head_dim=8, num_kv_shared_layers=2, use_double_wide_mlp=True, rope_parameters={
                      "full_attention": {"rope_type": "proportional", "rope_theta": 1000.0, "partial_rotary_factor": 0.5},
                      "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})
    relatives("gemma4_text", 221, DECODERS, DECODER, decoder_calls, adapted=True, **gemma4, targets=["q_proj", "v_proj", "o_proj", "down_proj", "per_layer_input_gate", "per_layer_model_projection"])
    relatives("gemma4_text", 231, DECODERS, DECODER, decoder_calls, name="gemma4_experts", adapted=True, **{**gemma4, "hidden_size_per_layer_input": 0, "num_hidden_layers": 2,
              "layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0, "use_double_wide_mlp": False}, num_key_value_heads=2, num_global_key_value_heads=1,
              attention_k_eq_v=True, attention_bias=True, final_logit_softcapping=2.0, enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=6,
              targets=["q_proj", "k_proj", "o_proj", "down_proj", "router.proj"], parameters=["experts.gate_up_proj", "experts.down_proj"])
    relatives("olmo2", 101, DECODERS, DECODER, decoder_calls, adapted=True)
    relatives("olmo3", 111, DECODERS, DECODER, decoder_calls, adapted=True, sliding_window=3, layer_types=["sliding_attention", "full_attention"],
              rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0}})
    relatives("phi3", 151, DECODERS, PHI3, decoder_calls, adapted=True, targets=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])
    relatives("ministral3", 161, DECODERS, DECODER, decoder_calls, adapted=True, max_position_embeddings=96, sliding_window=9, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 4, "mscale": 1.0, "mscale_all_dim": 0.5,
        "llama_4_scaling_beta": 0.3})
    attended = ("q_proj", "v_proj", "o_proj")
    balanced = dict(output_router_logits=True, router_aux_loss_coef=0.1)
    qwen = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=6, norm_topk_prob=True)
    relatives("qwen3_moe", 151, {task: DECODERS[task] for task in ("base", "causal_lm")}, DECODER, decoder_calls, adapted=True, targets=attended, **qwen, **balanced)
    relatives("qwen3_moe", 156, {"sequence_classification": DECODERS["sequence_classification"]}, DECODER, decoder_calls, **{**qwen, "norm_topk_prob": False}, mlp_only_layers=[0])
    relatives("gpt_oss", 171, DECODERS, DECODER, decoder_calls, adapted=True, targets=attended, parameters=["experts.down_proj"], num_local_experts=4, num_experts_per_tok=2,
              intermediate_size=6, sliding_window=3, swiglu_limit=1.5, output_router_logits=True, router_aux_loss_coef=0.1, rope_parameters={
                  "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 8, "truncate": False})
    relatives("mixtral", 161, DECODERS, DECODER, decoder_calls, adapted=True, targets=(*attended, "gate"), parameters=["experts.gate_up_proj", "experts.down_proj"], num_local_experts=3, num_experts_per_tok=2,
              intermediate_size=6, sliding_window=3)
    relatives("qwen3_5_text", 201, DECODERS, DECODER, decoder_calls, adapted=True, rms_norm_eps=0.01, max_position_embeddings=96, head_dim=8, layer_types=["linear_attention", "full_attention"],
              linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=5, linear_value_head_dim=3, linear_conv_kernel_dim=3,
              rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5},
              targets=["q_proj", "v_proj", "o_proj", "down_proj", "in_proj_qkv", "in_proj_a", "in_proj_b", "in_proj_z", "out_proj"])
