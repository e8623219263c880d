"""What the make_*.py scripts share: one thread, seeds, weights large enough to tell models apart, and files that name
the versions they were made with. Run any script with a Python that has bench/peers/requirements.txt installed."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

if os.environ.get("PYTHONHASHSEED") != "0":  # PEFT writes sets into its config in hash order: fix it
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.utils import logging

HERE = Path(__file__).parent
VERSIONS = {name: version(name) for name in ("numpy", "peft", "safetensors", "torch", "transformers")}

logging.disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def save(path: Path, tensors: dict[str, torch.Tensor], **notes: object) -> None:
    """Writes one safetensors file. Floats become float32 and integers int32 (what tfjs holds); the metadata has one
    entry, because the order of several is not fixed and would change the bytes from run to run."""
    narrow = {
        name: (t.detach().float() if t.is_floating_point() else t.detach().int()).contiguous().clone()
        for name, t in tensors.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(narrow, path, metadata={"golden": json.dumps({"versions": VERSIONS, **notes})})


def save_model(model: torch.nn.Module, folder: Path, rename=None) -> None:
    """save_pretrained, then `rename` maps the file's state dict to other names where a case wants them."""
    model.save_pretrained(folder)
    if rename is not None:
        path = folder / "model.safetensors"
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        save_file(rename(tensors), path, metadata={"format": "pt"})


def randomize(model: torch.nn.Module, seed: int, std: float = 0.35) -> None:
    """HF's init (std 0.02, LayerNorm 1 and 0) hides mistakes: almost every path through it is close to the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "LayerNorm.weight" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(std * noise)


def padded_batch(seed: int, rows: int, length: int, vocab: int, kinds: list[str]) -> dict[str, torch.Tensor]:
    """Random ids whose rows are 'full', 'right' (padding after the text) or 'left' (before it), in turn. Padding is
    id 0. Positions are not shifted by left padding: absolute position i is column i, as HF's BERT has it."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, vocab, (rows, length), generator=generator)
    mask = torch.ones(rows, length, dtype=torch.long)
    for row in range(rows):
        real = int(torch.randint(length // 3, length - 1, (1,), generator=generator))
        kind = kinds[row % len(kinds)]
        if kind == "right":
            mask[row, real:] = 0
        elif kind == "left":
            mask[row, : length - real] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def gap(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Largest absolute difference over all tensors of two records with the same names."""
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)
