"""Loads an adapter folder with HF PEFT on its base model and runs it, to show that what was saved is what PEFT reads.

    check_adapter.py --model DIR --adapter DIR --inputs FILE --out FILE

The task comes from the adapter's config (where that names none: the class in the base's config.json), the number of labels
from the head that the adapter carries. FILE of --inputs is a safetensors file with input_ids, attention_mask and perhaps
token_type_ids; --out gets what the model returns (`logits`; `start_logits` and `end_logits`; or `last_hidden_state`) in
float32. Fails, naming each key, where the file and PEFT differ in keys, shapes or, after loading, in values:
PeftModel.from_pretrained itself only warns of keys that fit nothing."""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

AUTO_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state")


def base_model(folder, config, tensors):
    """The base as a user of PEFT would load it."""
    task, mapping = config.get("task_type"), config.get("auto_mapping")
    own = json.loads((folder / "config.json").read_text()).get("architectures", ["AutoModel"])[0]
    name = AUTO_CLASSES[task] if task else mapping["base_model_class"] if mapping else own
    heads = [t for key, t in tensors.items() if key.endswith(("classifier.weight", "score.weight"))]
    labels = {"num_labels": heads[0].shape[0]} if task in ("SEQ_CLS", "TOKEN_CLS") and heads else {}
    model = getattr(transformers, name).from_pretrained(folder, **labels)
    model.config._experts_implementation = "eager"  # the others want rows of 16 bytes
    return model


def differences(file, peft):
    """One line for each key that is not the same in both."""
    for key in sorted(file.keys() | peft.keys()):
        if key not in peft:
            yield f"unexpected key {key} {list(file[key].shape)}: PEFT has no such tensor"
        elif key not in file:
            yield f"missing key {key}: PEFT expects {list(peft[key].shape)}"
        elif file[key].shape != peft[key].shape:
            yield f"shape of {key}: file {list(file[key].shape)}, PEFT {list(peft[key].shape)}"
        elif not torch.equal(file[key].float(), peft[key].float()):
            yield f"values of {key}: PEFT did not load them"


def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "adapter", "inputs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)

    config = json.loads((args.adapter / "adapter_config.json").read_text())
    tensors = load_file(args.adapter / "adapter_model.safetensors")
    model = PeftModel.from_pretrained(base_model(args.model, config, tensors), args.adapter).eval()
    problems = list(differences(tensors, get_peft_model_state_dict(model)))
    if problems:
        sys.exit("\n".join([f"{args.adapter} is not what PEFT would have saved:", *problems]))

    inputs = {name: tensor.long() for name, tensor in load_file(args.inputs).items()}
    with torch.no_grad():
        output = model(**inputs)
    save_file({name: output[name].float().contiguous() for name in OUTPUTS if name in output}, args.out)


if __name__ == "__main__":
    main()
