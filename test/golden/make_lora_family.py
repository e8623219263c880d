"""Writes lora_family/<case>/: what HF PEFT makes of LoRA's relatives on the tiny model lora/base, in the form that make_lora.py
describes (adapter/, and golden.safetensors with logits, gradients, 20 training steps and the merged logits); and
lora_family/combined/: adapters a, b, c and what add_weighted_adapter makes of them.

golden.safetensors of the cases pissa and olora has besides:
  start/<site> [out, in]                  scale · B A as PEFT starts them, which it takes out of the base weight
combined/golden.safetensors:
  input_ids, attention_mask [6, 12]
  <kind>/<key>                            the new adapter's tensors; <key> as in adapter_model.safetensors
  <kind>/logits [6, 3]
  <kind>/mask/<adapter>/<key>             dare kinds: which elements of that adapter's tensor were kept
KINDS names the adapters, weights and densities. `majority_sign_method` is 'total'."""

import copy
import os
import shutil

import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils import merge_utils
from transformers import BertForSequenceClassification

import make_lora
from reference import HERE, gap, padded_batch, save

CASES = {
    "dora": LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=["query", "value", "output.dense"]),
    "dora_rslora_embedding": LoraConfig(
        r=3, lora_alpha=4, use_dora=True, use_rslora=True, target_modules=["key", "word_embeddings"]
    ),
    "embedding": LoraConfig(
        r=4, lora_alpha=8, target_modules=["word_embeddings", "token_type_embeddings", "query"], rank_pattern={"query": 2}
    ),
    "gaussian": LoraConfig(r=4, lora_alpha=8, init_lora_weights="gaussian", target_modules=["query", "value"]),
    "pissa": LoraConfig(r=4, lora_alpha=8, init_lora_weights="pissa", target_modules=["query", "intermediate.dense"]),
    "olora": LoraConfig(
        r=4, lora_alpha=6, use_rslora=True, init_lora_weights="olora", target_modules=["value", "intermediate.dense"]
    ),
    # PEFT's defaults for BERT: key, value and output.dense, with both output.dense as feed-forward
    "ia3": IA3Config(),
    "ia3_regex": IA3Config(
        target_modules=r"bert\.encoder\.layer\.[02]\..*(query|intermediate\.dense)", feedforward_modules=r".*intermediate\.dense"
    ),
    "layer_norm": LNTuningConfig(target_modules=["LayerNorm"]),
    "layer_norm_chosen": LNTuningConfig(target_modules=r".*output\.LayerNorm", exclude_modules=r".*layer\.1\..*"),
    "bias_all": LoraConfig(r=2, lora_alpha=2, bias="all", target_modules=["query"]),
    "bias_lora_only": LoraConfig(r=2, lora_alpha=2, bias="lora_only", target_modules=["query", "output.dense"]),
    "modules_to_save": LoraConfig(r=2, lora_alpha=2, target_modules=["query"], modules_to_save=["pooler"]),
}

ADAPTERS = {
    "a": LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"]),
    "b": LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=["query", "key"]),
    "c": LoraConfig(
        r=2, lora_alpha=3, target_modules=["query", "value", "word_embeddings"], rank_pattern={"value": 3}
    ),
}
WEIGHTS = {"a": 0.7, "b": -0.4, "c": 1.3}
# Kinds that mix A with A and B with B want one rank: a and b. The others take all three, and c's rank pattern.
KINDS = {
    "cat": ("abc", {}),
    "svd": ("abc", dict(svd_rank=16)),
    "svd_cut": ("abc", dict(combination_type="svd", svd_rank=3)),
    "linear": ("ab", {}),
    "ties": ("ab", dict(density=0.6)),
    "dare_linear": ("ab", dict(density=0.6)),
    "dare_ties": ("ab", dict(density=0.6)),
    "magnitude_prune": ("ab", dict(density=0.6)),
    "ties_svd": ("abc", dict(density=0.3, svd_rank=32)),
    "dare_linear_svd": ("abc", dict(density=0.3, svd_rank=32)),
    "dare_ties_svd": ("abc", dict(density=0.3, svd_rank=32)),
    "magnitude_prune_svd": ("abc", dict(density=0.3, svd_rank=32)),
}


def load_base():
    return BertForSequenceClassification.from_pretrained("../lora/base", attn_implementation="eager").eval()


def trainables(model):
    """The trained parameters by the names of the adapter file. With bias='all' PEFT saves the head's bias under several
    names, the real one last, and the base's besides."""
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(model).items()}
    found = {saved[p.data_ptr()]: p for p in model.parameters() if p.requires_grad}
    assert sorted(found) == sorted(key for key in saved.values() if ".original_module." not in key)
    return found


def perturb(model, generator):
    """As PEFT starts them, half the tensors change nothing."""
    with torch.no_grad():
        for key, parameter in sorted(trainables(model).items()):
            if "lora_A" not in key:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def logits_of(model, batch):
    """Without labels: an AdaLoRA that PEFT has loaded raises an error where it is given any."""
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def starts(model):
    modules = {name: module for name, module in model.base_model.model.named_modules() if isinstance(module, LoraLayer)}
    return {f"start/{name}": module.get_delta_weight("default").detach() for name, module in modules.items()}


def make(case, config, seed):
    base = load_base()
    batches = [padded_batch(seed * 10 + i, rows=6, length=12, vocab=37, kinds=["full", "right"]) for i in range(3)]
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        batch["labels"] = torch.randint(0, 3, (6,), generator=generator)
    with torch.no_grad():
        base_logits = make_lora.forward(base, batches[0]).logits

    torch.manual_seed(seed)
    config = copy.deepcopy(config)
    config.task_type = "SEQ_CLS"
    model = get_peft_model(base, config)
    extra = starts(model) if case in ("pissa", "olora") else {}
    perturb(model, generator)
    folder = HERE / "lora_family" / case
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()

    groups = make_lora.measure(model, batches)
    exact = make_lora.measure(copy.deepcopy(model).double(), batches)
    errors = {name: gap(group, exact[name]) for name, group in groups.items()}
    tensors = {**batches[0], "base_logits": base_logits, **extra, **groups.pop("forward")}
    tensors |= {f"cycle/{name}": torch.stack([batch[name] for batch in batches]) for name in batches[0]}
    tensors |= {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    save(folder / "golden.safetensors", tensors, float32_error=errors)

    again = PeftModel.from_pretrained(load_base(), folder / "adapter").eval()
    with torch.no_grad():
        assert torch.allclose(logits_of(again, batches[0]), tensors["logits"], rtol=0, atol=1e-5)
    losses = tensors["train/loss"]
    shift = (tensors["logits"] - base_logits).abs().max().item()
    print(f"{case}: {len(groups['grad'])} trainables, logits moved {shift:.2f}, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print("  float32 error", {name: f"{error:.1e}" for name, error in errors.items()})


def drawn_masks(run, pruned):
    """Runs `run` and gives every mask that random_pruning drew, under `<adapter>/<key>`; `pruned` lists those in the order
    in which PEFT draws."""
    masks, bernoulli = [], torch.bernoulli

    def record(probabilities):
        masks.append(bernoulli(probabilities))
        return masks[-1]

    merge_utils.torch.bernoulli = record
    try:
        run()
    finally:
        merge_utils.torch.bernoulli = bernoulli
    assert not masks or len(masks) == len(pruned)
    return {f"mask/{name}": mask for name, mask in zip(pruned, masks)}


def lora_keys(name, layer, adapter):
    kind = "lora_embedding_{}" if adapter in layer.lora_embedding_A else "lora_{}.weight"
    return [f"base_model.model.{name}.{kind.format(side)}" for side in "AB"]


def make_combined():
    folder = HERE / "lora_family" / "combined"
    shutil.rmtree(folder, ignore_errors=True)
    batch = padded_batch(77, rows=6, length=12, vocab=37, kinds=["full", "right"])
    torch.manual_seed(77)
    generator = torch.Generator().manual_seed(78)
    model = None
    for name, config in ADAPTERS.items():
        if model is None:
            model = get_peft_model(load_base(), copy.deepcopy(config), adapter_name=name)
        else:
            model.add_adapter(name, copy.deepcopy(config))
        model.set_adapter(name)
        with torch.no_grad():
            for key, parameter in sorted(model.named_parameters()):
                if parameter.requires_grad and f".{name}" in key:
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    for name in ADAPTERS:
        model.save_pretrained(folder / name, selected_adapters=[name])
        (folder / name / name / "README.md").unlink(missing_ok=True)
        for file in (folder / name / name).iterdir():
            file.rename(folder / name / file.name)
        (folder / name / name).rmdir()
        (folder / name / "README.md").unlink(missing_ok=True)

    tensors = dict(batch)
    layers = [(name, m) for name, m in model.base_model.model.named_modules() if isinstance(m, LoraLayer)]
    for kind, (names, options) in KINDS.items():
        adapters = list(names)
        on = lambda layer, adapter: adapter in layer.lora_A or adapter in layer.lora_embedding_A
        if kind.endswith("svd"):  # whole updates are pruned, one mask a layer and adapter
            pruned = [f"{a}/{name}" for name, layer in layers for a in adapters if on(layer, a)]
        else:
            pruned = [
                f"{a}/{lora_keys(name, layer, a)[side]}"
                for name, layer in layers
                if any(on(layer, a) for a in adapters)
                for side in (0, 1)
                for a in adapters
                if on(layer, a)
            ]
        torch.manual_seed(79)
        masks = drawn_masks(
            lambda: model.add_weighted_adapter(
                adapters, [WEIGHTS[a] for a in adapters], kind, **{"combination_type": kind, **options}
            ),
            pruned,
        )
        model.set_adapter(kind)
        with torch.no_grad():
            logits = model(**batch).logits
        state = get_peft_model_state_dict(model, adapter_name=kind)
        tensors |= {f"{kind}/{key}": value.clone() for key, value in {**state, **masks, "logits": logits}.items()}
        model.delete_adapter(kind)
    save(folder / "golden.safetensors", tensors)
    print(f"combined: {len(tensors)} tensors")


if __name__ == "__main__":
    os.makedirs(HERE / "lora_family", exist_ok=True)
    os.chdir(HERE / "lora_family")
    make_lora.trainables = trainables
    for seed, (case, config) in enumerate(CASES.items(), start=41):
        make(case, config, seed)
    make_combined()
