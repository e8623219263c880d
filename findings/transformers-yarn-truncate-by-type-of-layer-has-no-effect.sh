#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.15.0): `truncate: false` in YaRN's rope_parameters leaves the borders between fast and slow frequencies where
# they are, in place of rounding them. In the settings of one type of layers ("full_attention": {…}), where models with two kinds of rotary
# positions have them (OLMo 3, ModernBERT, Gemma 3), it is read, kept and saved, and has no effect: the borders are rounded. It is looked
# for beside the types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
from transformers import ModernBertConfig, Qwen2Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

yarn = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 24, "beta_fast": 1.0, "beta_slow": 0.3}
sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=1, max_position_embeddings=96)
near = {"rope_type": "default", "rope_theta": 100.0}
for truncate in (True, False):
    of_all = Qwen2Config(**sizes, rope_parameters={**yarn, "truncate": truncate})
    by_type = ModernBertConfig(**sizes, rope_parameters={"full_attention": {**yarn, "truncate": truncate}, "sliding_attention": near})
    for config, layer_type in ((of_all, None), (by_type, "full_attention")):
        frequencies, _ = ROPE_INIT_FUNCTIONS["yarn"](config, "cpu", layer_type=layer_type)
        print(f"{config.model_type}, truncate {truncate}:", *(f"{frequency:.4f}" for frequency in frequencies.tolist()))
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
qwen2, truncate True: 1.0000 0.3162 0.0625 0.0079
modernbert, truncate True: 1.0000 0.3162 0.0625 0.0079
qwen2, truncate False: 1.0000 0.3162 0.0400 0.0079
modernbert, truncate False: 1.0000 0.3162 0.0625 0.0079
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
