"""Golden files of the safetensors format, made by the reference implementation, and a check of both directions.

Run from the repository's root:  python test/golden/make_safetensors.py
Made with safetensors 0.8.0, torch 2.15.0, numpy 2.4.6.

types.safetensors        every type we write, awkward names, a scalar, empty shapes, metadata
foreign.safetensors      types that other writers use and this library does not read
conversions.safetensors  floats and what torch rounds them to in F16 and BF16, and back
"""
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save, save_file

folder = pathlib.Path(__file__).parent / "safetensors"
folder.mkdir(exist_ok=True)
generator = torch.Generator().manual_seed(0)


def random_bits(count, dtype):
    return torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator).view(dtype)


types = {
    "f64": torch.tensor([[0.1, -0.0], [float("inf"), 1e-320]], dtype=torch.float64),
    "f32": torch.tensor([1.5, float("nan"), -1e-40], dtype=torch.float32),
    "f16": torch.tensor([[1.0], [65504.0], [6e-8]], dtype=torch.float16),
    "bf16": torch.tensor([3.0e38, -1.0], dtype=torch.bfloat16),
    "i64": torch.tensor([-(2**63), 2**63 - 1, 7], dtype=torch.int64),
    "i32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
    "i16": torch.tensor([-(2**15), 2**15 - 1], dtype=torch.int16),
    "i8": torch.tensor([-128, 127, 3], dtype=torch.int8),
    "u8": torch.tensor([0, 255, 4, 5, 6], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "": torch.tensor([9.0]),
    'quote " backslash \\ newline \n control \x01 delete \x7f separator \u2028': torch.tensor([1.0]),
    "é": torch.tensor([2.0]),
    "\uffee": torch.tensor([3.0]),       # after the emoji in UTF-16, before it in UTF-8
    "\U0001f600": torch.tensor([4.0]),
    "constructor": torch.tensor([5.0]),
}
# One key: the reference implementation writes several in random order.
save_file(types, folder / "types.safetensors", metadata={"format": "pt"})

save_file({
    "readable": torch.tensor([1.0]),
    "u16": torch.tensor([1], dtype=torch.uint16),
    "u32": torch.tensor([2], dtype=torch.uint32),
    "u64": torch.tensor([3], dtype=torch.uint64),
    "c64": torch.tensor([1 + 2j], dtype=torch.complex64),
    "f8_e4m3": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
    "f8_e5m2": torch.tensor([1.0, 2.0]).to(torch.float8_e5m2),
}, folder / "foreign.safetensors")

edges = [0.0, -0.0, 1.0, 65504.0, 65519.996, 65520.0, 65535.0, 65536.0, 1e30, 2**-14, 2**-24, 2**-25, 2**-25 * 1.0001,
         1.5 * 2**-24, 2.5 * 2**-24, 2**-14 - 2**-25, 2**-126, 2**-149, 3.3895314e38, 3.4028235e38,
         1.00390625, 1.01171875, 1.00048828125, 1.00146484375, float("inf"), float("-inf"), float("nan")]
floats = torch.cat([
    torch.tensor(edges), -torch.tensor(edges),
    random_bits(4 * 500, torch.float32),
    (torch.randn(1000, generator=generator) * torch.logspace(-9, 5, 1000)).float(),   # the range of F16
])
save_file({
    "f32": floats,
    "f16": floats.half(), "f16.back": floats.half().float(),
    "bf16": floats.bfloat16(), "bf16.back": floats.bfloat16().float(),
    "f64": floats[:100].double() * 1.000000001, "f64.back": (floats[:100].double() * 1.000000001).float(),
}, folder / "conversions.safetensors")

# What the library writes of types.safetensors: the same bytes, and the same tensors when Python reads them.
program = """
import { openSafetensors, writeSafetensors } from './src/base/io/safetensors.ts'
const file = await openSafetensors(process.argv[1])
const names = [...file.entries.keys()].reverse()
await writeSafetensors(process.argv[2], await Promise.all(names.map(async (name) => ({ name, ...(await file.read(name)) }))), file.metadata)
await file.close()
"""
with tempfile.TemporaryDirectory() as temporary:
    ours = pathlib.Path(temporary) / "ours.safetensors"
    subprocess.run(["node", "--import", "tsx", "--input-type=module", "-e", program, str(folder / "types.safetensors"), str(ours)],
                   check=True)
    assert ours.read_bytes() == (folder / "types.safetensors").read_bytes() == save(types, metadata={"format": "pt"})
    again = load_file(ours)
    assert again.keys() == types.keys()
    for name, tensor in types.items():
        assert again[name].dtype == tensor.dtype and again[name].shape == tensor.shape
        np.testing.assert_array_equal(again[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))
print("written, and equal in both directions")
