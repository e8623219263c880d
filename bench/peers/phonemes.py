"""Trains a T5 from nothing on spellings and phonemes: called by bench/phonemes.ts, which wrote FOLDER/untrained and
FOLDER/rows.safetensors. Prints one line of JSON: the token ids that it says for the held-out words, and the training's last losses."""

import json

from from_nothing import begin, last, settings, train
from transformers import T5ForConditionalGeneration

PAD = 0


def trimmed(rows):
    return rows[:, : int((rows != PAD).sum(1).max())]


def read(ids):
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def batches_of(rows, size):
    for ids, targets in zip(rows["train.ids"].split(size), rows["train.targets"].split(size)):
        targets = trimmed(targets)
        yield {**read(trimmed(ids)), "labels": targets.masked_fill(targets == PAD, -100)}


def main():
    args = settings()
    model, rows = begin(T5ForConditionalGeneration, args.folder)
    losses, _ = train(model, batches_of(rows, args.batch), args)
    said = [row for ids in rows["evaluate.ids"].split(100) for row in model.generate(**read(ids), max_new_tokens=20, do_sample=False)[:, 1:].tolist()]
    print(json.dumps({"said": said, "train_loss": last(losses)}))


if __name__ == "__main__":
    main()
