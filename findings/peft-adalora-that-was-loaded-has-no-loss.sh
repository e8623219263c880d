#!/usr/bin/env bash
# PEFT 0.21.2 (transformers 5.24.0, torch 2.15.0): an AdaLoRA that PEFT has saved and loads again
# - gives logits, but raises an AttributeError where it is given labels, so that its loss on held-out rows cannot be computed; a LoRA's can;
# - says of the rank_pattern in its own file, by which it then cuts the modules, that it was ignored;
# - cannot be loaded at all under a name that is a part of a module's path, as 'layer' is of 'encoder.layer.0': the name is taken for the end of
#   the keys in rank_pattern, and one part too many of them is cut off.
# And a training whose target_r is its init_r, which asks for no rank to be taken, ends with an error at its first step behind tinit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet peft==0.21.2 transformers==5.24.0 torch==2.15.0
cat > try.py <<'PROGRAM'
import warnings

import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model
from transformers import BertConfig, BertForSequenceClassification

torch.manual_seed(0)
sizes = dict(vocab_size=8, hidden_size=4, num_hidden_layers=2, num_attention_heads=1, intermediate_size=4)
BertForSequenceClassification(BertConfig(**sizes)).save_pretrained("base")
ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
base = lambda: BertForSequenceClassification.from_pretrained("base")


def attempt(name, work):
    try:
        print(f"{name}:", work())
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error).split(';')[0][:90]}")


def train(config, folder):
    model = get_peft_model(base(), config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(1, 7):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        if config.peft_type == "ADALORA":
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return "trained"


adalora = dict(task_type="SEQ_CLS", total_step=6, target_modules=["query", "value"], init_r=3)
attempt("LoRA", lambda: train(LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], r=3), "lora"))
attempt("AdaLoRA, target_r 2", lambda: train(AdaLoraConfig(target_r=2, **adalora), "adalora"))
attempt("AdaLoRA, target_r 3", lambda: train(AdaLoraConfig(target_r=3, **adalora), "unused"))
for kind in ("lora", "adalora"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base(), kind).eval()
    print(f"{kind}, warned that rank_pattern was ignored:", any("rank_pattern" in str(each.message) and "ignored" in str(each.message) for each in caught))
    attempt(f"{kind}, logits", lambda: list(model(input_ids=ids).logits.shape))
    attempt(f"{kind}, with labels", lambda: list(model(input_ids=ids, labels=labels).loss.shape))
    attempt(f"{kind}, loaded as 'second'", lambda: type(PeftModel.from_pretrained(base(), kind, adapter_name="second")).__name__)
    attempt(f"{kind}, loaded as 'layer'", lambda: type(PeftModel.from_pretrained(base(), kind, adapter_name="layer")).__name__)
PROGRAM
expected=$(cat <<'SEEN'
LoRA: trained
AdaLoRA, target_r 2: trained
AdaLoRA, target_r 3: RuntimeError: kthvalue(): selected number k out of range for dimension 0
lora, warned that rank_pattern was ignored: False
lora, logits: [2, 2]
lora, with labels: []
lora, loaded as 'second': PeftModelForSequenceClassification
lora, loaded as 'layer': PeftModelForSequenceClassification
adalora, warned that rank_pattern was ignored: True
adalora, logits: [2, 2]
adalora, with labels: AttributeError: 'BertForSequenceClassification' object has no attribute 'trainable_adapter_name'
adalora, loaded as 'second': PeftModelForSequenceClassification
adalora, loaded as 'layer': AttributeError: 'BertSelfAttention' object has no attribute 'lora_E'
SEEN
)
seen=$(env/bin/python try.py 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
