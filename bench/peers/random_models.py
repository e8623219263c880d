"""Makes random models and adapters with HF transformers and HF PEFT, and reads those that this library made: the Python
side of test/peers/random-exchange.peer.ts.

One process for many cases, since importing torch takes longer than a case. Each line of stdin is a request, a JSON object
{"id", "do", "recipe", "folder"}; each gets one line of stdout, {"id"} and what came of it, or {"id", "error"}.

    "make"   writes the recipe's model to <folder>/base, its adapter to <folder>/adapter and what they compute to
             <folder>/peers.safetensors: `base` and `adapted`, and
             how far float32 moves each, `base.error` and `adapted.error`. {"id", "refused": text} where PEFT cannot do it itself.
    "check"  reads <folder>/base, /adapter and, where there is one, /merged, strictly, and writes what they compute to the
             same file: `base`, `adapted`, `merged`."""

import json
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")

import peft
import torch
import transformers
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from random_check import check, record

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

AUTO_CLASSES = {
    "feature-extraction": "AutoModel",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "masked-lm": "AutoModelForMaskedLM",
    "causal-lm": "AutoModelForCausalLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
    "image-text": "AutoModel",
}
TASK_TYPES = {
    "feature-extraction": "FEATURE_EXTRACTION",
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
    "causal-lm": "CAUSAL_LM",
    "seq2seq-lm": "SEQ_2_SEQ_LM",
}
CONFIGS = {
    "LORA": peft.LoraConfig,
    "IA3": peft.IA3Config,
    "LN_TUNING": peft.LNTuningConfig,
    "TRAINABLE_TOKENS": peft.TrainableTokensConfig,
    "PROMPT_TUNING": peft.PromptTuningConfig,
    "P_TUNING": peft.PromptEncoderConfig,
    "PREFIX_TUNING": peft.PrefixTuningConfig,
}


def disturb(model, generator):
    """Weights of a size at which every part of the model counts: transformers' own leave almost nothing but the stream."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if id(parameter) in tables:
            parameter.data = 0.5 * noise
        elif parameter.ndim > 1:
            parameter.data = noise / parameter.shape[-1] ** 0.5
        else:
            parameter.data += 0.2 * noise


def new_model(recipe, generator):
    options = {"num_labels": recipe["labels"]} if recipe["task"].endswith("classification") else {}
    settings = {name: float(value) if name == "logit_scale_init_value" else value for name, value in recipe["config"].items()}  # which CLIP makes a parameter of as it is
    config = transformers.AutoConfig.for_model(recipe["type"], **settings, **options)
    auto = getattr(transformers, AUTO_CLASSES["feature-extraction" if recipe["base"] == "bare" else recipe["task"]])
    model = auto.from_config(config)
    disturb(model, generator)
    return model.eval()


def save_model(model, recipe, folder, generator):
    """Saves it in the recipe's format; the file of a tied model may then get its head's name too, or alone."""
    model.to(getattr(torch, recipe["dtype"]))
    model.save_pretrained(folder, **({"max_shard_size": "4KB"} if recipe["shards"] else {}))
    if recipe["headInFile"] == "saved":
        return
    table = model.get_input_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    key, head = f"{names[id(table)]}.weight", f"{names[id(model.get_output_embeddings())]}.weight"
    tensors = load_file(folder / "model.safetensors")
    tensors[head] = tensors[key].clone()
    if recipe["headInFile"] == "unlike":
        tensors[head] = torch.randn(tensors[key].shape, generator=generator).to(tensors[key].dtype)
    elif recipe["headInFile"] == "alone":
        del tensors[key]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def open_model(recipe, folder):
    """As a user of PEFT opens it: float32, and a new head where the file has none."""
    auto = getattr(transformers, AUTO_CLASSES[recipe["task"]])
    options = {"num_labels": recipe["labels"]} if recipe["task"].endswith("classification") and recipe["base"] == "bare" else {}
    model = auto.from_pretrained(folder, dtype=torch.float32, **options)
    if "vocabulary" in recipe:
        model.resize_token_embeddings(recipe["vocabulary"], mean_resizing=False)
    return model.eval()


def resized_left_out(model, file):
    """Tables of words that PEFT leaves out of an adapter's file: those it finds among the targets and does not adapt, and heads beside them."""
    tables = {id(table.weight): table for table in (model.get_output_embeddings(), model.get_input_embeddings()) if table is not None}
    names = {id(module): name.replace(".base_layer", "").replace(".original_module", "") for name, module in model.named_modules()}
    ends = [names[id(table)].split(".modules_to_save")[0].split(".")[-1] for table in tables.values()]
    return ", ".join(end for end in ends if not any(end in key.split(".") and tensor.ndim == 2 and tensor.shape[0] == model.config.vocab_size for key, tensor in file.items()))


def passed_over(model):
    """Parameters of adapters in torch's own attention, which takes the weight of its out_proj and does not call it: no training moves them."""
    return [p for module in model.modules() if isinstance(module, torch.nn.MultiheadAttention) for p in module.parameters() if p.requires_grad]


def make(request):
    recipe, folder = request["recipe"], Path(request["folder"])
    model_recipe, adapter = recipe["model"], recipe["adapter"]
    generator = torch.Generator().manual_seed(recipe["seed"] * 100_003 + recipe["number"])
    torch.manual_seed(recipe["number"])
    save_model(new_model(model_recipe, generator), model_recipe, folder / "base", generator)

    try:
        config = CONFIGS[adapter["method"]](task_type=TASK_TYPES.get(model_recipe["task"]), **adapter["options"])
        model = get_peft_model(open_model(model_recipe, folder / "base"), config)
        idle = {id(parameter) for parameter in passed_over(model)}
        if idle and str(adapter["options"].get("init_lora_weights")).startswith(("pissa", "olora")):
            return {"refused": "a start in the weight of an attention that does not see the adapter"}
        for parameter in model.parameters():
            if parameter.requires_grad and id(parameter) not in idle:
                parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / "adapter")
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    file = load_file(folder / "adapter/adapter_model.safetensors")
    if "vocabulary" in model_recipe and (absent := resized_left_out(model.get_base_model(), file)):
        return {"refused": f"a resized table is not in the file: {absent}"}

    results = {}
    if model_recipe["base"] == "task" and "vocabulary" not in model_recipe:
        record(results, "base", open_model(model_recipe, folder / "base"), recipe)
    try:
        loaded = PeftModel.from_pretrained(open_model(model_recipe, folder / "base"), folder / "adapter").eval()
        record(results, "adapted", loaded, recipe)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    save_file(results, folder / "peers.safetensors")
    return {"file": sorted(file), "config": json.loads((folder / "adapter/adapter_config.json").read_text())}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = make(request) if request["do"] == "make" else check(request, AUTO_CLASSES)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        print(json.dumps({"id": request["id"], **answer}), file=answers, flush=True)


if __name__ == "__main__":
    main()
