#!/usr/bin/env bash
# peft 0.21.2 (transformers 5.24.0, torch 2.15.0): a LoRA on the table of the words and the head of a model that ties the two, with
# ensure_weight_tying, adapts both while it trains, and save_pretrained writes both. Where the table is called `wte`, as GPT-2's,
# PeftModel.from_pretrained adapts the table alone: the head's pair in the file is dropped without a warning, and the adapter that is read
# gives other logits than the one that was saved. Of a LLaMA, whose table is called `embed_tokens`, both come back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > run.py <<'PROGRAM'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

CONFIGS = {
    "wte": GPT2Config(vocab_size=16, n_positions=8, n_embd=8, n_layer=1, n_head=2),
    "embed_tokens": LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True),
}
for table, config in CONFIGS.items():
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained("base")
    base = lambda: AutoModelForCausalLM.from_pretrained("base").eval()
    trained = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", target_modules=[table, "lm_head"], ensure_weight_tying=True)).eval()
    for parameter in trained.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    trained.save_pretrained("adapter")
    saved = any("lm_head.lora" in key for key in safe_open("adapter/adapter_model.safetensors", "pt").keys())
    again = PeftModel.from_pretrained(base(), "adapter").eval()
    adapted = lambda model: " ".join(sorted(name.split(".")[-1] for name, module in model.named_modules() if isinstance(module, LoraLayer)))
    with torch.no_grad():
        equal = torch.allclose(trained(torch.tensor([[1, 2, 3]])).logits, again(torch.tensor([[1, 2, 3]])).logits, atol=1e-5)
    print(f"{config.model_type}: adapted {adapted(trained)}; head in the file {saved}; read again {adapted(again)}; equal logits {equal}")
PROGRAM
seen=$(env/bin/python run.py 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
gpt2: adapted lm_head wte; head in the file True; read again wte; equal logits False
llama: adapted embed_tokens lm_head; head in the file True; read again embed_tokens lm_head; equal logits True
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
