#!/usr/bin/env bash
# peft 0.21.2 (transformers 5.24.0, torch 2.15.0): prompt tuning and P-tuning of an encoder-decoder make, count as trainable and save a table
# of twice as many rows as num_virtual_tokens asks for. Only the first half stands before the encoder's text; the second half is for a
# decoder that is given none, never gets a gradient and changes no number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from peft import PromptEncoderConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file
from transformers import T5Config, T5ForConditionalGeneration

for kind in (PromptTuningConfig, PromptEncoderConfig):
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0))
    tuned = get_peft_model(model, kind(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3))
    tuned(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[4, 5]])).loss.backward()
    used = tuned.prompt_encoder["default"].embedding.weight.grad.abs().sum(1) > 0
    tuned.save_pretrained("adapter")
    rows = load_file("adapter/adapter_model.safetensors")["prompt_embeddings"].shape[0]
    print(f"{kind.__name__}: 3 virtual tokens, {rows} rows in the file, {int(used.sum())} with a gradient: the first {used.int().tolist().index(0)}")
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
PromptTuningConfig: 3 virtual tokens, 6 rows in the file, 3 with a gradient: the first 3
PromptEncoderConfig: 3 virtual tokens, 6 rows in the file, 3 with a gradient: the first 3
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
