"""Runs adapters and models that this library saved in HF PEFT and HF transformers.

--jobs names a JSON list of { name, task, base, adapter?, classes?, words?, strict?, ids?, pixels?, decoderIds?, texts? }; --out is a safetensors file with the logits
under each name, and under `<name> ids` those that the tokenizer beside the model or the adapter gives for the texts, one after another. Before the adapter is read a base gets a head of `classes`, or is resized to `words`, as PEFT asks for. `strict` makes
an error of each UserWarning that reading the adapter gives."""

import argparse
import json
import warnings

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageClassification, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

CLASSES = {
    "causal-lm": AutoModelForCausalLM, "masked-lm": AutoModelForMaskedLM,
    "seq2seq-lm": AutoModelForSeq2SeqLM, "sequence-classification": AutoModelForSequenceClassification, "token-classification": AutoModelForTokenClassification,
    "image-classification": AutoModelForImageClassification, "image-text": AutoModel,
}

parser = argparse.ArgumentParser()
parser.add_argument("--jobs", required=True)
parser.add_argument("--out", required=True)
options = parser.parse_args()
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

found = {}
with open(options.jobs) as file:
    jobs = json.load(file)
for job in jobs:
    head = {"num_labels": job["classes"], "ignore_mismatched_sizes": True} if "classes" in job else {}
    model = CLASSES[job["task"]].from_pretrained(job["base"], attn_implementation="eager", dtype=torch.float32, **head)
    model.config._experts_implementation = "eager"  # the others want rows of 16 bytes
    if "words" in job:
        model.resize_token_embeddings(job["words"], mean_resizing=False)
    if "adapter" in job:
        with warnings.catch_warnings():
            warnings.simplefilter("error" if job.get("strict") else "ignore", UserWarning)
            model = PeftModel.from_pretrained(model, job["adapter"])
    with torch.no_grad():
        names = {"ids": "input_ids", "pixels": "pixel_values", "decoderIds": "decoder_input_ids"}
        result = model.eval()(**{names[field]: torch.tensor(job[field]) for field in names if field in job})
        found[job["name"]] = (result.logits_per_image if job["task"] == "image-text" else result.logits).contiguous()
    if "texts" in job:
        tokenizer = AutoTokenizer.from_pretrained(job.get("adapter", job["base"]))
        found[f"{job['name']} ids"] = torch.tensor([id for text in job["texts"] for id in tokenizer(text, add_special_tokens=False)["input_ids"]])
save_file(found, options.out)
