"""Writes adapters/<case>/: adapter/, as AdapterHub's `adapters` saves a bottleneck adapter and its head with
use_safetensors, and golden.safetensors, what it computes and how it trains (float32, CPU, one thread, eager attention,
no dropout) on lora/base, the tiny BertForSequenceClassification. In adapters/<family>/ the same, without a head, for a
causal or masked LM of another family, <family>/<case> of the golden models.

Needs an environment of its own (adapters pins an older transformers): adapters==1.3.0 transformers==4.57.6 peft==0.21.2
and the rest of bench/peers/requirements.txt.

golden.safetensors:
  input_ids, attention_mask [6, 12], labels [6]     the batch; token types are left out; labels of an LM [6, 12]: the ids
  logits [6, 3] ([6, 12, vocabulary]), loss []      with the adapter
  base_logits                                       without it, and with the base's own classifier
  skip0_logits                                      with the adapter left out of layer 0, as set_active_adapters(skip_layers=[0])
  grad/<key>                                        of the loss, for each trainable; <key> as in the two safetensors files
  train/loss [20], train/final/<key>                before each step of torch.optim.AdamW (lr 1e-2, weight decay 0.01 on
                                                    everything trained); and the weights after 20 steps
adapters/encoder/ holds an adapter of the bare BertModel (its keys have no `bert.`), and its last_hidden_state.
Everything trained is moved off its start by noise, so that leaving any of it out changes the numbers.
Metadata: `float32_error` as in make_lora.py."""

import copy
import json
import os
import shutil
from importlib.metadata import version

import torch

import reference
from reference import HERE, gap, padded_batch, save

import adapters
from adapters import BnConfig, DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertForSequenceClassification, BertModel

reference.VERSIONS["adapters"] = version("adapters")
STEPS = 20
NAME = "golden"
CASES = {
    "double_seq_bn": DoubleSeqBnConfig(reduction_factor=8),
    "seq_bn": SeqBnConfig(),
    "par_bn": ParBnConfig(),
    "scaled_par_bn": ParBnConfig(scaling="learned"),
    # behind the norm of both sublayers, a width of its own in layer 0, a scale for each column, layer 1 left out
    "mixed": BnConfig(
        mh_adapter=True,
        output_adapter=True,
        reduction_factor={"0": 4, "default": 8},
        non_linearity="gelu",
        original_ln_before=True,
        scaling="channel",
        init_weights="houlsby",
        leave_out=[1],
    ),
}
# Other families, among them those that norm before a sublayer.
FAMILIES = {
    "gpt2": (AutoModelForCausalLM, "gpt2/causal_lm", BnConfig(mh_adapter=True, output_adapter=True, reduction_factor=6, non_linearity="swish")),
    "gpt2_sum": (AutoModelForCausalLM, "gpt2/causal_lm", SeqBnConfig(reduction_factor=6)),
    "llama": (AutoModelForCausalLM, "llama/causal_lm", ParBnConfig(scaling="learned")),
    "distilbert": (AutoModelForMaskedLM, "distilbert/masked_lm", DoubleSeqBnConfig(reduction_factor=6)),
    "roberta": (AutoModelForMaskedLM, "roberta/masked_lm", SeqBnConfig(mh_adapter=True, reduction_factor=6)),
}
NO_DROPOUT = dict.fromkeys(
    ["attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout", "dropout", "hidden_dropout_prob", "attention_probs_dropout_prob"], 0.0
)


def trainables(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def forward(model, batch):
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"])


def train(model, batch):
    model.train()
    named = trainables(model)
    optimizer = torch.optim.AdamW(named.values(), lr=1e-2, weight_decay=0.01)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = forward(model, batch).loss
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
    return {"loss": torch.stack(losses), **{f"final/{key}": parameter.detach() for key, parameter in named.items()}}


def measure(model, batch):
    one = copy.deepcopy(model).eval()
    output = forward(one, batch)
    output.loss.backward()
    grads = {key: parameter.grad for key, parameter in trainables(one).items()}
    one.set_active_adapters(NAME, skip_layers=[0])
    with torch.no_grad():
        skipped = forward(one, batch).logits
    return {
        "forward": {"logits": output.logits.detach(), "loss": output.loss.detach(), "skip0_logits": skipped},
        "grad": grads,
        "train": train(copy.deepcopy(model), batch),
    }


def disturb(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(trainables(model).items()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def add(model, config, seed, head=True):
    """The model with the adapter, switched on and trainable, with its head or without."""
    adapters.init(model)
    torch.manual_seed(seed)
    model.add_adapter(NAME, config=config)
    model.train_adapter(NAME)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and (head or ".adapters." in name))
    disturb(model, seed)
    return model.eval()


def save_adapter(model, folder, **options):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model.save_adapter(folder / "adapter", NAME, use_safetensors=True, **options)


def make(case, load, config, seed, lm=False):
    base = load().eval()
    batch = padded_batch(seed, rows=6, length=12, vocab=37, kinds=["full", "right"])
    if lm:
        batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    else:
        batch["labels"] = torch.randint(0, 3, (6,), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        base_logits = forward(base, batch).logits
    model = add(base, config, seed, head=not lm)
    folder = HERE / "adapters" / case
    save_adapter(model, folder, **({"with_head": False} if lm else {}))
    groups = measure(model, batch)
    exact = measure(copy.deepcopy(model).double(), batch)
    errors = {name: gap(group, exact[name]) for name, group in groups.items()}
    tensors = {**batch, "base_logits": base_logits, **groups.pop("forward")}
    tensors |= {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    save(folder / "golden.safetensors", tensors, float32_error=errors)

    again = load()
    adapters.init(again)
    again.load_adapter(str(folder / "adapter"), use_safetensors=True, set_active=True)
    with torch.no_grad():
        assert torch.equal(forward(again.eval(), batch).logits, tensors["logits"])
    losses = tensors["train/loss"]
    shift = (tensors["logits"] - base_logits).abs().max().item()
    print(f"{case}: {len(groups['grad'])} trainables, logits moved {shift:.2f}, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print("  float32 error", {name: f"{error:.1e}" for name, error in errors.items()})


def make_encoder(seed):
    model = add(BertModel.from_pretrained("base", attn_implementation="eager"), SeqBnConfig(reduction_factor=8), seed)
    batch = padded_batch(seed, rows=4, length=9, vocab=37, kinds=["full", "right"])
    folder = HERE / "adapters" / "encoder"
    save_adapter(model, folder)
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
        exact = copy.deepcopy(model).double()(**batch).last_hidden_state
    errors = {"forward": (hidden.double() - exact).abs().max().item()}
    save(folder / "golden.safetensors", {**batch, "last_hidden_state": hidden}, float32_error=errors)


if __name__ == "__main__":
    os.chdir(HERE / "lora")  # so that model_name in the saved adapters reads "base"
    for seed, (case, config) in enumerate(CASES.items(), start=41):
        make(case, lambda: BertForSequenceClassification.from_pretrained("base", attn_implementation="eager"), config, seed)
    make_encoder(seed=51)
    os.chdir(HERE)
    for seed, (family, (cls, folder, config)) in enumerate(FAMILIES.items(), start=52):
        known = json.loads((HERE / folder / "config.json").read_text())
        off = {key: value for key, value in NO_DROPOUT.items() if key in known}
        make(family, lambda: cls.from_pretrained(folder, attn_implementation="eager", **off), config, seed, lm=True)
