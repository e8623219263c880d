#!/usr/bin/env bash
# transformers 5.24.0 beside 4.57.6 (torch 2.15.0): an OLMo 3 whose config.json gives rope_theta, as 4.57 writes it, is another model in 5.24
# where that is not 500,000. There the number is taken for the layers with full attention alone; those with a sliding window, three in four,
# get the class's own 500,000. 4.57 uses the number in all layers. Nothing is said; the same files give other hidden states.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 4.57.6 5.24.0; do
  python3 -m venv "env-$version"
  "env-$version/bin/pip" install --quiet "transformers==$version" torch==2.15.0
done
cat > write.py <<'PROGRAM'
import torch
from transformers import Olmo3Config, Olmo3Model

torch.manual_seed(0)
config = Olmo3Config(vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=4, num_attention_heads=2,
                     max_position_embeddings=32, sliding_window=8, rope_theta=10.0, pad_token_id=0, eos_token_id=1)
Olmo3Model(config).save_pretrained("model")
PROGRAM
cat > read.py <<'PROGRAM'
import torch
from transformers import Olmo3Model, __version__

model = Olmo3Model.from_pretrained("model", attn_implementation="eager", dtype=torch.float32).eval()
with torch.no_grad():
    torch.save(model(torch.arange(12)[None]).last_hidden_state, f"{__version__}.pt")
parameters = getattr(model.config, "rope_parameters", None)
print(__version__, model.config.rope_theta if parameters is None else {kind: parameters[kind]["rope_theta"] for kind in sorted(parameters)})
PROGRAM
cat > compare.py <<'PROGRAM'
import torch

old, new = torch.load("4.57.6.pt"), torch.load("5.24.0.pt")
print("the same hidden states:", torch.allclose(old, new, atol=1e-4))
PROGRAM
expected=$(cat <<'SEEN'
4.57.6 10.0
5.24.0 {'full_attention': 10.0, 'sliding_attention': 500000.0}
the same hidden states: False
SEEN
)
env-4.57.6/bin/python write.py 2>/dev/null
seen=$(env-4.57.6/bin/python read.py 2>/dev/null; env-5.24.0/bin/python read.py 2>/dev/null; env-5.24.0/bin/python compare.py)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
