"""Writes settings.json: for each family the fields of its configuration class in HF transformers and their defaults, and of each field
what another valid value does to the logits of tiny random models: `changes` (true or false), and the first
`error` where a model cannot have it.

`words` are older names, and settings that every configuration takes without a field: no default. A value that does not make sense for
one model is tried on what remains. With names of families, these alone are made anew. `floats`: fields that some class refuses integers for. Logits are compared bit by bit, but for settings that change the order of sums: within 1e-5."""

import copy
import json
import sys
from dataclasses import MISSING, fields

import torch
from reference import HERE, VERSIONS, randomize
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

WIDE = dict(vocab_size=37, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, max_position_embeddings=64)
ENCODER = dict(WIDE, pad_token_id=1)
DECODER = dict(WIDE, num_key_value_heads=2, head_dim=6, pad_token_id=0, bos_token_id=1, eos_token_id=2)
ENCODER_TASKS = [AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoModelForQuestionAnswering]
DECODER_TASKS = [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification]
WINDOWED = dict(use_sliding_window=True, sliding_window=4, max_window_layers=1)

FAMILIES = {
    "bert": (ENCODER, ENCODER_TASKS), "ernie": (ENCODER, ENCODER_TASKS),
    "electra": (dict(ENCODER, embedding_size=24), ENCODER_TASKS),
    "roberta": (ENCODER, ENCODER_TASKS), "xlm-roberta": (ENCODER, ENCODER_TASKS), "camembert": (ENCODER, ENCODER_TASKS),
    "data2vec-text": (ENCODER, ENCODER_TASKS),
    "deberta-v2": (dict(ENCODER, relative_attention=True, pos_att_type=["c2p", "p2c"]), ENCODER_TASKS),
    "mpnet": (ENCODER, ENCODER_TASKS), "albert": (dict(ENCODER, embedding_size=24), ENCODER_TASKS),
    "nomic_bert": (ENCODER, ENCODER_TASKS[:-1]),
    "distilbert": (dict(vocab_size=37, dim=24, n_layers=2, n_heads=4, hidden_dim=40, max_position_embeddings=64, pad_token_id=1), ENCODER_TASKS),
    "modernbert": (dict(ENCODER, local_attention=6), ENCODER_TASKS),
    "gpt2": (dict(vocab_size=37, n_embd=24, n_layer=2, n_head=4, n_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2), DECODER_TASKS),
    "llama": (DECODER, DECODER_TASKS),
    "mistral": (dict(DECODER, sliding_window=4), DECODER_TASKS),
    "ministral": (dict(DECODER, sliding_window=4), DECODER_TASKS),
    "ministral3": (DECODER, DECODER_TASKS),
    "qwen2": (dict(DECODER, **WINDOWED), DECODER_TASKS),
    "qwen3": (dict(DECODER, **WINDOWED), DECODER_TASKS),
    "phi3": ({**{key: value for key, value in DECODER.items() if key != "head_dim"}, "original_max_position_embeddings": 32}, DECODER_TASKS),
    "qwen3_5_text": (dict(DECODER, layer_types=["linear_attention", "full_attention"], linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=4,
                          linear_value_head_dim=4), [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification]),
    "seed_oss": (DECODER, DECODER_TASKS),
    "mixtral": (dict(DECODER, sliding_window=4, num_local_experts=3), DECODER_TASKS),
    "qwen3_moe": (dict(DECODER, use_sliding_window=True, sliding_window=4, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=6), DECODER_TASKS),
    "gpt_oss": (dict(DECODER, sliding_window=4, num_local_experts=5, num_experts_per_tok=2), [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification]),
    "smollm3": (dict(DECODER, use_sliding_window=True, sliding_window=4), DECODER_TASKS),
    "granite": (DECODER, [AutoModel, AutoModelForCausalLM]),
    "gemma": (DECODER, DECODER_TASKS),
    "gemma2": (dict(DECODER, sliding_window=4), DECODER_TASKS),
    "gemma3_text": (dict(DECODER, sliding_window=4), [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification]),
    "gemma4_text": (DECODER | dict(
        num_hidden_layers=4, sliding_window=4, layer_types=["sliding_attention", "full_attention"] * 2, hidden_size_per_layer_input=6, vocab_size_per_layer_input=37, global_head_dim=8,
        num_kv_shared_layers=2, use_double_wide_mlp=True, enable_moe_block=True, num_experts=5, top_k_experts=2, moe_intermediate_size=6), [AutoModel, AutoModelForCausalLM]),
    "olmo2": (DECODER, [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification]),
    "olmo3": (dict(DECODER, sliding_window=4), [AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification]),
}

T5 = dict(vocab_size=37, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=4, pad_token_id=0, decoder_start_token_id=0)
FAMILIES |= {kind: (T5, [AutoModel, AutoModelForSeq2SeqLM]) for kind in ("t5", "mt5")}

BART = dict(
    vocab_size=37, d_model=24, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=40, decoder_ffn_dim=40,
    max_position_embeddings=64, pad_token_id=1, decoder_start_token_id=2,
)
FAMILIES |= {"bart": (BART, [AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoModelForQuestionAnswering])}

PICTURES = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, image_size=12, patch_size=4)
PICTURE_TASKS = [AutoModel, AutoModelForImageClassification]
FAMILIES |= {"vit": (dict(PICTURES, intermediate_size=40), PICTURE_TASKS), "dinov2": (PICTURES, PICTURE_TASKS)}

TOWERS = dict(text_config=dict(WIDE, bos_token_id=35, eos_token_id=36, pad_token_id=1), vision_config=dict(PICTURES, intermediate_size=40))
FAMILIES |= {kind: (TOWERS, [AutoModel]) for kind in ("clip", "siglip")}

OTHER_LAYERS = {"qwen3_5_text": ["full_attention", "linear_attention"], "gemma4_text": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]}
WORDS = ["torch_dtype", "name_or_path", "output_attentions", "attn_implementation", "num_labels", "per_layer_config", "tie_last_hidden_states"]
ROTARY = ["rope_theta", "rope_scaling", "partial_rotary_factor"]

TEXTS = {
    "hidden_act": "relu", "hidden_activation": "relu", "activation": "relu", "activation_function": "relu", "transformers_version": "4.0.0", "dtype": "float32",
    "problem_type": "multi_label_classification", "summary_type": "mean", "summary_activation": "tanh",
    "pooler_hidden_act": "tanh", "pooler_act": "relu", "pos_att_type": "c2p",
    "classifier_pooling": "mean", "classifier_activation": "relu",
}
VALUES = {
    **TEXTS, "torch_dtype": "float32", "name_or_path": "somewhere", "output_attentions": True, "attn_implementation": "eager", "num_labels": 3,
    "per_layer_config": {"0": {"initializer_range": 0.5}}, "architectures": ["Other"], "id2label": {"0": "a", "1": "b"},
    "label2id": {"a": 0, "b": 1}, "layer_types": ["sliding_attention", "full_attention"], "no_rope_layers": [0, 1], "no_rope_layer_interval": 2, "final_logit_softcapping": 0.5, "attn_logit_softcapping": 0.5, "use_bidirectional_attention": True, "rope_theta": 100.0, "partial_rotary_factor": 0.5,
    "rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}, "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "num_attention_heads": 2, "n_heads": 2, "n_head": 2, "num_key_value_heads": 1, "sliding_window": 2, "max_window_layers": 0,
    "classifier_dropout": 0.5, "n_inner": 20, "chunk_size_feed_forward": 1, "layer_norm_eps": 0.1, "rms_norm_eps": 0.1,
    "feed_forward_proj": "gated-silu", "num_decoder_layers": 1,
    "layer_norm_epsilon": 0.1, "bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 5, "tie_last_hidden_states": False, "head_dim": 4,
    "mlp_only_layers": [0], "decoder_sparse_step": 2, "num_experts": 3, "num_local_experts": 4, "num_experts_per_tok": 1,
    "local_attention": 2, "norm_eps": 0.1, "pooler_output_size": 7, "image_size": 16, "patch_size": 6, "_out_features": ["stage1"], "_out_indices": [1],
    "text_config": dict(TOWERS["text_config"], hidden_act="relu"), "vision_config": dict(TOWERS["vision_config"], hidden_act="relu"),
}


REORDERED = ("reorder_and_upcast_attn", "chunk_size_feed_forward", "attn_implementation")


def other(name, default):
    if name in VALUES:
        return VALUES[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, (int, float)):
        return default + 1 if isinstance(default, int) else default / 2
    raise ValueError(f"{name}: no other value than {default!r} is known")


def logits(task, config, state, inputs):
    torch.manual_seed(0)
    config._experts_implementation = "eager"
    model = task.from_config(config).eval()
    if state is None:
        randomize(model, 1)
        model.tie_weights()
    else:
        found = model.load_state_dict(state, strict=False)
        if found.missing_keys or found.unexpected_keys:
            return None, None
    if config.is_encoder_decoder and task in (AutoModel, AutoModelForSeq2SeqLM):
        inputs = {**inputs, "decoder_input_ids": inputs["input_ids"].roll(3)}
    with torch.no_grad():
        result = model(**inputs)
    if isinstance(result, tuple):  # return_dict: false
        values = [value for value in result if torch.is_tensor(value)]
    else:
        names = ("logits_per_image", "logits", "start_logits", "end_logits", "last_hidden_state", "pooler_output")
        values = [value for name in names if (value := getattr(result, name, None)) is not None]
    if "attention_mask" in inputs:
        mask = inputs["attention_mask"].bool()  # nobody asks what stands at padding
        values = [value[mask] if value.shape[:2] == mask.shape else value for value in values]
    return values, copy.deepcopy(model.state_dict())


def effect(kind, base, usual, name, value, inputs):
    """What a value does; a model that has other weights with it is changed."""
    changed, errors = False, []
    for task, (before, state) in usual.items():
        try:
            given = OTHER_LAYERS.get(kind, value) if name == "layer_types" else value
            after, _ = logits(task, AutoConfig.for_model(kind, **{**copy.deepcopy(base), name: copy.deepcopy(given)}), state, inputs)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}")
            continue
        tolerance = 1e-5 if name in REORDERED else 0
        changed = changed or after is None or any(
            a.shape != b.shape or (a - b).abs().max().item() > tolerance for a, b in zip(before, after)
        )
    ran = {"changes": changed} if len(errors) < len(usual) else {}
    return {**ran, "error": errors[0]} if errors else ran


def plain(value):
    return None if value is MISSING or not isinstance(value, (bool, int, float, str, list, dict)) else value


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 37, (3, 11), generator=generator)
    path, found = HERE / "settings.json", {}
    if sys.argv[1:]:
        found = json.loads(path.read_text())["families"]
    for kind in sys.argv[1:] or FAMILIES:
        base, tasks = FAMILIES[kind]
        config_class = type(AutoConfig.for_model(kind))
        if "pad_token_id" in base:
            inputs = {"input_ids": ids.clone(), "attention_mask": torch.ones_like(ids)}
            inputs["input_ids"][1, 7:] = base["pad_token_id"]
            inputs["attention_mask"][1, 7:] = 0
            if kind == "bart":  # its classes are read at the end token, once in each text, as is the other that is tried
                inputs["input_ids"][inputs["input_ids"] == 4] = 5
                inputs["input_ids"][:, 2:4] = torch.tensor([2, 4])
        elif "text_config" in base:
            inputs = {"input_ids": ids.clone(), "pixel_values": torch.randn(3, 3, 12, 12, generator=generator)}
        else:
            inputs = {"pixel_values": torch.randn(3, 3, base["image_size"], base["image_size"], generator=generator)}
        own = {field.name: plain(field.default) for field in fields(config_class)}
        usual = {task: logits(task, AutoConfig.for_model(kind, **copy.deepcopy(base)), None, inputs) for task in tasks}
        words = WORDS + (ROTARY if "rope_parameters" in own else [])
        found[kind] = {
            "class": config_class.__name__,
            "fields": {name: {"default": value, **effect(kind, base, usual, name, other(name, base.get(name, value)), inputs)} for name, value in sorted(own.items())},
            "words": {name: effect(kind, base, usual, name, other(name, None), inputs) for name in words},
        }
        idle = [name for name, result in {**found[kind]["fields"], **found[kind]["words"]}.items() if result.get("changes") is False]
        print(f"{kind}: {len(own)} fields, without effect: {', '.join(idle)}")
    classes = [type(AutoConfig.for_model(kind)) for kind in FAMILIES]
    floats = sorted({field.name for each in classes for field in fields(each) if field.type in (float, float | None)})
    text = json.dumps({"versions": VERSIONS, "floats": floats, "families": found}, indent=1)
    path.write_text(text + "\n")
