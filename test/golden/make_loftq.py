"""Writes loftq/: `base/`, a tiny LLaMA, and in golden.safetensors what PEFT's LoftQ makes of it: `nf4/<module>` and `int8/<module>` are B A, what one
round adds to the weight of a module that bitsandbytes has quantised, and `logits` those of the model in NF4 with its adapter by
replace_lora_weights_loftq, `base/logits` without it, `plain/logits` of the model that was not quantised.

PEFT asks for CUDA there: its module is run with "cpu" in the place of "cuda". Everything is computed in training mode, see
make_quantised_models.py; alpha is the rank, because PEFT leaves the scale out."""

import inspect
import shutil

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import loftq_utils
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from families import build, decoder_calls, encoder_batch
from reference import HERE, save, save_model

loftq = dict(vars(loftq_utils))
exec(compile(inspect.getsource(loftq_utils).replace('"cuda"', '"cpu"'), loftq_utils.__file__, "exec"), loftq)

CONFIG = LlamaConfig(vocab_size=37, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, max_position_embeddings=32)
RANK = 4
folder = HERE / "loftq"
shutil.rmtree(folder, ignore_errors=True)
plain = build(LlamaForCausalLM, CONFIG, 0, std=0.15)
plain.save_pretrained(folder / "base")
(folder / "base" / "generation_config.json").unlink(missing_ok=True)

batch = encoder_batch(0, 37, kinds=("full", "right"))
inputs = decoder_calls(batch)["full"]
tensors = {**batch, "plain/logits": plain.eval()(**inputs).logits}
four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
fresh = lambda: LlamaForCausalLM.from_pretrained(folder / "base", quantization_config=four, dtype=torch.float32, device_map="cpu", attn_implementation="eager").train()
tensors["base/logits"] = fresh()(**inputs).logits
tuned = get_peft_model(fresh(), LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=RANK, target_modules="all-linear")).train()
loftq["replace_lora_weights_loftq"](tuned, model_path=str(folder / "base" / "model.safetensors"))
tensors["logits"] = tuned(**inputs).logits
for name, module in tuned.named_modules():
    if hasattr(module, "lora_A") and isinstance(module.base_layer, bnb.nn.Linear4bit):
        path = name.removeprefix("base_model.model.")
        tensors[f"nf4/{path}"] = module.lora_B["default"].weight @ module.lora_A["default"].weight
        _, A, B = loftq["loftq_init"](plain.get_submodule(path).weight.data, num_bits=8, reduced_rank=RANK)
        tensors[f"int8/{path}"] = B @ A
save(folder / "golden.safetensors", tensors)
print(len(tensors), [f"{(tensors[key] - tensors['plain/logits']).abs().max().item():.3f}" for key in ("base/logits", "logits")])
