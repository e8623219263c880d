"""Writes tasks.safetensors: bert/masked_lm with a LoRA of rank 4 at query and value, which a classification of rows (of the mean of
their tokens), one of tokens and masked LM have in common, each with its head, in float64; masked LM's is the checkpoint's and frozen.

ids/<task> [4, 7], labels/genre [4], labels/tags and labels/words [4, 7]
start/<name>           trained tensors before the first step: those of the LoRA by the names of its file, genre/… and tags/… of heads
grad/<name>            gradients of 1 · genre + 0.5 · tags + 2 · words
end/<name>             after 5 steps of torch.optim.AdamW on that sum, learning rate 0.01, no decay
losses [5, 3]          of each step"""

import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import BertForMaskedLM

from reference import HERE, save

WEIGHTS = {"genre": 1.0, "tags": 0.5, "words": 2.0}
STEPS = 5

generator = torch.Generator().manual_seed(51)
model = BertForMaskedLM.from_pretrained(HERE / "bert" / "masked_lm", attn_implementation="eager").eval()
inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"]), model)
model = model.double()
heads = {name: torch.nn.Linear(32, classes).double() for name, classes in [("genre", 3), ("tags", 5)]}
trained = {name.replace(".default", ""): tensor for name, tensor in model.named_parameters() if "lora_" in name}
trained |= {f"{head}/classifier.{name}": tensor for head, module in heads.items() for name, tensor in module.named_parameters()}
with torch.no_grad():
    for tensor in trained.values():
        tensor.copy_((0.3 * torch.randn(tensor.shape, generator=generator)).float())  # numbers that float32 has
for parameter in model.parameters():
    parameter.requires_grad_(any(parameter is tensor for tensor in trained.values()))

ids = {name: torch.randint(5, 37, (4, 7), generator=generator) for name in WEIGHTS}
words = torch.randint(5, 37, (4, 7), generator=generator)
labels = {
    "genre": torch.randint(0, 3, (4,), generator=generator),
    "tags": torch.randint(0, 5, (4, 7), generator=generator),
    "words": torch.where(torch.rand((4, 7), generator=generator) < 0.4, words, -100),
}


def loss(name):
    if name == "words":
        logits = model(ids[name]).logits
    else:
        hidden = model.bert(ids[name]).last_hidden_state
        logits = heads[name](hidden.mean(1) if name == "genre" else hidden)
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels[name].flatten())


golden = {f"ids/{name}": value for name, value in ids.items()} | {f"labels/{name}": value for name, value in labels.items()}
golden |= {f"start/{name}": tensor.detach().clone() for name, tensor in trained.items()}
optimizer = torch.optim.AdamW(trained.values(), lr=0.01, weight_decay=0)
losses = []
for step in range(STEPS):
    optimizer.zero_grad()
    own = {name: loss(name) for name in WEIGHTS}
    sum(weight * own[name] for name, weight in WEIGHTS.items()).backward()
    if step == 0:
        golden |= {f"grad/{name}": tensor.grad.clone() for name, tensor in trained.items()}
    optimizer.step()
    losses.append([own[name].item() for name in WEIGHTS])
golden |= {f"end/{name}": tensor for name, tensor in trained.items()}
save(HERE / "tasks.safetensors", golden | {"losses": torch.tensor(losses)})
