"""Checks that transformers and bitsandbytes read the quantised models in the folders given, and that their weights are those of the same
models in float32, in the folders of the same names with `-wide` behind them."""

import sys

import bitsandbytes as bnb
import torch
import transformers
from transformers import AutoConfig

for folder in sys.argv[1:]:
    model_class = getattr(transformers, AutoConfig.from_pretrained(folder).architectures[0])
    packed, wide = (model_class.from_pretrained(path, device_map="cpu", dtype=torch.float32) for path in (folder, f"{folder}-wide"))
    expected = dict(wide.named_parameters())
    count, largest = 0, 0.0
    for name, module in packed.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weight = module.weight.quant_state
            codes = module.weight.data.view(-1)
            absmax = weight.absmax
            if weight.nested:
                absmax = bnb.functional.dequantize_blockwise(weight.absmax, weight.state2) + weight.offset
            pairs = torch.stack([codes >> 4, codes & 15], 1).view(-1)[: weight.shape.numel()]
            found = (weight.code[pairs.long()] * absmax.repeat_interleave(weight.blocksize)[: pairs.numel()]).view(weight.shape)
        elif isinstance(module, bnb.nn.Linear8bitLt):
            found = module.weight.data.float() * module.weight.SCB.unsqueeze(1).mul(1 / 127)
        else:
            continue
        count += 1
        other = expected[f"{name}.weight"]
        turned = module.source_cls is transformers.pytorch_utils.Conv1D
        largest = max(largest, (found - (other.T if turned else other)).abs().max().item())
    for name, value in packed.named_parameters():
        if value.is_floating_point():
            largest = max(largest, (value - expected[name]).abs().max().item())
    print(f"{folder}: {count} quantised weights, largest difference {largest}")
    if count == 0 or largest > 0:
        sys.exit(f"{folder}: expected quantised weights equal to those in float32")
