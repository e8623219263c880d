"""Writes minilm.safetensors: what HF transformers computes with the real all-MiniLM-L6-v2 (float32, CPU, one thread).

    make_minilm.py FOLDER    the model's folder, as on the Hub

`input_ids`, `attention_mask` [4, 24]: four texts of different lengths; `last_hidden_state` [4, 24, 384]; `pooler_output`
[4, 384]. Metadata: `float32_error`, the distance from the same run in float64."""

import copy
import sys

import torch
from transformers import AutoTokenizer, BertModel

from reference import HERE, gap, save

TEXTS = [
    "Minutes of the meeting on Monday",
    "You have won a prize! Click here to claim your 1,000,000 dollars before midnight tonight.",
    "Re: [ILUG] kernel panic after upgrading glibc, see the trace below",
    "ok",
]


def outputs(model, batch):
    with torch.no_grad():
        found = model(**batch)
    return {"last_hidden_state": found.last_hidden_state, "pooler_output": found.pooler_output}


if __name__ == "__main__":
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = BertModel.from_pretrained(sys.argv[1], attn_implementation="eager").eval()
    batch = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=24, return_tensors="pt")
    batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
    found = outputs(model, batch)
    error = gap(found, outputs(copy.deepcopy(model).double(), batch))
    save(HERE / "minilm.safetensors", {**batch, **found}, model="sentence-transformers/all-MiniLM-L6-v2", float32_error=error)
    print(f"float32 error {error:.1e}")
