#!/usr/bin/env bash
# bitsandbytes 0.50.2 (torch 2.15.0): products of LLM.int8 on the CPU are multiplied by 6.200124e-05 where 1/127² = 6.200012e-05 is meant: every
# number is 1.8e-5 of itself too large, a hundred times what float32 rounds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet bitsandbytes==0.50.2 torch==2.15.0
cat > run.py <<'PROGRAM'
import bitsandbytes as bnb
import torch

codes = torch.full((1, 64), 127, dtype=torch.int8)
one = torch.ones(1)
y = torch.ops.bitsandbytes.int8_scaled_mm(codes, codes, one, one, dtype=torch.float32).item()
print(f"64 ones times 64 ones: {y:.5f}")
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected='64 ones times 64 ones: 64.00115'
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
