"""What a model computes on a recipe's batch, and reading strictly what this library saved; see random_models.py."""

import json
from pathlib import Path

import torch
import transformers
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

from check_adapter import differences


def finite_mask(*places, dtype=torch.float32, **options):
    """float64's lowest number is -inf in the softmax of eager attention, which is float32: a row of padding that sees nothing
    would be NaN there, and all rows after the next layer."""
    mask = eager_mask(*places, dtype=torch.float32, **options)
    return mask if mask is None else mask.to(dtype)  # none where all is seen


ALL_MASK_ATTENTION_FUNCTIONS.register("eager", finite_mask)


def inputs_of(recipe):
    batch = recipe["batch"]
    names = {"ids": "input_ids", "mask": "attention_mask", "types": "token_type_ids", "decoderIds": "decoder_input_ids"}
    inputs = {name: torch.tensor(batch[key]).reshape(batch["rows"], -1) for key, name in names.items() if key in batch}
    if "pictures" in batch:
        inputs["pixel_values"] = torch.tensor(batch["pictures"]["pixels"]).reshape(batch["pictures"]["shape"])
    return inputs


def result_of(output):
    """(B, T, C) for tokens, where a start and an end are two classes; (B, C) for rows, (B, B) for pictures and texts."""
    if "start_logits" in output:
        return torch.stack([output["start_logits"], output["end_logits"]], -1)
    if "logits_per_image" in output:
        return output["logits_per_image"]
    return output["logits"] if "logits" in output else output["last_hidden_state"]


def rounded_otherwise(model, draws=4):
    """The model's weights with another rounding to float32 each time, and at last as they were."""
    weights = [(parameter, parameter.data.clone()) for parameter in model.parameters()]
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        for parameter, value in weights:
            parameter.data = value * (1 + 2.0**-24 * (2 * torch.rand(value.shape, generator=generator, dtype=value.dtype) - 1))
        yield model
    for parameter, value in weights:
        parameter.data = value


def outputs(model, recipe):
    """What it computes in float64, and how far float32 moves that: by the order of its sums, and by the last digit of the
    weights, which tells where one order alone happens to be exact. Leaves the model in float64."""
    inputs = inputs_of(recipe)
    model.config._experts_implementation = "eager"  # the others want float32 and rows of 16 bytes
    if recipe["model"]["decoder"] and "attention_mask" in inputs and (inputs["attention_mask"][:, 0] == 0).any():
        # as generate counts them: from the first token of a text
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)

    def run(model, dtype):
        own = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}
        return result_of(model.to(dtype)(**own))

    single, double = (run(model, dtype) for dtype in (torch.float32, torch.float64))
    results = [double, single, *(run(each, torch.float64) for each in rounded_otherwise(model))]
    if double.ndim == 3 and {"ids"} == recipe["batch"].keys() & {"ids", "decoderIds"}:  # what virtual tokens in front of the text get is left out
        results = [result[:, -recipe["batch"]["length"] :] for result in results]
    double, *others = results
    return double.float().contiguous(), max((other - double).abs().max() for other in others).float().reshape(1)


def record(results, name, model, recipe):
    results[name], results[f"{name}.error"] = outputs(model, recipe)


def strictly(auto, folder, **options):
    """The model, where every key of the file has its place and every place its key."""
    model, report = auto.from_pretrained(folder, output_loading_info=True, **options)
    problems = [f"{kind}: {key}" for kind, keys in report.items() for key in sorted(map(str, keys))]
    return model.eval(), problems


def check(request, auto_classes):
    recipe, folder = request["recipe"], Path(request["folder"])
    model_recipe = recipe["model"]
    task, bare = model_recipe["task"], model_recipe["base"] == "bare"
    auto = getattr(transformers, auto_classes[task])
    options = {"num_labels": model_recipe["labels"]} if task.endswith("classification") and bare else {}
    heads = ("classification_head.", "pooler.", "classifier.", "score.", "qa_outputs.", "pre_classifier.", "head.dense.", "head.norm.")

    def fresh():
        """The base; the head of a bare one is new, and the pooler that the features do without. The mask of a pretraining is not made here."""
        model, problems = strictly(auto, folder / "base", **options)
        new = heads if bare else ("pooler.",) if task == "feature-extraction" else ()
        return model, [f"base: {each}" for each in problems if not any(name in each for name in (*new, "embeddings.mask_token"))]

    base, problems = fresh()
    results = {}
    if not bare:
        record(results, "base", base, recipe)
        base = fresh()[0]
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    file = load_file(folder / "adapter/adapter_model.safetensors")
    # PEFT keeps the base's embeddings beside an adapter of them, and does without as well
    wholes = (get_peft_model_state_dict(model, save_embedding_layers=flag) for flag in ("auto", False))
    problems += [f"adapter: {each}" for each in min((list(differences(file, whole)) for whole in wholes), key=len)]
    record(results, "adapted", model, recipe)
    if (folder / "merged").exists():
        merged, more = strictly(auto, folder / "merged")
        problems += [f"merged: {each}" for each in more if "embeddings.mask_token" not in each and not (task == "feature-extraction" and "pooler." in each)]
        record(results, "merged", merged, recipe)
    save_file(results, folder / "peers.safetensors")
    return {"problems": problems, "config": config}
