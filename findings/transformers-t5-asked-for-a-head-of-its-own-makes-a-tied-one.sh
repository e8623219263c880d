#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.15.0): T5Config(tie_word_embeddings=False), the setting of T5 v1.1 and FLAN-T5, makes a model whose head is the
# table of the words all the same. The configuration says True afterwards, and save_pretrained leaves the head out of the file. What the
# setting still does is to take away the factor behind the decoder. 4.57.6 makes and saves a head of its own. Files that have both tensors,
# as those of FLAN-T5, are read as two by either version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 4.57.6 5.24.0; do
  python3 -m venv "env-$version"
  "env-$version/bin/pip" install --quiet "transformers==$version" torch==2.15.0
done
cat > run.py <<'PROGRAM'
from safetensors import safe_open
from transformers import T5Config, T5ForConditionalGeneration, __version__

config = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0, tie_word_embeddings=False)
model = T5ForConditionalGeneration(config)
model.save_pretrained("model")
print(__version__, "one tensor:", model.lm_head.weight is model.shared.weight, "| setting:", model.config.tie_word_embeddings,
      "| head in the file:", "lm_head.weight" in safe_open("model/model.safetensors", "pt").keys())
PROGRAM
seen=$(env-4.57.6/bin/python run.py 2>/dev/null; env-5.24.0/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
4.57.6 one tensor: False | setting: False | head in the file: True
5.24.0 one tensor: True | setting: True | head in the file: False
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
