"""Fine-tunes a BERT for two classes with HF PEFT's LoRA, on token ids that the other side dumped: the peer of our spam run.

    spam_peft.py --data FILE --model DIR [--seed 0] [--lr 3e-3] [--batch 32] [--epochs 1] [--warmup-ratio 0] [--trim]

FILE is a safetensors file: train_ids, train_mask [N, T], train_labels [N], eval_ids, eval_mask [M, T], eval_labels [M], and
train_order [at least epochs·N]: the rows in the order both sides train on them, epoch after epoch. Batches do not cross
epochs, and an epoch's last batch may be smaller. DIR holds a pretrained BERT without a head.

Rules, all of them: LoRA r 8, alpha 16, no LoRA dropout, on query and value; the classifier trained with it
(modules_to_save); the model's own dropout on; torch AdamW, weight decay 0.01 on everything trained (unlike HF's Trainer,
which spares biases), betas 0.9 0.999; linear decay to 0 after ceil(warmup ratio · steps) steps of warmup; no clipping;
float32. --trim cuts each batch to its longest row: the same numbers for less work (dropout draws aside).

Prints one line of JSON. `step_ms_*` cover forward, backward and optimiser; `train_seconds` the whole training loop;
`peak_rss_mb` is the process's peak in units of 10^6 bytes, Python and its libraries included; `f1` is of class 1."""

import argparse
import json
import math
import os
import resource
import statistics
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--warmup-ratio", type=float, default=0.0)
    parser.add_argument("--trim", action="store_true")
    parser.add_argument("--threads", type=int, help="torch's own choice where absent")
    return parser.parse_args()


def rows(data, split, index, trim):
    """One batch of a split, as the model's arguments."""
    mask = data[f"{split}_mask"][index].long()
    # The last column that any row uses, not the longest row's count: holds for left padding too.
    width = int(mask.any(0).nonzero().max()) + 1 if trim else mask.shape[1]
    return {
        "input_ids": data[f"{split}_ids"][index, :width].long(),
        "attention_mask": mask[:, :width],
        "labels": data[f"{split}_labels"][index].long(),
    }


def train_batches(data, args):
    count, order = len(data["train_labels"]), data["train_order"].long()
    if len(order) < args.epochs * count:
        sys.exit(f"train_order: expected {args.epochs} epochs of {count} rows, got {len(order)} entries.")
    for epoch in range(args.epochs):
        yield from order[epoch * count : (epoch + 1) * count].split(args.batch)


def evaluate(model, data, args):
    model.eval()
    labels = data["eval_labels"].long()
    with torch.inference_mode():
        parts = torch.arange(len(labels)).split(args.batch)
        guesses = torch.cat([model(**rows(data, "eval", part, args.trim)).logits.argmax(-1) for part in parts])
    hits = int((guesses & labels).sum())
    accuracy = (guesses == labels).double().mean().item()
    return accuracy, 2 * hits / max(1, int(guesses.sum() + labels.sum()))


def main():
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    data = load_file(args.data)
    model = BertForSequenceClassification.from_pretrained(args.model, num_labels=2)
    lora = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"])
    model = get_peft_model(model, lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.01)
    batches = list(train_batches(data, args))
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(args.warmup_ratio * len(batches)), len(batches))

    model.train()
    losses, milliseconds = [], []
    start = time.perf_counter()
    for index in batches:
        begin = time.perf_counter()
        loss = model(**rows(data, "train", index, args.trim)).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        milliseconds.append(1000 * (time.perf_counter() - begin))
    train_seconds = time.perf_counter() - start

    accuracy, f1 = evaluate(model, data, args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    result = {
        "accuracy": accuracy,
        "f1": f1,
        "steps": len(batches),
        "step_ms_median": statistics.median(milliseconds),
        "step_ms_min": min(milliseconds),
        "train_seconds": train_seconds,
        "peak_rss_mb": peak / 1e6,
        "trainable": sum(parameter.numel() for parameter in trained),
        "threads": torch.get_num_threads(),
        "losses": losses,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
