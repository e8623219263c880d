"""Pretrains in torch what bench/pretrain.ts pretrains here, which calls it: its peer.

    pretrain.py --folder DIR --steps 600 --batch 16 --lr 1e-3 --warmup 40 --decay 0.01 --clip 1

DIR has the untrained model (untrained/) and rows.safetensors: `train` (steps x batch rows, in order) and `evaluate`. AdamW,
decay on every parameter, half a cosine after a linear warm-up. Prints one line of JSON: held_out_loss, train_loss (mean of
the last 50 steps), seconds, step_ms_median, peak_rss_mb."""

import argparse
import json
import os
import resource
import statistics
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file
from transformers import GPT2LMHeadModel, get_cosine_schedule_with_warmup
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    for name in ("steps", "batch", "warmup"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("lr", "decay", "clip"):
        parser.add_argument(f"--{name}", type=float, required=True)
    args = parser.parse_args()

    rows = {name: tensor.long() for name, tensor in load_file(f"{args.folder}/rows.safetensors").items()}
    model = GPT2LMHeadModel.from_pretrained(f"{args.folder}/untrained", dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.decay)
    schedule = get_cosine_schedule_with_warmup(optimizer, args.warmup, args.steps)
    losses, milliseconds = [], []
    begin = time.perf_counter()
    for batch in rows["train"].split(args.batch)[: args.steps]:
        start = time.perf_counter()
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        milliseconds.append(1000 * (time.perf_counter() - start))
    seconds = time.perf_counter() - begin

    model.eval()
    with torch.no_grad():
        batches = rows["evaluate"].split(32)
        total = sum(model(input_ids=batch, labels=batch).loss.item() * len(batch) for batch in batches)
    print(json.dumps({
        "held_out_loss": total / len(rows["evaluate"]),
        "train_loss": sum(losses[-50:]) / len(losses[-50:]),
        "seconds": seconds,
        "step_ms_median": statistics.median(milliseconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }))


if __name__ == "__main__":
    main()
