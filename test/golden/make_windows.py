"""Writes generation/windows.json: greedy tokens of transformers' generate with sliding windows (float32, CPU), for
mistral/window and qwen2/window (one layer with a window, one without), with other windows than their config.json has:
windows, prompts and numbers of new tokens shorter and longer than each other and than 32, one row and several padded on the
left; and of HF PEFT with a prefix, a prompt and P-tuning on one row, by whole passes over the text: in PEFT 0.21's
generate with transformers 5.24 a prefix is ignored, and a prompt is put in anew for each token.

  cases      family, window, ids (rows of their own length), newTokens, tokens (rows)
  virtual    the same with `method`; its rows are in generation/<family>_<method>/

`lead` is the smallest lead of a chosen token's logit over the next one's."""

import json
import os
import shutil

import torch
from peft import PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from reference import HERE, VERSIONS

FOLDER = HERE / "generation"
FAMILIES = ["mistral", "qwen2"]
METHODS = {
    "prefix": lambda: PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "prompt": lambda: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "p_tuning": lambda: PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=8),
}


def load(family, window):
    path = f"{family}/window"
    config = AutoConfig.from_pretrained(path)
    config.sliding_window = window
    return AutoModelForCausalLM.from_pretrained(path, config=config, attn_implementation="eager").eval()


def text(seed, length):
    return torch.randint(3, 37, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def continued(model, rows, new):
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new, do_sample=False, eos_token_id=None, pad_token_id=0,
            output_logits=True, return_dict_in_generate=True,
        )
    best = torch.stack(out.logits).topk(2).values
    return {"ids": rows, "newTokens": new, "tokens": out.sequences[:, -new:].tolist(), "lead": (best[..., 0] - best[..., 1]).min().item()}


def continued_by_whole_passes(model, row, new):
    tokens, leads = [], []
    for _ in range(new):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row + tokens]), attention_mask=torch.ones(1, len(row) + len(tokens), dtype=torch.long)).logits[0, -1]
        best = logits.topk(2)
        tokens.append(best.indices[0].item())
        leads.append((best.values[0] - best.values[1]).item())
    return {"ids": [row], "newTokens": new, "tokens": [tokens], "lead": min(leads)}


def plain():
    found = []
    for family in FAMILIES:
        for window in [2, 6, 31, 32, 33, 40, 64, 90]:
            model = load(family, window)
            for lengths, new in [([3], 40), ([1], 70), ([35], 40), ([40], 3), ([31], 2), ([2, 9, 5], 45), ([33, 4], 12)]:
                rows = [text(100 * window + 10 * i + length, length) for i, length in enumerate(lengths)]
                found.append({"family": family, "window": window, **continued(model, rows, new)})
    return found


def virtual():
    found = []
    for family in FAMILIES:
        for seed, (method, config) in enumerate(METHODS.items()):
            folder = FOLDER / f"{family}_{method}"
            torch.manual_seed(seed)
            made = get_peft_model(load(family, None), config())
            with torch.no_grad():
                for name, parameter in sorted(made.named_parameters()):
                    if parameter.requires_grad:
                        parameter.mul_(0.1).add_(0.6 * torch.randn(parameter.shape))
            shutil.rmtree(folder, ignore_errors=True)
            made.save_pretrained(folder)
            (folder / "README.md").unlink(missing_ok=True)
            for window in [3, 6, 32, 34, 40]:
                for length, new in [(3, 40), (30, 10), (1, 6)]:
                    model = PeftModel.from_pretrained(load(family, window), folder).eval()
                    row = text(window + length, length)
                    found.append({"family": family, "method": method, "window": window, **continued_by_whole_passes(model, row, new)})
    return found


if __name__ == "__main__":
    os.chdir(HERE)  # so that base_model_name_or_path in the saved adapters is a relative path
    golden = {"versions": VERSIONS, "cases": plain(), "virtual": virtual()}
    (FOLDER / "windows.json").write_text(json.dumps(golden) + "\n")
    for name in ("cases", "virtual"):
        print(name, len(golden[name]), "smallest lead", min(case["lead"] for case in golden[name]))
