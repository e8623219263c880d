#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.15.0): a CLIP whose config.json says "logit_scale_init_value": 4 is taken as a configuration and cannot be made
# of it: the number becomes a parameter as it is, and torch refuses one of integers. With 4.0 it works. JSON knows no difference between the two, and
# what rewrites such a file in JavaScript turns the one into the other. The file of weights, which has the trained scale, is not read before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import sys
from transformers import CLIPConfig, CLIPModel

tower = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
if sys.argv[1] == "save":
    config = CLIPConfig(text_config=dict(tower, vocab_size=16), vision_config=dict(tower, image_size=8, patch_size=4), projection_dim=4, logit_scale_init_value=4.0)
    CLIPModel(config).save_pretrained("model")
else:
    try:
        CLIPModel.from_pretrained("model")
        print(sys.argv[1], "read")
    except RuntimeError as error:
        print(sys.argv[1], error)
PROGRAM
run() { env/bin/python run.py "$1" 2>/dev/null; }
run save
seen=$(
  grep -o '"logit_scale_init_value": [0-9.]*' model/config.json
  run 'as saved:'
  sed -i 's/\("logit_scale_init_value": 4\)\.0/\1/' model/config.json
  run 'without the point:'
)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
"logit_scale_init_value": 4.0
as saved: read
without the point: Only Tensors of floating point and complex dtype can require gradients
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
