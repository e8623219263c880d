"""Pretrains in torch what bench/poems.ts pretrains here, which calls it: its peer.

    poems.py --folder DIR --steps 2000 --batch 32 --lr 2e-3 --warmup 100 --decay 0.01 --clip 1

DIR has the untrained BERT (untrained/) and rows.safetensors: `train.ids` and `train.labels` (steps x batch rows, in order, padded with 0), and those
of `evaluate`. Prints one line of JSON: held_out_loss, train_loss (mean of the last 50 steps)."""

import json

import torch
from from_nothing import begin, last, settings, train
from transformers import BertForMaskedLM
from transformers.modeling_outputs import MaskedLMOutput


class AtLabels(BertForMaskedLM):
    """Its loss, with the logits of the tokens alone that have a label: half the work."""

    def forward(self, input_ids, attention_mask, labels):
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        at = labels != -100
        return MaskedLMOutput(loss=torch.nn.functional.cross_entropy(self.cls(hidden[at]), labels[at]))


def batches(rows, name, size):
    """As long as their longest row."""
    for ids, labels in zip(rows[f"{name}.ids"].split(size), rows[f"{name}.labels"].split(size)):
        width = int((ids != 0).sum(1).max())
        ids, labels = ids[:, :width].contiguous(), labels[:, :width].contiguous()
        yield {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def main():
    args = settings()
    model, rows = begin(AtLabels, args.folder)
    losses, _ = train(model, batches(rows, "train", args.batch), args)
    total = count = 0
    with torch.no_grad():
        for batch in batches(rows, "evaluate", 32):
            labelled = int((batch["labels"] != -100).sum())
            total += model(**batch).loss.item() * labelled
            count += labelled
    print(json.dumps({"held_out_loss": total / count, "train_loss": last(losses)}))


if __name__ == "__main__":
    main()
