"""Loads an adapter folder with AdapterHub's `adapters` on its base model and runs it, to show that what was saved is what
they read. In the environment of make_adapters.py:

    check_adapter_hub.py --model DIR --adapter DIR --inputs FILE --out FILE

The files are those of bench/peers/check_adapter.py. Fails where the file and `adapters` differ in keys or values."""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import adapters
import torch
import transformers
from safetensors.torch import load_file, save_file


def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "adapter", "inputs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)

    config = json.loads((args.adapter / "adapter_config.json").read_text())
    tensors = load_file(args.adapter / "adapter.safetensors")
    head = args.adapter / "model_head.safetensors"
    tensors |= load_file(head) if head.exists() else {}
    model = getattr(transformers, config["model_class"]).from_pretrained(args.model)
    adapters.init(model)
    model.load_adapter(str(args.adapter), use_safetensors=True, set_active=True)
    model.train_adapter(config["name"])
    loaded = {name: p for name, p in model.named_parameters() if p.requires_grad and (head.exists() or ".adapters." in name)}
    problems = [f"{key}: only in one of them" for key in sorted(loaded.keys() ^ tensors.keys())]
    problems += [f"{key}: other values" for key in loaded.keys() & tensors.keys() if not torch.equal(loaded[key], tensors[key])]
    if problems:
        sys.exit("\n".join([f"{args.adapter} is not what adapters would have saved:", *problems]))

    inputs = {name: tensor.long() for name, tensor in load_file(args.inputs).items()}
    with torch.no_grad():
        output = model.eval()(**inputs)
    save_file({name: output[name].contiguous() for name in ("logits", "last_hidden_state") if name in output}, args.out)


if __name__ == "__main__":
    main()
