"""Writes gpt2/<case>/ (see families.py), gpt2/lora/ and gpt2/lora_causal/, LoRAs on gpt2/sequence_classification and
gpt2/causal_lm, and gpt2/generation/."""

import torch
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, GPT2Model

from families import causal_labels, decoder_calls, encoder_batch, make, make_generation, make_lora

SMALL = dict(vocab_size=37, n_embd=24, n_layer=2, n_head=4, n_positions=96, pad_token_id=0, bos_token_id=1, eos_token_id=2)


def case(name, model_class, seed, rename=None, **changes):
    config = GPT2Config(**{**SMALL, **changes})
    batch = encoder_batch(seed, config.vocab_size)
    calls = decoder_calls(batch)
    if "SequenceClassification" in model_class.__name__:
        del calls["ids_only"]  # transformers finds the last token by its id, not by the mask
    return make("gpt2", name, model_class, config, seed, batch, calls, rename=rename)


def old_names(tensors):
    """The names of the first checkpoints: no `transformer.` in front, and the causal mask kept as a buffer."""
    renamed = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    renamed["h.0.attn.bias"] = torch.ones(1, 1, 8, 8).tril()
    return renamed


if __name__ == "__main__":
    case("base", GPT2Model, seed=1)
    case("odd_sizes", GPT2Model, seed=2, n_layer=3, n_embd=30, n_head=5, n_inner=41, activation_function="gelu",
         scale_attn_by_inverse_layer_idx=True, n_positions=11)
    classifier = case("sequence_classification", GPT2ForSequenceClassification, seed=4, num_labels=3)
    causal = case("causal_lm", GPT2LMHeadModel, seed=5)
    case("old_names", GPT2LMHeadModel, seed=6, rename=old_names, n_layer=1)
    case("untied", GPT2LMHeadModel, seed=7, n_layer=1, tie_word_embeddings=False)

    batch = encoder_batch(8, SMALL["vocab_size"])
    labels = {"labels": torch.tensor([0, 2, 1, 1, 0, 2])}
    options = dict(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)
    make_lora("gpt2", "lora", "sequence_classification", classifier, 9, batch, labels, "SEQ_CLS", options, True)
    labels = {"labels": causal_labels(batch)}
    options |= dict(target_modules=["c_attn", "c_fc", "mlp.c_proj"])
    adapted = make_lora("gpt2", "lora_causal", "causal_lm", causal, 10, batch, labels, "CAUSAL_LM", options, True)
    make_generation("gpt2", "generation", causal, adapted, SMALL["vocab_size"], 11)
