#!/usr/bin/env bash
# PEFT 0.21.2 (transformers 5.24.0, torch 2.15.0): a DoRA on the table of words of a model whose vocabulary was resized has its
# magnitude in the adapter's file twice, as lora_magnitude_vector and as lora_magnitude_vector.weight. Of every other module, and of a
# table that was not resized, the file has the first name alone. A reader that is strict about keys refuses such a file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > try.py <<'PROGRAM'
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

torch.manual_seed(0)
BertModel(BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)).save_pretrained("base")
model = BertModel.from_pretrained("base")
model.resize_token_embeddings(9, mean_resizing=False)
model = get_peft_model(model, LoraConfig(r=2, use_dora=True, target_modules=["word_embeddings"]))
model.save_pretrained("adapter")
file = load_file("adapter/adapter_model.safetensors")
for key in sorted(file):
    print(key.removeprefix("base_model.model."), list(file[key].shape))
PROGRAM
expected=$(cat <<'SEEN'
embeddings.word_embeddings.base_layer.weight [9, 4]
embeddings.word_embeddings.lora_embedding_A [2, 9]
embeddings.word_embeddings.lora_embedding_B [4, 2]
embeddings.word_embeddings.lora_magnitude_vector [4]
embeddings.word_embeddings.lora_magnitude_vector.weight [4]
SEEN
)
seen=$(env/bin/python try.py 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
