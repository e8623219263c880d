"""Writes distilbert/<case>/ (see families.py) and distilbert/lora/, a LoRA on distilbert/sequence_classification."""

import torch
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertModel,
)

from families import encoder_batch, encoder_calls, make, make_lora

SMALL = dict(vocab_size=37, dim=24, n_layers=2, n_heads=4, hidden_dim=40, max_position_embeddings=20)


def case(name, model_class, seed, **changes):
    config = DistilBertConfig(**{**SMALL, **changes})
    batch = encoder_batch(seed, config.vocab_size)
    return make("distilbert", name, model_class, config, seed, batch, encoder_calls(batch))


if __name__ == "__main__":
    case("base", DistilBertModel, seed=1)
    case("odd_sizes", DistilBertModel, seed=2, n_layers=1, dim=30, n_heads=5, hidden_dim=41, activation="relu")
    model = case("sequence_classification", DistilBertForSequenceClassification, seed=4, num_labels=3)
    case("token_classification", DistilBertForTokenClassification, seed=5, num_labels=5)
    case("masked_lm", DistilBertForMaskedLM, seed=6)
    case("question_answering", DistilBertForQuestionAnswering, seed=7)
    batch = encoder_batch(8, SMALL["vocab_size"])
    labels = {"labels": torch.tensor([0, 2, 1, 1, 0, 2])}
    # PEFT trains `classifier` by itself; a new head has two modules
    make_lora("distilbert", "lora", "sequence_classification", model, 9, batch, labels, "SEQ_CLS",
              dict(r=4, lora_alpha=8, target_modules=["q_lin", "v_lin"], modules_to_save=["pre_classifier", "classifier"]))
