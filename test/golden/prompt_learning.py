"""What make_prefix.py and make_prompt.py share: they write <folder>/<case>/: adapter/, as PeftModel.save_pretrained leaves
it (its README.md removed), and golden.safetensors, what HF PEFT computes with it on a tiny model, lora/base where no other
is named, and how it trains (float32, CPU, one thread, eager attention, no dropout).

golden.safetensors:
  input_ids, attention_mask [6, 12], labels [6] or [6, 12]     the batch; token types are left out; labels of an LM are its ids but the first
  logits [6, 3] or [6, 12, …], loss []       with the adapter; of the text's own tokens alone
  base_logits                                without it, and with the base's own classifier
  start/<key>                                everything trained, by PEFT's name inside the encoder (`embedding.weight`,
                                             `transform.0.weight`), the classifier as `classifier.weight`: the folder adapter/
                                             has a network folded into its rows
  grad/<key>                                 of the loss
  train/loss [20], train/final/<key>         before each step of torch.optim.AdamW (lr 1e-2, weight decay 0.01 on everything
                                             trained); and the values after 20 steps
Metadata: `float32_error` as in make_lora.py."""

import copy
import os
import shutil

import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification

from reference import HERE, gap, padded_batch, save

STEPS = 20
CLASSES = {
    "SEQ_CLS": AutoModelForSequenceClassification,
    "TOKEN_CLS": AutoModelForTokenClassification,
    "CAUSAL_LM": AutoModelForCausalLM,
}
NO_DROPOUT = dict.fromkeys(["attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout"], 0.0)


def load_base(task, base="base"):
    config = AutoConfig.from_pretrained(base)
    off = {key: value for key, value in NO_DROPOUT.items() if hasattr(config, key)}
    return CLASSES[task].from_pretrained(base, attn_implementation="eager", **off).eval()


def trainables(model):
    def short(name):
        return name.removeprefix("prompt_encoder.default.").replace("base_model.classifier.modules_to_save.default.", "classifier.")

    return {short(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def forward(model, batch):
    """Logits of the text's tokens, and the loss. A prompt puts its rows into the output, which the labels have to fit;
    for a causal LM PEFT sees to that."""
    config = model.active_peft_config
    tokens = config.task_type != "SEQ_CLS" and config.peft_type != "PREFIX_TUNING"
    labels = batch["labels"]
    if config.task_type == "TOKEN_CLS" and tokens:
        labels = torch.nn.functional.pad(labels, (config.num_virtual_tokens, 0), value=-100)
    output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels)
    return (output.logits[:, config.num_virtual_tokens :] if tokens else output.logits), output.loss


def train(model, batch):
    model.train()
    named = trainables(model)
    optimizer = torch.optim.AdamW(named.values(), lr=1e-2, weight_decay=0.01)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = forward(model, batch)
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
    return {"loss": torch.stack(losses), **{f"final/{key}": parameter.detach() for key, parameter in named.items()}}


def measure(model, batch):
    one = copy.deepcopy(model).eval()
    logits, loss = forward(one, batch)
    loss.backward()
    return {
        "forward": {"logits": logits.detach(), "loss": loss.detach()},
        "grad": {key: parameter.grad for key, parameter in trainables(one).items()},
        "train": train(copy.deepcopy(model), batch),
    }


def make(folder, config, seed, more=None, base="base"):
    """`more` computes further tensors from the model and the batch."""
    base = load_base(config.task_type, base)
    batch = padded_batch(seed, rows=6, length=12, vocab=37, kinds=["full", "right"])
    shape = (6,) if config.task_type == "SEQ_CLS" else (6, 12)
    labels = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(seed))
    if config.task_type == "CAUSAL_LM":
        labels = batch["input_ids"].clone()
        labels[:, 0] = -100  # PEFT holds it against the last row of a prompt; here it has no prediction
    batch["labels"] = labels if config.task_type == "SEQ_CLS" else labels.masked_fill(batch["attention_mask"] == 0, -100)
    with torch.no_grad():
        base_logits = base(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    torch.manual_seed(seed)
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(trainables(model).items()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)

    start = {key: parameter.detach().clone() for key, parameter in trainables(model).items()}
    groups = {**measure(model, batch), "start": start}
    exact = measure(copy.deepcopy(model).double(), batch)
    errors = {name: gap(groups[name], group) for name, group in exact.items()}
    tensors = {**batch, "base_logits": base_logits, **groups.pop("forward"), **(more(model, batch) if more else {})}
    tensors |= {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    save(folder / "golden.safetensors", tensors, float32_error=errors)
    losses = tensors["train/loss"]
    shift = (tensors["logits"] - base_logits).abs().max().item()
    print(f"{folder.name}: {len(start)} trainables, logits moved {shift:.2f}, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print("  float32 error", {name: f"{error:.1e}" for name, error in errors.items()})


def enter():
    """So that base_model_name_or_path in the saved adapters reads "base"."""
    os.chdir(HERE / "lora")
