#!/usr/bin/env bash
# peft 0.21.2 (torch 2.15.0, transformers 5.24.0): `target_modules="all-linear"` on SigLIP, and any target named out_proj, puts a LoRA on
# head.attention.out_proj, a part of torch's own nn.MultiheadAttention. That takes the weight and never calls the module, so the LoRA has no effect and
# gets no gradient, though it is counted as trained, saved and read without a word. merge_and_unload adds it to the weight, where it counts: what
# starts with a product that is not 0 is another model after merging. A LoRA on the attention as a whole (target "attention") does take part.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from peft import LoraConfig, get_peft_model
from transformers import SiglipVisionConfig, SiglipVisionModel

config = SiglipVisionConfig(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
torch.manual_seed(0)
model = SiglipVisionModel(config).eval()
pixels = torch.randn(1, 3, 8, 8)
plain = model(pixels).pooler_output
for targets in ("all-linear", r".*head\.attention\.out_proj"):
    adapted = get_peft_model(SiglipVisionModel(config), LoraConfig(target_modules=targets))
    print(targets, "adapts it:", any("head.attention.out_proj.lora_A" in name for name, _ in adapted.named_parameters()))
adapted = get_peft_model(model, LoraConfig(target_modules=r".*head\.attention\.out_proj", init_lora_weights=False)).eval()
trained = adapted.get_nb_trainable_parameters()[0]
output = adapted(pixels).pooler_output
print("trained parameters:", trained, "- takes part in the output:", output.requires_grad)
print("as adapted it is the plain model:", torch.equal(output, plain))
print("merged it is:", torch.allclose(adapted.merge_and_unload()(pixels).pooler_output, plain, atol=1e-3))
PROGRAM
expected=$(cat <<'SEEN'
all-linear adapts it: True
.*head\.attention\.out_proj adapts it: True
trained parameters: 192 - takes part in the output: False
as adapted it is the plain model: True
merged it is: False
SEEN
)
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
