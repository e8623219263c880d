"""Writes generation/fields.json and generation/rules/, what transformers makes of the fields of its GenerationConfig
(float32, CPU):

  fields.json            every field with the value it has where generation_config.json lacks it
  rules/cases.json       for gpt2/causal_lm behind prompts: the file, the rows, the new tokens
  rules/golden.safetensors  <case>/logits [steps, vocabulary] of the first row's new tokens, and <case>/scores after all
                         processors

A drawn case (`do_sample`) draws by torch: its tokens are given as what the row became."""

import json

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from reference import HERE, VERSIONS, save

FOLDER = HERE / "generation"
LONG = [5, 9, 11, 5, 9, 30, 5, 9]
GREEDY = [
    ({}, [LONG], 6),
    ({"repetition_penalty": 1.4}, [LONG], 8),
    ({"repetition_penalty": 0.6}, [LONG], 8),
    ({"no_repeat_ngram_size": 1}, [LONG], 8),
    ({"no_repeat_ngram_size": 2}, [LONG], 12),
    ({"no_repeat_ngram_size": 3}, [LONG], 20),
    ({"no_repeat_ngram_size": 30}, [[5]], 6),
    ({"suppress_tokens": [31, 15, 99, -1]}, [LONG], 8),
    ({"begin_suppress_tokens": [31, 15]}, [[5, 9, 11]], 6),
    ({"begin_suppress_tokens": [31, 15, 32], "forced_bos_token_id": 7}, [[5]], 6),
    ({"begin_suppress_tokens": [31, 15, 32], "forced_bos_token_id": 7}, [[5, 9]], 6),
    ({"bad_words_ids": [[31], [15, 4], [5, 9, 32]]}, [LONG], 8),
    ({"bad_words_ids": [[31, 31, 31], [18]], "eos_token_id": 18}, [[5, 9, 11]], 8),
    ({"sequence_bias": [[[31], -4.0], [[15], 2.5], [[5, 9, 4], 12.0], [[31], -3.0]]}, [LONG], 8),
    ({"sequence_bias": [[[31, 31], -50.0], [[9, 31], -2.0], [[11, 31], -1.0]], "repetition_penalty": 1.2}, [[5, 9, 11]], 8),
    ({"eos_token_id": [31, 15], "min_new_tokens": 4}, [[5, 9, 11]], 9),
    ({"eos_token_id": 31, "min_length": 6}, [[5, 9, 11]], 9),
    ({"eos_token_id": 31, "min_length": 9, "min_new_tokens": 2}, [[5, 9, 11]], 9),
    ({"eos_token_id": [2, 31], "forced_eos_token_id": [17, 6]}, [[4, 3, 8]], 5),
    ({"eos_token_id": 18, "exponential_decay_length_penalty": [2, 1.6]}, [[5, 9, 11]], 12),
    ({"eos_token_id": [18, 22], "exponential_decay_length_penalty": [0, 1.05], "suppress_tokens": [18]}, [LONG], 8),
    ({"remove_invalid_values": True, "suppress_tokens": [31], "bad_words_ids": [[15]]}, [LONG], 5),
    ({"renormalize_logits": True, "repetition_penalty": 1.3, "temperature": 0.3, "top_k": 2}, [LONG], 6),
    ({"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "bad_words_ids": [[4]], "suppress_tokens": [7], "min_new_tokens": 3,
      "eos_token_id": [2, 21, 33], "sequence_bias": [[[9, 21], 3.0]], "begin_suppress_tokens": [30]}, [LONG, [7, 3, 8, 30, 21, 14, 6, 1]], 10),
]
DRAWN = [
    {"top_k": None},
    {"top_k": 0, "min_p": 0.1},
    {"top_k": 0, "min_p": 1.0},
    {"top_k": 0, "typical_p": 0.5},
    {"top_k": 0, "typical_p": 0.05, "temperature": 1.8},
    {"top_k": 0, "typical_p": 0.95, "suppress_tokens": [31]},
    {"top_k": 0, "epsilon_cutoff": 0.03},
    {"top_k": 0, "epsilon_cutoff": 0.9},
    {"top_k": 0, "eta_cutoff": 0.1},
    {"top_k": 0, "eta_cutoff": 0.9, "temperature": 2.5},
    {"top_k": 12, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.8, "epsilon_cutoff": 0.02, "eta_cutoff": 0.02, "temperature": 1.7, "repetition_penalty": 1.2},
    {"top_k": 0, "top_p": 0.0},
]


def run(model, file, rows, new):
    config = GenerationConfig(**{key: value for key, value in file.items()})
    torch.manual_seed(3)
    out = model.generate(
        torch.tensor(rows), attention_mask=torch.ones(len(rows), len(rows[0]), dtype=torch.long), generation_config=config,
        max_new_tokens=new, pad_token_id=0, output_scores=True, output_logits=True, return_dict_in_generate=True,
    )
    ends = [config.eos_token_id] if isinstance(config.eos_token_id, int) else config.eos_token_id or []
    tokens = []
    for row in out.sequences[:, len(rows[0]):].tolist():
        stop = [i for i, token in enumerate(row) if token in ends]
        tokens.append(row[: stop[0] + 1] if stop else row)
    first = len(tokens[0])
    return {"file": file, "rows": rows, "newTokens": new, "tokens": tokens}, torch.stack(out.logits)[:first, 0], torch.stack(out.scores)[:first, 0]


def fields():
    defaults = GenerationConfig._get_default_generation_params()
    return {name: defaults.get(name) for name in GenerationConfig().__dict__ if name != "_original_object_hash"}


if __name__ == "__main__":
    (FOLDER / "fields.json").write_text(json.dumps({"versions": VERSIONS, "fields": fields()}, indent=1) + "\n")
    model = AutoModelForCausalLM.from_pretrained(HERE / "gpt2" / "causal_lm").eval()
    model.generation_config = GenerationConfig()
    cases, tensors = [], {}
    for file, rows, new in GREEDY + [({"do_sample": True, **file}, [LONG], 5) for file in DRAWN]:
        case, logits, scores = run(model, file, rows, new)
        tensors |= {f"{len(cases)}/logits": logits, f"{len(cases)}/scores": scores}
        cases.append(case)
        print(file, case["tokens"], int(torch.isfinite(scores).sum()))
    (FOLDER / "rules").mkdir(exist_ok=True)
    (FOLDER / "rules" / "cases.json").write_text(json.dumps({"versions": VERSIONS, "cases": cases}) + "\n")
    save(FOLDER / "rules" / "golden.safetensors", tensors)
