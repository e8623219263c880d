"""Times transformers' greedy generate: the peer of bench/decode.ts, which calls it.

    decode.py '{"model": DIR, "dtype": "float32", "prompts": [[1, 2, ...]], "counts": [64]}'

A first call of 8 tokens is not counted. Prints one line of JSON: first_ms (from the call to the first token), token_ms
(from each token to the next), tokens (of each row as many as its count), peak_rss_mb (units of 10^6 bytes, the whole process), weight_bytes, and weights_ms, the time it takes
to add up the model's numbers: to read them from memory and do next to nothing with them."""

import json
import os
import resource
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


class Clock:
    """A stopping criterion that stops nothing: it is called after each token."""

    def __init__(self):
        self.times = [time.perf_counter()]

    def __call__(self, ids, scores, **_):
        self.times.append(time.perf_counter())
        return torch.zeros(ids.shape[0], dtype=torch.bool)


def weights_ms(model):
    # Of bfloat16 numbers pairs as they lie, which are floats too: to widen them would be work of its own.
    weights = [weight.detach().view(-1).view(torch.float32) for weight in model.parameters()]
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        for weight in weights:
            weight.sum()
        times.append(1000 * (time.perf_counter() - begin))
    return sorted(times)[len(times) // 2]


def main():
    work = json.loads(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(work["model"], dtype=getattr(torch, work["dtype"])).eval()
    most = max(map(len, work["prompts"]))
    ids = torch.tensor([[0] * (most - len(row)) + row for row in work["prompts"]])
    mask = torch.tensor([[0] * (most - len(row)) + [1] * len(row) for row in work["prompts"]])
    for count in (8, max(work["counts"])):
        clock = Clock()
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=count, min_new_tokens=count, do_sample=False,
            pad_token_id=0, eos_token_id=None, stopping_criteria=[clock],
        )
    gaps = [1000 * (after - before) for before, after in zip(clock.times, clock.times[1:])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    tokens = [row[:count] for row, count in zip(out[:, ids.shape[1] :].tolist(), work["counts"])]
    read = weights_ms(model)
    print(json.dumps({"first_ms": gaps[0], "token_ms": gaps[1:], "tokens": tokens, "peak_rss_mb": peak, "weights_ms": read, "weight_bytes": sum(w.nbytes for w in model.parameters())}))


if __name__ == "__main__":
    main()
