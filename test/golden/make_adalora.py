"""Writes lora_family/adalora/, as make_lora_family.py describes it, and lora_family/adalora_budget/: a training by AdaLoRA with its
budget, and the adapter that PEFT saves of it, whose modules have lost some of their triplets, and one of them all.

adalora_budget/start/                     the adapter before the first step
adalora_budget/adapter/                   behind the last
adalora_budget/golden.safetensors:
  cycle/input_ids, cycle/attention_mask [3, 6, 12], cycle/labels [3, 6]     step i (from 1) is on batch (i - 1) mod 3
  loss [STEPS]                            with the term of orthogonality, before each step
  singular/<module> [STEPS, INIT]         lora_E behind each step, with what the budget has set to 0
  final/<key>                             the trained tensors behind the last step, before any is left out
  logits [6, 3]                           of the first batch, with the saved adapter loaded again"""

import os

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model

import make_lora
import make_lora_family
from make_lora_family import load_base, logits_of, perturb, trainables
from reference import HERE, padded_batch, save

STEPS, INIT = 24, 4
PLAIN = AdaLoraConfig(init_r=5, target_r=3, total_step=50, orth_reg_weight=0, lora_alpha=8, target_modules=["query", "value", "output.dense"])
BUDGET = AdaLoraConfig(
    task_type="SEQ_CLS", init_r=INIT, target_r=1, lora_alpha=6, tinit=4, tfinal=6, deltaT=3, beta1=0.8, beta2=0.9, orth_reg_weight=0.3,
    total_step=STEPS, target_modules=["query", "value", "intermediate.dense"],
)


def make_budget():
    folder = HERE / "lora_family" / "adalora_budget"
    generator = torch.Generator().manual_seed(62)
    batches = [padded_batch(620 + i, rows=6, length=12, vocab=37, kinds=["full", "right"]) for i in range(3)]
    for batch in batches:
        batch["labels"] = torch.randint(0, 3, (6,), generator=generator)
    torch.manual_seed(62)
    model = get_peft_model(load_base(), BUDGET)
    perturb(model, generator)
    model.save_pretrained(folder / "start")
    named = trainables(model)
    layers = {name: module for name, module in model.base_model.model.named_modules() if hasattr(module, "lora_E")}
    singular = {f"singular/{name}": [] for name in layers}
    optimizer = torch.optim.AdamW(named.values(), lr=1e-2, weight_decay=0.01)
    losses = []
    for step in range(1, STEPS + 1):
        loss = make_lora.forward(model, batches[(step - 1) % 3]).loss
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        for name, module in layers.items():
            singular[f"singular/{name}"].append(module.lora_E["default"].detach().view(-1).clone())
    final = {f"final/{key}": parameter.detach().clone() for key, parameter in named.items()}
    model.save_pretrained(folder / "adapter")
    again = PeftModel.from_pretrained(load_base(), folder / "adapter").eval()
    ranks = {name: int((values[-1] != 0).sum()) for name, values in singular.items()}
    print(f"budget: loss {losses[0]:.3f} -> {losses[-1]:.3f}, ranks {ranks}")
    assert 0 in ranks.values() and max(ranks.values()) > 1
    with torch.no_grad():
        logits = logits_of(again, batches[0])
        trained = logits_of(model.eval(), batches[0])
    assert torch.allclose(logits, trained, rtol=0, atol=1e-5)
    tensors = {f"cycle/{name}": torch.stack([batch[name] for batch in batches]) for name in batches[0]}
    tensors |= {"loss": torch.stack(losses), "logits": logits, **final, **{name: torch.stack(values) for name, values in singular.items()}}
    save(folder / "golden.safetensors", tensors)
    for adapter in ("start", "adapter"):
        (folder / adapter / "README.md").unlink()


if __name__ == "__main__":
    os.chdir(HERE / "lora_family")
    make_lora.trainables = trainables
    make_lora_family.make("adalora", PLAIN, 61)
    make_budget()
