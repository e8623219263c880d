"""Runs adapters and models that this library saved in HF PEFT and HF transformers.

--jobs names a JSON list of { name, task, base, adapter?, words?, ids }; --out is a safetensors file with the logits under
each name. A base is resized to `words` before the adapter is read, as PEFT asks for."""

import argparse
import json
import warnings

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

CLASSES = {"causal-lm": AutoModelForCausalLM, "masked-lm": AutoModelForMaskedLM}

parser = argparse.ArgumentParser()
parser.add_argument("--jobs", required=True)
parser.add_argument("--out", required=True)
options = parser.parse_args()
warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

found = {}
with open(options.jobs) as file:
    jobs = json.load(file)
for job in jobs:
    model = CLASSES[job["task"]].from_pretrained(job["base"], attn_implementation="eager", dtype=torch.float32)
    if "words" in job:
        model.resize_token_embeddings(job["words"], mean_resizing=False)
    if "adapter" in job:
        model = PeftModel.from_pretrained(model, job["adapter"])
    with torch.no_grad():
        found[job["name"]] = model.eval()(input_ids=torch.tensor(job["ids"])).logits.contiguous()
save_file(found, options.out)
