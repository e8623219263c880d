"""Writes prefix/<case>/ by HF PEFT's prefix-tuning; prompt_learning.py says what is in it.

PEFT refuses a prefix on BERT with transformers 5, which gives its encoder no past keys and values. This needs an
environment of its own: transformers==4.57.6 and the rest of bench/peers/requirements.txt, as make_adapters.py has it.
prefix/gpt2 and prefix/llama stand on the causal LMs of those names, gpt2/causal_lm and llama/causal_lm.

prefix/text.safetensors: input_ids [1, 5], and the keys and values that transformers' BERT makes of them in each layer,
key/<layer> and value/<layer> [5, 32]."""

import os

import torch
from peft import PrefixTuningConfig

from prompt_learning import enter, load_base, make
from reference import HERE, padded_batch, save

CASES = {
    "direct": PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
    "tokens": PrefixTuningConfig(task_type="TOKEN_CLS", num_virtual_tokens=3),
    "projected": PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=10),
}
LMS = {
    "gpt2": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "llama": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=10),
}


def make_text(seed):
    model = load_base("SEQ_CLS")
    ids = padded_batch(seed, rows=1, length=5, vocab=37, kinds=["full"])["input_ids"]
    tensors = {"input_ids": ids}
    for i, layer in enumerate(model.bert.encoder.layer):
        for kind in ("key", "value"):
            def keep(_module, _inputs, output, name=f"{kind}/{i}"):
                tensors[name] = output[0]

            getattr(layer.attention.self, kind).register_forward_hook(keep)
    with torch.no_grad():
        model(input_ids=ids)
    save(HERE / "prefix" / "text.safetensors", tensors)


if __name__ == "__main__":
    enter()
    for seed, (case, config) in enumerate(CASES.items(), start=64):
        make(HERE / "prefix" / case, config, seed)
    make_text(seed=67)
    os.chdir(HERE)
    for seed, (family, config) in enumerate(LMS.items(), start=91):
        make(HERE / "prefix" / family, config, seed, base=f"{family}/causal_lm")
