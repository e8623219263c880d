"""Writes lora/base/, a tiny BertForSequenceClassification without dropout, and lora/<case>/: adapter/, as
PeftModel.save_pretrained leaves it (its README.md, a blank form, removed), and golden.safetensors, what HF PEFT
computes and how it trains (float32, CPU, one thread, eager attention).

golden.safetensors:
  input_ids, attention_mask [6, 12], labels [6]     the batch; token types are left out
  logits [6, 3], loss []                            with the adapter
  base_logits [6, 3]                                without it, and with the base's own classifier
  merged_logits [6, 3]                              after merge_and_unload
  grad/<key>                                        of the loss, for each trainable; <key> as in adapter_model.safetensors
  train/loss, train/grad_norm [20]                  before each step of torch.optim.AdamW (lr 1e-2, weight decay 0.01 on
  train/final/<key>                                 everything trained, betas 0.9 0.999, eps 1e-8; constant rate, no
                                                    clipping, dropout 0) on that one batch; and the weights after 20 steps
  cycle/input_ids, cycle/attention_mask [3, 6, 12], cycle/labels [3, 6], cycle/loss, cycle/grad_norm, cycle/final/<key>
                                                    the same, step i on batch i mod 3; from the saved adapter again
lora_B and the classifier's copy are random, not as PEFT starts them, so that leaving either out changes the numbers.
Metadata: `float32_error` per group of tensors, the largest distance from the same run in float64. AdamW's first steps
have the size of the rate whatever the size of the gradient, so `final` is where rounding shows most."""

import copy
import os
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import BertConfig, BertForSequenceClassification

from reference import HERE, gap, padded_batch, randomize, save, save_model

STEPS = 20
CASES = {
    # modules_to_save is filled in by PEFT: SEQ_CLS adds classifier and score.
    "query_value": dict(r=4, lora_alpha=8, target_modules=["query", "value"]),
    # every Linear but the classifier, the pooler's dense among them
    "all_linear": dict(r=4, lora_alpha=4, target_modules="all-linear"),
    # Patterns: suffix, dotted suffix and regex; the first that matches wins. They stand in alphabetical order because
    # save_pretrained sorts them so: in another order a reload could choose another rank. rsLoRA: scale alpha / sqrt(rank).
    "patterns_rslora": dict(
        r=4,
        lora_alpha=8,
        use_rslora=True,
        target_modules=["query", "key", "value"],
        rank_pattern={r"bert\.encoder\.layer\.[12]\..*\.value": 6, "layer.0.attention.self.query": 2, "query": 3},
        alpha_pattern={"key": 3, "layer.2.attention.self.value": 12},
    ),
    # "dense" also ends pooler.dense, which has no layer number and so drops out with layers_to_transform
    "exclude_layers": dict(
        r=3,
        lora_alpha=6,
        target_modules=["query", "dense"],
        exclude_modules=["attention.output.dense"],
        layers_to_transform=[1, 2],
    ),
    # a string is a regex for the whole name
    "regex": dict(
        r=2, lora_alpha=5, target_modules=r"bert\.encoder\.layer\.[02]\.(attention\.self\.(query|key)|intermediate\.dense)"
    ),
}


def trainables(model):
    """The trained parameters by the names of the adapter file."""
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(model).items()}
    found = {saved[p.data_ptr()]: p for p in model.parameters() if p.requires_grad}
    assert sorted(found) == sorted(saved.values())
    return found


def forward(model, batch):
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"])


def train(model, batches):
    model.train()
    named = trainables(model)
    optimizer = torch.optim.AdamW(named.values(), lr=1e-2, weight_decay=0.01)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = forward(model, batches[step % len(batches)]).loss
        loss.backward()
        losses.append(loss.detach())
        norms.append(torch.nn.utils.get_total_norm([parameter.grad for parameter in named.values()]))
        optimizer.step()
    return {
        "loss": torch.stack(losses),
        "grad_norm": torch.stack(norms),
        **{f"final/{key}": parameter.detach() for key, parameter in named.items()},
    }


def measure(model, batches):
    """Everything of golden.safetensors but the batch, grouped by the first part of its name."""
    one = copy.deepcopy(model).eval()
    output = forward(one, batches[0])
    output.loss.backward()
    groups = {
        "forward": {"logits": output.logits.detach(), "loss": output.loss.detach()},
        "grad": {key: parameter.grad for key, parameter in trainables(one).items()},
        "train": train(copy.deepcopy(model), batches[:1]),
        "cycle": train(copy.deepcopy(model), batches),
    }
    with torch.no_grad():
        merged = copy.deepcopy(model).eval().merge_and_unload()
        groups["forward"]["merged_logits"] = forward(merged, batches[0]).logits
    return groups


def make(case, options, seed):
    base = BertForSequenceClassification.from_pretrained("base", attn_implementation="eager").eval()
    batches = [padded_batch(seed * 10 + i, rows=6, length=12, vocab=37, kinds=["full", "right"]) for i in range(3)]
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        batch["labels"] = torch.randint(0, 3, (6,), generator=generator)
    with torch.no_grad():
        base_logits = forward(base, batches[0]).logits

    torch.manual_seed(seed)
    model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", lora_dropout=0.0, **options))
    with torch.no_grad():
        for key, parameter in sorted(trainables(model).items()):
            if "lora_A" not in key:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / "lora" / case
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()

    groups = measure(model, batches)
    exact = measure(copy.deepcopy(model).double(), batches)
    errors = {name: gap(group, exact[name]) for name, group in groups.items()}
    tensors = {**batches[0], "base_logits": base_logits, **groups.pop("forward")}
    tensors |= {f"cycle/{name}": torch.stack([batch[name] for batch in batches]) for name in batches[0]}
    tensors |= {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    save(folder / "golden.safetensors", tensors, float32_error=errors)

    again = PeftModel.from_pretrained(
        BertForSequenceClassification.from_pretrained("base", attn_implementation="eager"), folder / "adapter"
    ).eval()
    with torch.no_grad():
        assert torch.equal(forward(again, batches[0]).logits, tensors["logits"])
    losses = tensors["train/loss"]
    shift = (tensors["logits"] - base_logits).abs().max().item()
    print(f"{case}: {len(groups['grad'])} trainables, logits moved {shift:.2f}, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print("  float32 error", {name: f"{error:.1e}" for name, error in errors.items()})


if __name__ == "__main__":
    os.makedirs(HERE / "lora", exist_ok=True)
    os.chdir(HERE / "lora")  # so that base_model_name_or_path in the saved adapters reads "base"
    config = BertConfig(
        vocab_size=37,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=24,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=3,
    )
    model = BertForSequenceClassification(config)
    randomize(model, seed=11, std=0.2)
    save_model(model, HERE / "lora" / "base")
    for seed, (case, options) in enumerate(CASES.items(), start=21):
        make(case, options, seed)
