"""What the make_*.py scripts of the model families share. Each writes <family>/<case>/: a tiny model with random weights,
as save_pretrained leaves it, and in golden.safetensors what HF transformers computes with it (float32, CPU, one thread,
eager attention, no dropout), without hidden states to keep the files small.

golden.safetensors holds the inputs `input_ids`, `attention_mask` [6, 11] (rows full, padded right, padded left), and for
each way of calling the model `<call>/last_hidden_state` or `<call>/logits`; question answering's start and end logits are
stacked last: [batch, time, 2]. Calls: full/… with everything the family takes, no_types/… without token types,
ids_only/… the ids alone. Metadata: `float32_error`, see README.md."""

import copy
import os
import shutil

import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model, get_peft_model_state_dict

from reference import HERE, gap, padded_batch, randomize, save, save_model


def build(model_class, config, seed, std=0.35):
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    torch.manual_seed(seed)
    model = model_class(config).eval()
    randomize(model, seed, std)
    centred = config.model_type in ("gemma", "gemma2", "gemma3_text", "qwen3_5_text")  # their norms add the 1 themselves
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # norms, however the family calls them
            if (not centred or "linear_attn" in name) and parameter.dim() == 1 and "norm" in name.lower() + name.replace("ln_", "norm") and name.endswith("weight"):
                if "LayerNorm" not in name:
                    parameter.add_(1)
                if config.model_type == "gemma4_text" and "q_norm" in name:
                    parameter.mul_(0.4)  # nothing else makes its scores smaller
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):  # as Gemma 4 keeps a factor of each layer
                buffer.fill_(0.7 + 0.1 * int(name.split(".")[-2]))
    model.tie_weights()
    return model


def output(model, inputs):
    result = model(**inputs)
    if hasattr(result, "start_logits"):
        return {"logits": torch.stack([result.start_logits, result.end_logits], dim=-1)}
    if hasattr(result, "logits"):
        return {"logits": result.logits}
    return {"last_hidden_state": result.last_hidden_state}


def every_call(model, calls):
    with torch.no_grad():
        return {f"{call}/{name}": value for call, inputs in calls.items() for name, value in output(model, inputs).items()}


def make(family, case, model_class, config, seed, batch, calls, std=0.35, rename=None):
    """`calls` maps the name of a call to its inputs."""
    model = build(model_class, config, seed, std)
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, folder, rename)
    (folder / "generation_config.json").unlink(missing_ok=True)
    found = every_call(model, calls)
    exact = every_call(copy.deepcopy(model).double(), calls)
    for name, value in exact.items():  # rows of padding may overflow in LLaMA's softmax, which is float32 even here
        exact[name] = torch.where(value.isnan(), found[name].double(), value)
    error = gap(found, exact)
    save(folder / "golden.safetensors", {**batch, **found}, model=model_class.__name__, float32_error=error)
    print(f"{family}/{case}: float32 error {error:.1e}, output std {next(iter(found.values())).std().item():.2f}")
    return model


def encoder_batch(seed, vocab, pad=0, types=0, kinds=("full", "right", "left")):
    batch = padded_batch(seed, rows=6, length=11, vocab=vocab, kinds=list(kinds))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if pad:  # the padding's id stands nowhere else
        ids[ids == pad] = pad + 1
        ids[mask == 0] = pad
    if types:
        generator = torch.Generator().manual_seed(seed + 1)
        batch["token_type_ids"] = torch.randint(0, types, ids.shape, generator=generator)
    return batch


def encoder_calls(batch):
    names = {"full": list(batch), "ids_only": ["input_ids"]}
    if "token_type_ids" in batch:
        names["no_types"] = ["input_ids", "attention_mask"]
    return {call: {name: batch[name] for name in inputs} for call, inputs in names.items()}


def positions(mask):
    """Positions that do not count padding, as generate() has them for decoders."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def decoder_calls(batch):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    return {
        "full": {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask)},
        "ids_only": {"input_ids": ids},
    }


def causal_labels(batch):
    """The ids; padding does not count, nor the first token, which would be predicted from padding where that is left."""
    mask = batch["attention_mask"]
    seen = torch.nn.functional.pad(mask, (1, 0))[:, :-1]
    return batch["input_ids"].masked_fill(mask * seen == 0, -100)


def make_lora(family, case, base, model, seed, batch, labels, task, options, position_ids=False):
    """<family>/<case>/adapter and golden.safetensors beside it: input_ids, attention_mask, labels, logits, loss and
    grad/<key> for each trained tensor, <key> as in adapter_model.safetensors; lora_B is random."""
    os.chdir(HERE / family)
    model = copy.deepcopy(model).eval()
    model.name_or_path = base
    torch.manual_seed(seed)
    tuned = get_peft_model(model, LoraConfig(task_type=task, lora_dropout=0.0, **options)).eval()
    saved = {tensor.data_ptr(): key for key, tensor in get_peft_model_state_dict(tuned).items()}
    trained = {saved[p.data_ptr()]: p for p in tuned.parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(trained.items()):
            if "lora_A" not in key:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    tuned.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    inputs = {**batch, **labels}
    if position_ids:
        inputs["position_ids"] = positions(batch["attention_mask"])
    result = tuned(**inputs)
    result.loss.backward()
    grads = {f"grad/{key}": parameter.grad for key, parameter in trained.items()}
    save(folder / "golden.safetensors", {**batch, **labels, "logits": result.logits, "loss": result.loss, **grads})
    print(f"{family}/{case}: {len(grads)} trainables, loss {result.loss.item():.3f}")
    return tuned


def make_prefix(family, case, base, model, seed, batch):
    """<family>/<case>/adapter and golden.safetensors beside it: input_ids, attention_mask, logits of the text's own tokens; the prefix is
    random."""
    os.chdir(HERE / family)
    model = copy.deepcopy(model).eval()
    model.name_or_path = base
    torch.manual_seed(seed)
    tuned = get_peft_model(model, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)).eval()
    with torch.no_grad():
        logits = tuned(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    folder = HERE / family / case
    shutil.rmtree(folder, ignore_errors=True)
    tuned.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    save(folder / "golden.safetensors", {**batch, "logits": logits})


def generate(model, ids, mask, tokens):
    """Greedy continuation and the smallest distance between the best and the second-best token on the way."""
    # the balance of experts is of a whole text, and transformers fails to take it of one more token
    plain = {"output_router_logits": False} if getattr(model.config, "output_router_logits", False) else {}
    with torch.no_grad():
        result = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0,
            eos_token_id=None, output_logits=True, return_dict_in_generate=True, **plain,
        )
    best = torch.stack(result.logits).topk(2).values
    return result.sequences[:, ids.shape[1] :], (best[..., 0] - best[..., 1]).min().item()


def make_generation(family, case, base, adapted, vocab, seed):
    """<family>/<case>/golden.safetensors: input_ids, attention_mask [3, 9] padded left, and 64 greedy tokens for each
    row, base/tokens and adapted/tokens. Metadata: the smallest lead of a chosen token over the next."""
    batch = padded_batch(seed, rows=3, length=9, vocab=vocab, kinds=["full", "left"])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    found, leads = {}, {}
    for name, model in {"base": base, "adapted": adapted}.items():
        found[f"{name}/tokens"], leads[name] = generate(model, ids, mask, 64)
    folder = HERE / family / case
    save(folder / "golden.safetensors", {**batch, **found}, smallest_lead=leads)
    kinds = {name: len(set(tokens.flatten().tolist())) for name, tokens in found.items()}
    print(f"{family}/{case}: smallest lead {leads}, kinds of tokens {kinds}")
