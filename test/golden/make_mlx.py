"""Writes mlx/<case>/: tiny LLaMAs whose weights MLX has quantised, affine, in its layout, as mlx_lm.convert leaves them: products, embedding
and head, with one module of other bits. golden.safetensors holds each quantised weight again in float32, by its module's path.

Run with a Python that has mlx and mlx-cpu (here 0.32.4), torch and transformers; norms stay as they are."""

import json
import shutil

import mlx.core as mx
import numpy as np
import torch
from safetensors.numpy import save_file

from families import build
from reference import HERE
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(vocab_size=37, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, max_position_embeddings=32)
CASES = {"llama_4bit": (4, 64, "float32"), "llama_8bit": (8, 32, "bfloat16")}
OTHER = "model.layers.1.mlp.down_proj"

for seed, (case, (bits, group, dtype)) in enumerate(CASES.items()):
    folder = HERE / "mlx" / case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = build(LlamaForCausalLM, CONFIG, seed, std=0.15)
    tensors, golden = {}, {}
    for key, value in model.state_dict().items():
        array = mx.array(value.numpy()).astype(getattr(mx, dtype))
        module = key.removesuffix(".weight")
        if value.dim() < 2:
            tensors[key] = array
            continue
        own = (12 - bits, 32) if module == OTHER else (bits, group)
        weight, scales, biases = mx.quantize(array, bits=own[0], group_size=own[1])
        tensors |= {key: weight, f"{module}.scales": scales, f"{module}.biases": biases}
        again = mx.dequantize(weight, scales.astype(mx.float32), biases.astype(mx.float32), bits=own[0], group_size=own[1])
        golden[module] = np.array(again)
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "mlx"})
    save_file(golden, folder / "golden.safetensors")
    settings = {"group_size": group, "bits": bits, "mode": "affine", OTHER: {"group_size": 32, "bits": 12 - bits}}
    config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"], "quantization": settings, "quantization_config": settings}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(case, len(golden), "quantised weights")
