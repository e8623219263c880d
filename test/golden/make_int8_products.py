"""Writes int8_products.safetensors: products of LLM.int8 as bitsandbytes computes them under evaluation.

Keys: `<case>.x`, which float16 holds exactly, `<case>.weight`, `<case>.bias` and `<case>.y`; `<case>.exact` is the same of its codes and
scales with 1/127², for which bitsandbytes 0.50.2 has 6.200124e-05: 1.8e-5 of itself too much. Outliers stand in the same columns of all rows:
bitsandbytes multiplies the whole column in higher precision when one row has an outlier there, this library the outliers alone."""

import bitsandbytes as bnb
import bitsandbytes.functional as F
import torch

from reference import HERE, save

draw = torch.Generator().manual_seed(11)
normal = lambda *shape: torch.randn(*shape, generator=draw)
CASES = {"plain": (20, 64, 16, []), "outliers": (40, 128, 50, [3, 77, 127]), "one_row": (1, 96, 33, [0, 50]), "wide": (12, 1600, 24, [1, 700])}

tensors = {}
for case, (rows, size, outputs, columns) in CASES.items():
    x = (0.8 * normal(rows, size)).clamp(-5, 5)
    for column in columns:
        x[:, column] = 6 + 20 * torch.rand(rows, generator=draw)
    x = x.half().float()
    weight, bias = normal(outputs, size), normal(outputs)
    state = bnb.MatmulLtState()
    state.CB, state.SCB, _ = F.int8_vectorwise_quant(weight.half())
    state.has_fp16_weights, state.is_training, state.threshold = False, False, 6.0
    y = bnb.matmul(x, state.CB, bias=bias, state=state)
    codes, scales, _ = F.int8_vectorwise_quant(x.half(), threshold=6.0)
    exact = (codes.double() @ state.CB.double().T) * scales.double()[:, None] * state.SCB.double() / 127**2 + bias
    exact += x[:, columns].double() @ (state.CB[:, columns].double() * state.SCB.double()[:, None] / 127).T
    tensors |= {f"{case}.x": x, f"{case}.weight": weight, f"{case}.bias": bias, f"{case}.y": y, f"{case}.exact": exact}
    print(f"{case}: {y.dtype}, {0 if state.idx is None else state.idx.numel()} columns with outliers, off by {(y - (x @ weight.T + bias)).abs().max():.3f}")
save(HERE / "int8_products.safetensors", tensors)
