"""Trains a BERT by HF's Trainer with PEFT's LoRA on rows of their own lengths: called by bench/lengths.ts, with a `LengthsRun`.

    lengths.py '{"model": DIR, "task": "masked-lm", "batch": 32, "data": FILE}' [--group]

FILE is JSON, `{ids, labels}`: rows in the order to train on. Batches are padded to their longest row, as the Trainer's own collator does. --group: rows of like length
together, the Trainer's way. Prints one line of JSON: the seconds of all steps but the first two."""

import json
import os
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


def collate(rows):
    length = max(len(row["input_ids"]) for row in rows)
    filled = lambda name, value: torch.tensor([row[name] + [value] * (length - len(row[name])) for row in rows])
    each = isinstance(rows[0]["labels"], list)
    labels = filled("labels", -100) if each else torch.tensor([row["labels"] for row in rows])
    return {"input_ids": filled("input_ids", 0), "attention_mask": filled("attention_mask", 0), "labels": labels}


class Steps(transformers.TrainerCallback):
    def __init__(self):
        self.times = []

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.times.append(time.perf_counter() - self.start)


def main():
    run = json.loads(sys.argv[1])
    masked = run["task"] == "masked-lm"
    torch.manual_seed(0)
    with open(run["data"], encoding="utf8") as file:
        data = json.load(file)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label} for ids, label in zip(data["ids"], data["labels"])]
    if masked:
        model = transformers.AutoModelForMaskedLM.from_pretrained(run["model"])
    else:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(run["model"], num_labels=2)
    low_rank = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], task_type=None if masked else "SEQ_CLS")
    model = peft.get_peft_model(model, low_rank)
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        options = transformers.TrainingArguments(
            output_dir=folder, per_device_train_batch_size=run["batch"], num_train_epochs=1, learning_rate=1e-4, use_cpu=True, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            train_sampling_strategy="group_by_length" if "--group" in sys.argv else "sequential",
        )
        transformers.Trainer(model=model, args=options, train_dataset=rows, data_collator=collate, callbacks=[steps]).train()
    print(json.dumps({"seconds": sum(steps.times[2:])}))


if __name__ == "__main__":
    main()
