"""What trains from nothing in torch shares: the training of FOLDER/untrained by torch, as bench/from-nothing.ts asks for it. AdamW, decay on
every parameter, half a cosine after a linear warm-up."""

import argparse
import json
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file
from transformers import get_cosine_schedule_with_warmup
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


def settings():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    for name in ("steps", "batch", "warmup"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("lr", "decay", "clip"):
        parser.add_argument(f"--{name}", type=float, required=True)
    return parser.parse_args()


def begin(model_class, folder):
    """The untrained model, and FOLDER/rows.safetensors."""
    rows = {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in load_file(f"{folder}/rows.safetensors").items()}
    return model_class.from_pretrained(f"{folder}/untrained", dtype=torch.float32), rows


def train(model, batches, args):
    """On batches of what the model takes. Returns the losses and the milliseconds of the steps; the model is in evaluation then."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.decay)
    schedule = get_cosine_schedule_with_warmup(optimizer, args.warmup, args.steps)
    losses, milliseconds = [], []
    for batch in batches:
        start = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        milliseconds.append(1000 * (time.perf_counter() - start))
    model.eval()
    return losses, milliseconds


def last(losses):
    """Mean of the last 50 steps."""
    return sum(losses[-50:]) / len(losses[-50:])


def labelled(rows, name, size, has_decoder):
    """Batches of `NAME.ids` and `NAME.labels`, as long as their longest row; ids are padded with 0, labels with -100."""
    for ids, labels in zip(rows[f"{name}.ids"].split(size), rows[f"{name}.labels"].split(size)):
        width = int((ids != 0).sum(1).max())
        written = int((labels != -100).sum(1).max()) if has_decoder else width
        ids = ids[:, :width].contiguous()
        yield {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels[:, :written].contiguous()}


def main(model_class):
    """Trains on the labelled batches, and prints the held-out loss of a label."""
    args = settings()
    model, rows = begin(model_class, args.folder)
    has_decoder = model.config.is_encoder_decoder
    losses, _ = train(model, labelled(rows, "train", args.batch, has_decoder), args)
    total = count = 0
    with torch.no_grad():
        for batch in labelled(rows, "evaluate", args.batch, has_decoder):
            labels = int((batch["labels"] != -100).sum())
            total += model(**batch).loss.item() * labels
            count += labels
    print(json.dumps({"held_out_loss": total / count, "train_loss": last(losses)}))
