"""Writes quantised/<case>/: tiny models that transformers and bitsandbytes have quantised, as save_pretrained leaves them, and in
golden.safetensors what they compute, with a LoRA of HF PEFT beside it: `input_ids`, `attention_mask`, `labels`, `base/logits`, `logits`,
`loss` and `grad/<key>` for each trained tensor; lora_B is random. `weight/<module>` is a weight of each kind again in float32.

Everything is computed in training mode, without dropout: under evaluation bitsandbytes' layers on the CPU compute in bfloat16, and rewrite
their weights for it. Rows of NF4 weights are whole blocks: where 16, but not 64, divides their length, bitsandbytes 0.50.2 unpacks them on
processors with AVX-512 with the scales of other blocks."""

import os
import shutil
import tempfile

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import (
    BertConfig, BertForSequenceClassification, BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
)

from families import build, causal_labels, decoder_calls, encoder_batch
from reference import HERE, save

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
BERT = BertConfig(vocab_size=37, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, max_position_embeddings=16, num_labels=3, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
GPT2 = GPT2Config(vocab_size=37, n_embd=64, n_layer=2, n_head=2, n_positions=16, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=None, eos_token_id=None)
LLAMA = LlamaConfig(vocab_size=37, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, max_position_embeddings=32)

CASES = {
    "llama_nf4": (LlamaForCausalLM, LLAMA, {**NF4, "bnb_4bit_use_double_quant": True}, ["q_proj", "down_proj"]),
    "gpt2_nf4": (GPT2LMHeadModel, GPT2, NF4, ["c_attn", "c_proj"]),
    "bert_int8": (BertForSequenceClassification, BERT, {"load_in_8bit": True, "llm_int8_skip_modules": ["classifier"]}, ["query", "dense"]),
    "gpt2_int8": (GPT2LMHeadModel, GPT2, {"load_in_8bit": True}, ["c_attn"]),
}

for seed, (case, (model_class, config, options, targets)) in enumerate(CASES.items()):
    folder = HERE / "quantised" / case
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as plain:
        build(model_class, config, seed, std=0.15).save_pretrained(plain)
        loaded = model_class.from_pretrained(plain, quantization_config=BitsAndBytesConfig(**options), dtype=torch.float32, device_map="cpu", attn_implementation="eager")
    loaded.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    fresh = lambda: model_class.from_pretrained(folder, dtype=torch.float32, device_map="cpu", attn_implementation="eager").train()
    classifies = config.model_type == "bert"
    batch = encoder_batch(seed, 37, kinds=("full", "right"))
    labels = torch.tensor([0, 2, 1, 1, 0, 2]) if classifies else causal_labels(batch)
    inputs = batch if classifies else decoder_calls(batch)["full"]
    base = fresh()(**inputs).logits
    model = fresh()
    weights = {}
    for name, module in model.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weights[f"weight/{name}"] = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        elif isinstance(module, bnb.nn.Linear8bitLt):
            weights[f"weight/{name}"] = module.weight.data.float() * module.weight.SCB.unsqueeze(1).mul(1 / 127)
    os.chdir(HERE / "quantised")
    model.name_or_path = case
    torch.manual_seed(seed)
    tuned = get_peft_model(model, LoraConfig(task_type="SEQ_CLS" if classifies else "CAUSAL_LM", r=4, lora_alpha=8, target_modules=targets, fan_in_fan_out=False)).train()
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(tuned).items()}
    trained = {saved[p.data_ptr()]: p for p in tuned.parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(trained.items()):
            if "lora_B" in key:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    tuned.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    result = tuned(**inputs, labels=labels)
    result.loss.backward()
    grads = {f"grad/{key}": parameter.grad for key, parameter in trained.items()}
    kept = dict(list(weights.items())[:2])
    save(folder / "golden.safetensors", {**batch, "labels": labels, "base/logits": base, "logits": result.logits, "loss": result.loss, **grads, **kept})
    print(f"{case}: {len(weights)} quantised weights, {len(grads)} trainables, loss {result.loss.item():.3f}")
