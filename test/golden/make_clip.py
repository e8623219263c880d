"""Writes clip/<case>/ and siglip/<case>/: tiny models of pictures and texts with random weights, and golden.safetensors: `input_ids`, `attention_mask`
[4, 7] (rows full and padded right), `pixel_values` [4, C, H, W], and what HF transformers computes: `logits_per_image`, `text_features`,
`image_features`, `loss`; `larger/pixel_values` of another size, and `larger/image_features` with interpolated positions.
<case>_lora/: a LoRA of HF PEFT on both towers, with `logits_per_image`, `loss` and grad/<key>, see families.py."""

import copy
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from families import build
from reference import HERE, gap, save, save_model

TOWER = dict(num_hidden_layers=2, num_attention_heads=2, intermediate_size=20)
TEXT = dict(TOWER, hidden_size=24, vocab_size=19, max_position_embeddings=9, bos_token_id=17, eos_token_id=18, pad_token_id=1)
VISION = dict(TOWER, hidden_size=20, image_size=12, patch_size=4)


def inputs_of(seed, end):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 17, (4, 7), generator=generator)
    mask = torch.ones_like(ids)
    for row, length in enumerate([7, 5, 3, 6]):
        ids[row, length - 1] = end
        ids[row, length:] = 1
        mask[row, length:] = 0
    pixels = torch.randn(4, 3, 12, 12, generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}, torch.randn(2, 3, 16, 20, generator=generator)


def computed(model, inputs, larger):
    with torch.no_grad():
        result = model(**inputs, return_loss=True)
        text = model.get_text_features(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).pooler_output
        image = model.get_image_features(pixel_values=inputs["pixel_values"]).pooler_output
        more = model.get_image_features(pixel_values=larger, interpolate_pos_encoding=True).pooler_output
    return {"logits_per_image": result.logits_per_image.contiguous(), "loss": result.loss, "text_features": text, "image_features": image, "larger/image_features": more}


def make(family, case, model_class, config, seed, end=18):
    config.text_config._attn_implementation = config.vision_config._attn_implementation = "eager"
    model = build(model_class, config, seed)
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, folder)
    inputs, larger = inputs_of(seed, end)
    found = computed(model, inputs, larger)
    exact = computed(copy.deepcopy(model).double(), {**inputs, "pixel_values": inputs["pixel_values"].double()}, larger.double())
    error = gap(found, exact)
    save(folder / "golden.safetensors", {**inputs, "larger/pixel_values": larger, **found}, model=model_class.__name__, float32_error=error)
    print(f"{family}/{case}: float32 error {error:.1e}, logits {found['logits_per_image'].abs().max().item():.2f}, loss {found['loss'].item():.2f}")
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
    inputs, _ = inputs_of(seed, 18)
    result = tuned(**inputs, return_loss=True)
    result.loss.backward()
    grads = {f"grad/{key}": parameter.grad for key, parameter in trained.items()}
    save(folder / "golden.safetensors", {**inputs, "logits_per_image": result.logits_per_image.contiguous(), "loss": result.loss, **grads})
    print(f"{family}/{case}: {len(grads)} trainables, loss {result.loss.item():.3f}")


if __name__ == "__main__":
    options = dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "fc2", "patch_embedding"])
    model = make("clip", "base", CLIPModel, CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=10), 1)
    make_lora("clip", "lora", "base", model, 11, options)
    first = dict(TEXT, hidden_size=8, num_hidden_layers=1, eos_token_id=2, hidden_act="gelu")
    make("clip", "first_ends", CLIPModel, CLIPConfig(text_config=first, vision_config=dict(VISION, num_hidden_layers=1, hidden_size=12), projection_dim=6), 21)
    siglip = dict(VISION, hidden_size=24)
    model = make("siglip", "base", SiglipModel, SiglipConfig(text_config=TEXT, vision_config=siglip), 31)
    make_lora("siglip", "lora", "base", model, 41, options)
