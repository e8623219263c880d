"""Writes mxfp4/model/: a tiny gpt-oss whose experts are packed as MXFP4, as on the Hub, and in mxfp4/golden.safetensors `input_ids`, `logits`
of the model with what transformers unpacks, that itself under the parameters' names, and of every number with every scale
`every/blocks`, `every/scales` and `every/values`."""

import json
import shutil

import torch
from families import build
from reference import HERE, VERSIONS, save
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

FOLDER = HERE / "mxfp4"

if __name__ == "__main__":
    config = AutoConfig.for_model(
        "gpt_oss", vocab_size=29, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=6, intermediate_size=64,
        num_local_experts=3, num_experts_per_tok=2, sliding_window=4, max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0})
    model = build(AutoModelForCausalLM._model_mapping[type(config)], config, 1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    generator = torch.Generator().manual_seed(2)
    packed, unpacked = {}, {}
    for name, parameter in model.named_parameters():
        if not name.endswith(("gate_up_proj", "down_proj")):
            continue
        experts, inner, outer = parameter.shape
        blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(122, 126, (experts, outer, inner // 32), generator=generator, dtype=torch.uint8)
        packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        unpacked[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16).float()
        parameter.data.copy_(unpacked[name])
    ids = torch.randint(3, 29, (2, 7), generator=generator)
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    model.save_pretrained(FOLDER / "model")
    (FOLDER / "model" / "generation_config.json").unlink(missing_ok=True)
    path = FOLDER / "model" / "model.safetensors"
    rest = {name: tensor for name, tensor in load_file(path).items() if name not in unpacked}
    save_file({**rest, **packed}, path, metadata={"format": "pt"})
    path = FOLDER / "model" / "config.json"
    settings = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": settings}, indent=2) + "\n")
    low = torch.arange(16, dtype=torch.uint8)
    every = {"every/blocks": (low | low.flip(0) << 4).reshape(1, 1, 1, 16).repeat(1, 256, 1, 1), "every/scales": torch.arange(256, dtype=torch.uint8).reshape(1, 256, 1)}
    values = convert_moe_packed_tensors(every["every/blocks"], every["every/scales"], dtype=torch.bfloat16).float()
    save(FOLDER / "golden.safetensors", {"input_ids": ids, "logits": logits, **unpacked, **every, "every/values": values})
    print(f"mxfp4: logits {logits.std():.2f}, {VERSIONS['transformers']}")
