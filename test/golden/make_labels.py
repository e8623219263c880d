"""Writes labels.json: the loss of transformers' causal LMs (float32, CPU) for labels of the rows' own, -100 on a prompt and
elsewhere, for gpt2/causal_lm and llama/causal_lm:

  cases      model, ids and labels (rows of their own length); loss of the rows together, padded on the right, and of each
             alone"""

import json

import torch
from transformers import AutoModelForCausalLM

from reference import HERE, VERSIONS


def text(seed, length):
    return torch.randint(3, 37, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def loss_of(model, rows, labels):
    longest = max(map(len, rows))
    fill = lambda values, value: torch.tensor([row + [value] * (longest - len(row)) for row in values])
    with torch.no_grad():
        return model(input_ids=fill(rows, 0), attention_mask=fill([[1] * len(row) for row in rows], 0), labels=fill(labels, -100)).loss.item()


def case(name, seed):
    model = AutoModelForCausalLM.from_pretrained(HERE / name).eval()
    rows = [text(seed + i, length) for i, length in enumerate([5, 9, 7, 3])]
    prompts = [2, 6, 1, 2]
    labels = [[-100] * prompt + row[prompt:] for prompt, row in zip(prompts, rows)]
    labels[2][0] = 9  # a label of the first token, which nothing predicts
    labels[2][4] = 11  # another token than the one that stands there
    return {"model": name, "ids": rows, "labels": labels, "loss": loss_of(model, rows, labels),
            "alone": [loss_of(model, [row], [label]) for row, label in zip(rows, labels)]}


if __name__ == "__main__":
    cases = [case(name, seed) for seed, name in [(1, "gpt2/causal_lm"), (11, "llama/causal_lm")]]
    (HERE / "labels.json").write_text(json.dumps({"versions": VERSIONS, "cases": cases}, indent=1) + "\n")
    print([(one["model"], one["loss"], one["alone"]) for one in cases])
