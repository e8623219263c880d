"""Opens adapters that this library saved in HF PEFT, each on its base with as many classes as it has; its
UserWarnings are errors.

--jobs names a JSON list of { name, task, base, adapter, classes, ids }; --out is a safetensors file with the logits under each name."""

import argparse
import json
import warnings

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

CLASSES = {"sequence-classification": AutoModelForSequenceClassification, "token-classification": AutoModelForTokenClassification}

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
    base = CLASSES[job["task"]].from_pretrained(
        job["base"], num_labels=job["classes"], attn_implementation="eager", dtype=torch.float32, ignore_mismatched_sizes=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = PeftModel.from_pretrained(base, job["adapter"])
    with torch.no_grad():
        found[job["name"]] = model.eval()(input_ids=torch.tensor(job["ids"])).logits.contiguous()
save_file(found, options.out)
