#!/usr/bin/env bash
# peft 0.21.2 (transformers 5.24.0, torch 2.15.0): a prefix on T5 counts in forward, and so in training and in its loss, and not in generate:
# what is written is token for token what the base writes, however large the prefix. Nothing is said. Greedy decoding by calls of
# forward gives the texts of the adapted model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import T5Config, T5ForConditionalGeneration

torch.manual_seed(0)
config = T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, eos_token_id=31)
model = T5ForConditionalGeneration(config).eval()
ids = torch.randint(2, 30, (4, 6))
of_base = model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
tuned = get_peft_model(model, PrefixTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4)).eval()
torch.nn.init.normal_(tuned.prompt_encoder["default"].embedding.weight, std=3.0)
by_forward = torch.zeros(4, 1, dtype=torch.long)
with torch.no_grad():
    for _ in range(8):
        by_forward = torch.cat([by_forward, tuned(input_ids=ids, decoder_input_ids=by_forward).logits[:, -1:].argmax(-1)], 1)
generated = tuned.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
alike = lambda a, b: sum(torch.equal(x, y) for x, y in zip(a, b))
print(f"of 4 texts, generate writes {alike(generated, by_forward)} as forward does, and {alike(generated, of_base)} as the base does")
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected='of 4 texts, generate writes 0 as forward does, and 4 as the base does'
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
