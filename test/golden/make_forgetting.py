"""Writes forgetting.safetensors: what torch computes for guards against forgetting, in float64.

The model is lora/base with lora/query_value/adapter, the rows are those of lora/query_value/golden.safetensors; one
backward pass of log p(y|x) for each row and class, with the row's padding cut off.
  exact/<key>        diagonal Fisher information, the mean over rows of Σ_y p(y|x) g²
  predicted/<key>    of the likeliest class
  empirical/<key>    of the label
  <key> as in adapter_model.safetensors"""

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from reference import HERE, save


def main():
    base = BertForSequenceClassification.from_pretrained(HERE / "lora/base", attn_implementation="eager")
    model = PeftModel.from_pretrained(base, HERE / "lora/query_value/adapter", is_trainable=True).eval().double()
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(model).items()}
    named = {saved[p.data_ptr()]: p for p in model.parameters() if p.requires_grad}
    golden = load_file(HERE / "lora/query_value/golden.safetensors")
    rows = list(zip(golden["input_ids"].long(), golden["attention_mask"].long(), golden["labels"].tolist(), strict=True))
    sums = {kind: {key: torch.zeros_like(p) for key, p in named.items()} for kind in ("exact", "predicted", "empirical")}
    for ids, mask, label in rows:
        length = int(mask.sum())
        logits = model(input_ids=ids[None, :length], attention_mask=mask[None, :length]).logits[0]
        log_probabilities = torch.log_softmax(logits, -1)
        for y, log_probability in enumerate(log_probabilities):
            grads = torch.autograd.grad(log_probability, list(named.values()), retain_graph=True)
            weights = {
                "exact": log_probability.detach().exp(),
                "predicted": float(y == int(logits.argmax())),
                "empirical": float(y == label),
            }
            for kind, weight in weights.items():
                for key, grad in zip(named, grads, strict=True):
                    sums[kind][key] += weight * grad.square() / len(rows)
    save(HERE / "forgetting.safetensors", {f"{kind}/{key}": sum for kind, record in sums.items() for key, sum in record.items()})


main()
