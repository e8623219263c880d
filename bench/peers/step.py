"""Times HF PEFT's training step on random token ids: the peer of bench/step.ts, which calls it.

    step.py --model DIR --batch 8 --length 128 --steps 10 [--dtype float32|bfloat16] [--compile]

LoRA r 8, alpha 16 on query and value and a two-class head, AdamW. The first three steps are not counted. Prints one
line of JSON: step_ms (each counted step), peak_rss_mb (units of 10^6 bytes, the whole process), first_step_s (from the
start of the process to the end of the first step)."""

import argparse
import json
import os
import resource
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertForSequenceClassification
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
WARMUP = 3


def process_age():
    """Seconds since this process was started, imports included."""
    ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
    uptime = float(open("/proc/uptime").read().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(args.model, num_labels=2, dtype=getattr(torch, args.dtype))
    config = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"])
    model = get_peft_model(model, config)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, 30000, (args.batch, args.length))
    mask = torch.ones_like(ids)
    labels = torch.arange(args.batch) % 2
    run = torch.compile(model) if args.compile else model
    milliseconds, first = [], None
    for _ in range(WARMUP + args.steps):
        start = time.perf_counter()
        loss = run(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        milliseconds.append(1000 * (time.perf_counter() - start))
        first = first or process_age()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"step_ms": milliseconds[WARMUP:], "peak_rss_mb": peak, "first_step_s": first}))


if __name__ == "__main__":
    main()
