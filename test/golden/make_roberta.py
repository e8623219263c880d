"""Writes roberta/<case>/ (see families.py) and roberta/lora/, a LoRA on roberta/sequence_classification."""

import torch
from transformers import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)

from families import encoder_batch, encoder_calls, make, make_lora

SMALL = dict(
    vocab_size=37, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
    max_position_embeddings=20, type_vocab_size=1, layer_norm_eps=1e-5,
)


def case(name, model_class, seed, **changes):
    config = RobertaConfig(**{**SMALL, **changes})
    batch = encoder_batch(seed, config.vocab_size, pad=config.pad_token_id)
    return make("roberta", name, model_class, config, seed, batch, encoder_calls(batch))


if __name__ == "__main__":
    case("base", RobertaModel, seed=1)
    case("odd_sizes", RobertaModel, seed=2, num_hidden_layers=1, hidden_size=30, num_attention_heads=5,
         intermediate_size=41, pad_token_id=3, hidden_act="gelu_new")
    model = case("sequence_classification", RobertaForSequenceClassification, seed=4, num_labels=3)
    case("token_classification", RobertaForTokenClassification, seed=5, num_labels=5)
    case("masked_lm", RobertaForMaskedLM, seed=6, hidden_act="relu")
    case("question_answering", RobertaForQuestionAnswering, seed=7)
    batch = encoder_batch(8, SMALL["vocab_size"], pad=1)
    labels = {"labels": torch.tensor([0, 2, 1, 1, 0, 2])}
    make_lora("roberta", "lora", "sequence_classification", model, 9, batch, labels, "SEQ_CLS",
              dict(r=4, lora_alpha=8, target_modules=["query", "value"]))
