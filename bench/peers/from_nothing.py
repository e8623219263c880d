"""What pretrain.py, phonemes.py and vit.py share: the training of FOLDER/untrained by torch, as bench/from-nothing.ts asks for it. AdamW, decay on
every parameter, half a cosine after a linear warm-up."""

import argparse
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
