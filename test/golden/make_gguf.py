"""Writes gguf/blocks.safetensors: rows in the blocks of GGUF, by llama.cpp's own Python package (pip install gguf==0.19.0)."""

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
rows = rng.normal(size=(12, 64)).astype(np.float32)
rows[1] *= 1e-4
rows[2] *= 1e4
rows[3, :32] = 0
rows[4, :32] = np.linspace(-4, 4, 32)  # ties
rows[5, :32] = np.arange(32) - 15.5
rows[6, 32:] = 1e-7  # scales below the smallest number of float16
rows[7, 3], rows[7, 9] = 5, -5  # the first of two that are equally far from 0 decides
save_file({
    "rows": rows,
    "Q8_0": quantize(rows, GGMLQuantizationType.Q8_0),
    "Q4_0": quantize(rows, GGMLQuantizationType.Q4_0),
    "F16": quantize(rows, GGMLQuantizationType.F16).view(np.uint8),
    "BF16": quantize(rows, GGMLQuantizationType.BF16).view(np.uint8),
}, "gguf/blocks.safetensors", metadata={"gguf": "0.19.0", "numpy": np.__version__})
