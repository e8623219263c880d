"""Writes relatives/<model_type>_<task>/ (see families.py): models that compute as another family does, under names of their own."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from families import decoder_calls, encoder_batch, encoder_calls, make

ENCODER = dict(
    vocab_size=29, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20, max_position_embeddings=16,
    type_vocab_size=2, layer_norm_eps=1e-5, num_labels=3,
)
DECODER = dict(
    vocab_size=29, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=20,
    head_dim=6, max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, num_labels=3,
)
ENCODERS = {"base": AutoModel, "sequence_classification": AutoModelForSequenceClassification, "token_classification": AutoModelForTokenClassification,
            "masked_lm": AutoModelForMaskedLM, "question_answering": AutoModelForQuestionAnswering}
DECODERS = {"base": AutoModel, "sequence_classification": AutoModelForSequenceClassification, "causal_lm": AutoModelForCausalLM}


def relatives(kind, seed, tasks, base, calls_of, name=None, **changes):
    for index, (task, auto) in enumerate(tasks.items()):
        labels = {"num_labels": 2} if task == "question_answering" else {}
        config = AutoConfig.for_model(kind, **{**base, **changes, **labels})
        model_class = auto._model_mapping[type(config)]
        types = config.type_vocab_size if "type_vocab_size" in base else 0
        batch = encoder_batch(seed + index, config.vocab_size, pad=config.pad_token_id or 0, types=types)
        calls = calls_of(batch)
        if task == "sequence_classification" and base is DECODER:
            del calls["ids_only"]  # transformers finds the last token by its id, not by the mask
        make("relatives", f"{name or kind}_{task}", model_class, config, seed + index, batch, calls)


if __name__ == "__main__":
    for index, kind in enumerate(["ernie", "xlm-roberta", "camembert", "data2vec-text"]):
        relatives(kind, 10 * index + 1, ENCODERS, ENCODER, encoder_calls)
    relatives("electra", 51, ENCODERS, ENCODER, encoder_calls, embedding_size=12, hidden_act="relu")
    relatives("electra", 56, ENCODERS, ENCODER, encoder_calls, name="electra_small", embedding_size=7)
    relatives("ministral", 61, DECODERS, DECODER, decoder_calls, sliding_window=3, layer_types=["full_attention", "sliding_attention"])
    relatives("seed_oss", 71, DECODERS, DECODER, decoder_calls, attention_out_bias=True)
