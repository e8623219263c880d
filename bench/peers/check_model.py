"""Loads a saved model folder with HF transformers and runs it, to show that what was saved is a checkpoint like any other.

    check_model.py --model DIR --inputs FILE --out FILE

The class is the one that config.json names. Inputs and outputs as in check_adapter.py. Fails where a key of the file is
missing, unexpected or of another shape; from_pretrained itself only warns, and makes new weights."""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file, save_file

from check_adapter import OUTPUTS


def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "inputs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)

    (name,) = json.loads((args.model / "config.json").read_text())["architectures"]
    model, report = getattr(transformers, name).from_pretrained(args.model, output_loading_info=True)
    model.config._experts_implementation = "eager"  # the others want rows of 16 bytes
    problems = [f"{kind}: {key}" for kind, keys in report.items() for key in sorted(map(str, keys))]
    if problems:
        sys.exit("\n".join([f"{args.model} does not fit {name}:", *problems]))

    inputs = {name: tensor.long() for name, tensor in load_file(args.inputs).items()}
    with torch.no_grad():
        output = model.eval()(**inputs)
    save_file({name: output[name].float().contiguous() for name in OUTPUTS if name in output}, args.out)


if __name__ == "__main__":
    main()
