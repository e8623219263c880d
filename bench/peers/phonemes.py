"""Trains a T5 from nothing on spellings and phonemes: called by bench/phonemes.ts, which wrote FOLDER/untrained and
FOLDER/rows.safetensors. Prints one line of JSON: the phoneme error rate on the held-out words in percent, and the training's last losses."""

import argparse
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration, get_cosine_schedule_with_warmup
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
PAD, END = 0, 1


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, own in enumerate(a):
        following = [i + 1]
        for j, other in enumerate(b):
            following.append(min(row[j] + (own != other), row[j + 1] + 1, following[j] + 1))
        row = following
    return row[-1]


def phonemes(ids):
    ids = list(ids)
    return ids[: ids.index(END)] if END in ids else ids


def trimmed(rows):
    return rows[:, : int((rows != PAD).sum(1).max())]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    for name in ("steps", "batch", "warmup"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("lr", "decay", "clip"):
        parser.add_argument(f"--{name}", type=float, required=True)
    args = parser.parse_args()

    rows = {name: tensor.long() for name, tensor in load_file(f"{args.folder}/rows.safetensors").items()}
    model = T5ForConditionalGeneration.from_pretrained(f"{args.folder}/untrained", dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.decay)
    schedule = get_cosine_schedule_with_warmup(optimizer, args.warmup, args.steps)
    losses = []
    for ids, targets in zip(rows["train.ids"].split(args.batch), rows["train.targets"].split(args.batch)):
        ids, targets = trimmed(ids), trimmed(targets)
        loss = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=targets.masked_fill(targets == PAD, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    model.eval()
    wrong = total = 0
    for ids, targets in zip(rows["evaluate.ids"].split(100), rows["evaluate.targets"].split(100)):
        found = model.generate(input_ids=ids, attention_mask=(ids != PAD).long(), max_new_tokens=20, do_sample=False)[:, 1:]
        for own, target in zip(found.tolist(), targets.tolist()):
            wrong += distance(phonemes(own), phonemes(target))
            total += len(phonemes(target))
    print(json.dumps({"error_rate": 100 * wrong / total, "train_loss": sum(losses[-50:]) / len(losses[-50:])}))


if __name__ == "__main__":
    main()
