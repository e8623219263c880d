#!/usr/bin/env bash
# bitsandbytes 0.50.2 (torch 2.15.0), on a processor with AVX-512: dequantize_4bit of NF4 in blocks of 64 gives other numbers than codes and
# scales say where a row is a multiple of 16 long and not of 64: a block then reaches over the end of a row, and its scale is taken for the
# wrong numbers. Errors are as large as the weights. Packed bytes and scales are right, and rows of whole blocks are, so that a model is
# wrong in some of its products alone. Nothing is said.
set -euo pipefail
grep -q avx512f /proc/cpuinfo || { echo 'this processor has no AVX-512: nothing to see here'; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet bitsandbytes==0.50.2 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

for shape in ((4, 64), (4, 128), (4, 48), (4, 80), (4, 96), (8, 32)):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    packed, state = quantize_4bit(weight, quant_type="nf4", blocksize=64)
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1).flatten()[: weight.numel()].long()
    meant = (state.code[codes] * state.absmax.repeat_interleave(64)[: weight.numel()]).reshape(shape)
    given = dequantize_4bit(packed, state)
    print(f"{shape[0]} x {shape[1]}: {'as codes and scales say' if torch.equal(given, meant) else 'other numbers'}")
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
4 x 64: as codes and scales say
4 x 128: as codes and scales say
4 x 48: other numbers
4 x 80: other numbers
4 x 96: other numbers
8 x 32: other numbers
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
