"""Pretrains in torch what bench/pretrain.ts pretrains here, which calls it: its peer.

    pretrain.py --folder DIR --steps 600 --batch 16 --lr 1e-3 --warmup 40 --decay 0.01 --clip 1

DIR has the untrained model (untrained/) and rows.safetensors: `train` (steps x batch rows, in order) and `evaluate`. Prints one line of
JSON: held_out_loss, train_loss (mean of the last 50 steps), seconds, step_ms_median, peak_rss_mb."""

import json
import resource
import statistics
import time

import torch
from from_nothing import begin, last, settings, train
from transformers import GPT2LMHeadModel


def main():
    args = settings()
    model, rows = begin(GPT2LMHeadModel, args.folder)
    start = time.perf_counter()
    losses, milliseconds = train(model, ({"input_ids": batch, "labels": batch} for batch in rows["train"].split(args.batch)[: args.steps]), args)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        batches = rows["evaluate"].split(32)
        total = sum(model(input_ids=batch, labels=batch).loss.item() * len(batch) for batch in batches)
    print(json.dumps({
        "held_out_loss": total / len(rows["evaluate"]),
        "train_loss": last(losses),
        "seconds": seconds,
        "step_ms_median": statistics.median(milliseconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }))


if __name__ == "__main__":
    main()
