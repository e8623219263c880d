"""Pretrains in torch what bench/poems.ts pretrains here, which calls it: its peer.

    poems.py --folder DIR --steps 2000 --batch 32 --lr 2e-3 --warmup 100 --decay 0.01 --clip 1

DIR has the untrained BERT (untrained/) and rows.safetensors: `train.ids` and `train.labels` (steps x batch rows, in order, padded with 0), and those
of `evaluate`. Prints one line of JSON: held_out_loss, train_loss (mean of the last 50 steps)."""

import torch
from from_nothing import main
from transformers import BertForMaskedLM
from transformers.modeling_outputs import MaskedLMOutput


class AtLabels(BertForMaskedLM):
    """Its loss, with the logits of the tokens alone that have a label: half the work."""

    def forward(self, input_ids, attention_mask, labels):
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        at = labels != -100
        return MaskedLMOutput(loss=torch.nn.functional.cross_entropy(self.cls(hidden[at]), labels[at]))


if __name__ == "__main__":
    main(AtLabels)
