#!/usr/bin/env bash
# peft 0.21.2 (transformers 5.24.0, torch 2.15.0): `modules_to_save=["shared"]` on T5 and BART trains in full a copy of the table of words that nothing
# looks at: `shared` is the table's name in the checkpoint and what get_input_embeddings gives, but the stacks call embed_tokens, their own modules. The
# copy is counted as trained, saved and read; the model's output does not depend on it, with ensure_weight_tying neither.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from peft import LoraConfig, get_peft_model
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

t5 = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
bart = BartConfig(
    vocab_size=20, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
    max_position_embeddings=16, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
)
batch = {"input_ids": torch.tensor([[3, 4, 5]]), "decoder_input_ids": torch.tensor([[2, 6]])}
for make, config in ((T5ForConditionalGeneration, t5), (BartForConditionalGeneration, bart)):
    for tying in (False, True):
        model = get_peft_model(make(config), LoraConfig(target_modules=["q", "q_proj"], modules_to_save=["shared"], ensure_weight_tying=tying)).eval()
        before = model(**batch).logits
        copies = [parameter for name, parameter in model.named_parameters() if "shared.modules_to_save" in name]
        for copy in copies:
            copy.data += 1
        after = model(**batch).logits
        print(make.__name__, f"tying {tying}:", sum(copy.numel() for copy in copies), "numbers trained, each moved by 1; same output:", torch.equal(before, after))
PROGRAM
expected=$(cat <<'SEEN'
T5ForConditionalGeneration tying False: 160 numbers trained, each moved by 1; same output: True
T5ForConditionalGeneration tying True: 160 numbers trained, each moved by 1; same output: True
BartForConditionalGeneration tying False: 160 numbers trained, each moved by 1; same output: True
BartForConditionalGeneration tying True: 160 numbers trained, each moved by 1; same output: True
SEEN
)
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
