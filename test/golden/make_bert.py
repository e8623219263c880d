"""Writes bert/<case>/: tiny BERTs with random weights, as save_pretrained leaves them, and in golden.safetensors what
HF transformers computes with them (float32, CPU, one thread, eager attention, no dropout).

golden.safetensors holds the inputs `input_ids`, `attention_mask`, `token_type_ids` [6, 11] and, for three ways of
calling the model, its outputs:
  full/…      ids, mask and token types          no_types/…  ids and mask (token types default to 0)
  ids_only/…  ids alone (mask defaults to ones)
Output names are HF's: `last_hidden_state`, `pooler_output` (where the model has a pooler), `hidden_states` (stacked
[layers + 1, batch, time, width], `full` only), `logits`, and `start_logits` / `end_logits` for question answering,
whose `logits` are those two stacked last: [batch, time, 2].
Metadata: `float32_error` is the largest distance of these outputs from the same model run in float64, so a test can
tell rounding from a mistake."""

import copy

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from reference import HERE, gap, padded_batch, randomize, save, save_model

SMALL = dict(
    vocab_size=37,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=24,
)


def outputs(model, inputs):
    """Encoder and head outputs of one call, by HF's names."""
    encoder = model if isinstance(model, BertModel) else model.bert
    hidden = encoder(**inputs, output_hidden_states=True)
    found = {"last_hidden_state": hidden.last_hidden_state, "hidden_states": torch.stack(hidden.hidden_states)}
    if hidden.pooler_output is not None:
        found["pooler_output"] = hidden.pooler_output
    if encoder is not model:
        head = model(**inputs)
        if isinstance(model, BertForQuestionAnswering):
            found |= {"start_logits": head.start_logits, "end_logits": head.end_logits}
            found["logits"] = torch.stack([head.start_logits, head.end_logits], dim=-1)
        else:
            found["logits"] = head.logits
    return found


def every_call(model, batch):
    calls = {
        "full": batch,
        "no_types": {name: batch[name] for name in ("input_ids", "attention_mask")},
        "ids_only": {"input_ids": batch["input_ids"]},
    }
    with torch.no_grad():
        return {
            f"{call}/{name}": value
            for call, inputs in calls.items()
            for name, value in outputs(model, inputs).items()
            if name != "hidden_states" or call == "full"
        }


def old_names(tensors):
    """The names of checkpoints converted from TensorFlow, bert-base-uncased among them: a `bert.` prefix on the bare
    encoder, gamma and beta, and the position_ids buffer that transformers saved until 4.31."""
    renamed = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in tensors.items()
    }
    renamed["bert.embeddings.position_ids"] = torch.arange(SMALL["max_position_embeddings"]).unsqueeze(0)
    return renamed


def make(case, model_class, seed, rename=None, labels=None, **changes):
    config = BertConfig(**{**SMALL, **changes}, **({"num_labels": labels} if labels else {}))
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = model_class(config).eval()
    randomize(model, seed)
    model.tie_weights()
    folder = HERE / "bert" / case
    save_model(model, folder, rename)

    batch = padded_batch(seed, rows=6, length=11, vocab=config.vocab_size, kinds=["full", "right", "left"])
    generator = torch.Generator().manual_seed(seed + 1)
    batch["token_type_ids"] = torch.randint(0, config.type_vocab_size, (6, 11), generator=generator)
    found = every_call(model, batch)
    error = gap(found, every_call(copy.deepcopy(model).double(), batch))
    save(folder / "golden.safetensors", {**batch, **found}, model=model_class.__name__, float32_error=error)
    spread = found.get("full/logits", found["full/last_hidden_state"]).std().item()
    print(f"{case}: float32 error {error:.1e}, output std {spread:.2f}")


if __name__ == "__main__":
    make("base", BertModel, seed=1)
    make("odd_sizes", BertModel, seed=2, num_hidden_layers=3, hidden_size=30, num_attention_heads=5,
         intermediate_size=41, hidden_act="gelu_new")
    make("relu", BertModel, seed=3, num_hidden_layers=1, hidden_act="relu", layer_norm_eps=1e-5, type_vocab_size=3)
    make("sequence_classification", BertForSequenceClassification, seed=4, labels=3)
    make("token_classification", BertForTokenClassification, seed=5, labels=5)
    make("masked_lm", BertForMaskedLM, seed=6)
    make("old_names", BertModel, seed=1, rename=old_names)
    make("question_answering", BertForQuestionAnswering, seed=7)
