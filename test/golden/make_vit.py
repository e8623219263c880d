"""Writes vit/<case>/ and dinov2/<case>/: tiny models of pictures with random weights as save_pretrained leaves them, and golden.safetensors with `pixel_values`
[3, C, H, W] and what HF transformers computes: `full/…`; `larger/pixel_values` of another size and `larger/…`, with interpolated positions.
<case>_lora/: a LoRA of HF PEFT on it, see families.py; its inputs are `pixel_values` and `labels`."""

import copy
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import Dinov2Config, Dinov2ForImageClassification, Dinov2Model, ViTConfig, ViTForImageClassification, ViTModel

from families import build
from reference import HERE, gap, save, save_model

TINY = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20, image_size=12, patch_size=4, num_labels=3)


def pictures(seed, config, rows=3, size=None):
    channels = config.num_channels
    height, width = size or ((config.image_size, config.image_size) if isinstance(config.image_size, int) else config.image_size)
    return torch.randn(rows, channels, height, width, generator=torch.Generator().manual_seed(seed))


def outputs(result):
    names = ("logits", "last_hidden_state", "pooler_output")
    return {name: value for name in names if (value := getattr(result, name, None)) is not None}


def computed(model, calls):
    with torch.no_grad():
        return {f"{call}/{name}": value for call, inputs in calls.items() for name, value in outputs(model(**inputs)).items()}


def make(family, case, model_class, config, seed, larger=None, asked=True):
    model = build(model_class, config, seed)
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, folder)
    calls = {"full": {"pixel_values": pictures(seed, config)}}
    if larger is not None:
        calls["larger"] = {"pixel_values": pictures(seed + 1, config, rows=2, size=larger), **({"interpolate_pos_encoding": True} if asked else {})}
    found = computed(model, calls)
    exact = computed(copy.deepcopy(model).double(), {call: {name: value.double() if torch.is_tensor(value) else value for name, value in inputs.items()} for call, inputs in calls.items()})
    given = {"pixel_values": calls["full"]["pixel_values"], **({"larger/pixel_values": calls["larger"]["pixel_values"]} if larger else {})}
    error = gap(found, exact)
    save(folder / "golden.safetensors", {**given, **found}, model=model_class.__name__, float32_error=error)
    print(f"{family}/{case}: float32 error {error:.1e}, output std {next(iter(found.values())).std().item():.2f}")
    return model


def make_lora(family, case, base, model, seed, options):
    os.chdir(HERE / family)
    model = copy.deepcopy(model).eval()
    model.name_or_path = base
    torch.manual_seed(seed)
    tuned = get_peft_model(model, LoraConfig(lora_dropout=0.0, **options)).eval()
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(tuned).items()}
    trained = {saved[p.data_ptr()]: p for p in tuned.parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(trained.items()):
            if "lora_A" not in key:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    tuned.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    pixels = pictures(seed, model.config, rows=4)
    labels = torch.arange(4) % 3
    result = tuned(pixel_values=pixels, labels=labels)
    result.loss.backward()
    grads = {f"grad/{key}": parameter.grad for key, parameter in trained.items()}
    save(folder / "golden.safetensors", {"pixel_values": pixels, "labels": labels, "logits": result.logits, "loss": result.loss, **grads})
    print(f"{family}/{case}: {len(grads)} trainables, loss {result.loss.item():.3f}")


if __name__ == "__main__":
    make("vit", "base", ViTModel, ViTConfig(**TINY, pooler_output_size=7, pooler_act="relu"), 1, larger=(16, 21))
    odd = ViTConfig(**{**TINY, "image_size": [10, 13], "patch_size": [3, 4]}, num_channels=1, qkv_bias=False, hidden_act="relu", layer_norm_eps=0.1)
    make("vit", "odd_sizes", ViTModel, odd, 11)
    model = make("vit", "image_classification", ViTForImageClassification, ViTConfig(**TINY), 21)
    make_lora("vit", "lora", "image_classification", model, 31, dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "fc2"], modules_to_save=["classifier"]))
    make_lora("vit", "lora_patches", "image_classification", model, 41, dict(r=2, lora_alpha=4, use_dora=True, target_modules=["projection", "o_proj"], modules_to_save=["classifier"]))
    tiny = {key: value for key, value in TINY.items() if key != "intermediate_size"}
    make("dinov2", "base", Dinov2Model, Dinov2Config(**{**tiny, "hidden_size": 8}, mlp_ratio=2), 51, larger=(16, 21), asked=False)
    model = make("dinov2", "image_classification", Dinov2ForImageClassification, Dinov2Config(**{**tiny, "hidden_size": 16}, mlp_ratio=2, layerscale_value=0.5), 61, larger=(8, 8), asked=False)
    make_lora("dinov2", "lora", "image_classification", model, 71, dict(r=2, lora_alpha=4, target_modules=["q_proj", "o_proj", "fc1"], modules_to_save=["classifier"]))
    model = make("dinov2", "image_classification_gated", Dinov2ForImageClassification, Dinov2Config(**{**tiny, "hidden_size": 8}, use_swiglu_ffn=True, mlp_ratio=2, use_mask_token=False), 81)
    make_lora("dinov2", "lora_gated", "image_classification_gated", model, 91, dict(r=2, lora_alpha=4, target_modules=["gate_proj", "down_proj"], modules_to_save=["classifier"]))
