"""Writes quantised.safetensors: weights and what bitsandbytes makes of them.

Keys: `<case>` a weight; `<case>.codes` its NF4 codes, two a byte; `<case>.absmax` of each block; `<case>.float32` the numbers again.
`<case>.nested.codes`, `.absmax`, `.offset` are those of double quantisation, `.float32` the absmax again.
`<case>.int8`, `<case>.SCB` are those of LLM.int8 and `<case>.int8_float32` the numbers again. `dynamic_map` is the code book of double quantisation.

The codes of double quantisation come from the implementation that bitsandbytes has for any type (here float64, of numbers that are
float32): its own for float32 on the CPU looks codes up in a table of 65,536 places, and one in some hundreds is the neighbour of the nearest.
"""

import bitsandbytes.functional as F
import torch

from reference import HERE, save

draw = torch.Generator().manual_seed(7)
normal = lambda *shape: torch.randn(*shape, generator=draw) * 0.1
code = F.get_4bit_type("nf4", device="cpu")
middles = (code[:-1] + code[1:]) / 2

zeros = normal(4, 64)
zeros[1] = 0
zeros[3, :] = 0
nan = normal(3, 64)
nan[1, 5] = float("nan")
ties = torch.cat([middles, -middles, torch.nextafter(middles, torch.ones(15)), torch.nextafter(middles, -torch.ones(15)), torch.tensor([1.0, -1.0, 0.0, -0.0])]).reshape(1, 64)
CASES = {
    "random": normal(48, 128),
    "part": normal(7, 30),  # the last block has 18
    "odd": normal(3, 23),
    "zeros": zeros,
    "zero_part": torch.cat([normal(64), torch.zeros(20)]).reshape(6, 14),
    "nan": nan,
    "ties": ties,
    "tiny": normal(2, 64) * 1e-30,
    "large": normal(2, 64) * 1e30,
    "denormal": torch.full((1, 64), 1e-42),
    "one": torch.tensor([[0.3]]),
    "wide": normal(260, 100),
}

tensors = {"dynamic_map": F.create_dynamic_map()}
for name, weight in CASES.items():
    codes, state = F.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)
    tensors |= {name: weight, f"{name}.codes": codes, f"{name}.absmax": state.absmax, f"{name}.float32": F.dequantize_4bit(codes, state)}
    offset = state.absmax.double().mean().float()
    nested, scales = torch.ops.bitsandbytes.quantize_blockwise.default((state.absmax - offset).double(), tensors["dynamic_map"], 256)
    again = torch.ops.bitsandbytes.dequantize_blockwise.default(nested, scales, tensors["dynamic_map"], 256, torch.float32) + offset
    tensors |= {f"{name}.nested.codes": nested, f"{name}.nested.absmax": scales, f"{name}.nested.offset": offset.reshape(1), f"{name}.nested.float32": again}
    if name not in ("large", "nan"):  # beyond the range of float16, which it goes through
        eight, scale, _ = F.int8_vectorwise_quant(weight.half())
        tensors |= {f"{name}.int8": eight, f"{name}.SCB": scale, f"{name}.int8_float32": eight.float().mul(scale.unsqueeze(1).mul(1 / 127))}

save(HERE / "quantised.safetensors", tensors, bitsandbytes="0.50.2")
