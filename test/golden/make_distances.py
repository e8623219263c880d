"""Writes deberta-v2/<case>/, mpnet/<case>/ and albert/<case>/ (see families.py): encoders whose scores know distances, or whose layers are one
module; LoRAs on them; and deberta-v2/buckets.safetensors, the row of each distance from 0 on for some sizes (`<buckets>_<furthest>`)."""

import sys

import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from families import encoder_batch, encoder_calls, make, make_lora
from reference import HERE, save

SIZES = dict(vocab_size=17, hidden_size=8, num_attention_heads=2, intermediate_size=10, max_position_embeddings=16, num_labels=3)
TASKS = {"base": AutoModel, "sequence_classification": AutoModelForSequenceClassification, "token_classification": AutoModelForTokenClassification,
         "masked_lm": AutoModelForMaskedLM, "question_answering": AutoModelForQuestionAnswering}


def write(kind, seed, cases, suffix="", lora=None, **settings):
    for index, task in enumerate(cases):
        labels = {"num_labels": 2} if task == "question_answering" else {}
        layers = 2 if task == "sequence_classification" or kind == "albert" else 1
        config = AutoConfig.for_model(kind, **{**SIZES, "num_hidden_layers": layers, **settings, **labels})
        batch = encoder_batch(seed + index, config.vocab_size, pad=config.pad_token_id or 0, types=getattr(config, "type_vocab_size", 0))
        model = make(kind, task + suffix, TASKS[task]._model_mapping[type(config)], config, seed + index, batch, encoder_calls(batch))
        if task == "sequence_classification" and lora is not None:
            generator = torch.Generator().manual_seed(seed + 7)
            classes = {"labels": torch.randint(0, 3, (len(batch["input_ids"]),), generator=generator)}
            make_lora(kind, f"lora{suffix}", task + suffix, model, seed + 8, batch, classes, "SEQ_CLS", dict(r=3, lora_alpha=6, target_modules=lora))


def make_buckets():
    sizes, rows = [(256, 512), (32, 70), (8, 24), (5, 9), (2, 16)], {}
    for buckets, furthest in sizes:
        distances = torch.arange(min(furthest + 40, 600))
        rows[f"{buckets}_{furthest}"] = build_relative_position(distances[:, None], torch.zeros(1, 1), buckets, furthest)[0, :, 0]
    save(HERE / "deberta-v2" / "buckets.safetensors", rows)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["deberta-v2", "mpnet", "albert"]
    if "deberta-v2" in wanted:
        make_buckets()
        v3 = dict(relative_attention=True, share_att_key=True, position_buckets=4, max_relative_positions=9, norm_rel_ebd="layer_norm",
                  pos_att_type="p2c|c2p", position_biased_input=False, type_vocab_size=0)
        write("deberta-v2", 201, TASKS, **v3, lora=["query_proj", "key_proj", "output.dense"])
        write("deberta-v2", 211, ["masked_lm"], "_own", **v3, legacy=False)
        v2 = dict(relative_attention=True, pos_att_type=["c2p", "p2c"], type_vocab_size=2, conv_kernel_size=3, conv_act="gelu", embedding_size=5)
        write("deberta-v2", 221, ["base", "sequence_classification", "masked_lm"], "_v2", **v2,
              lora=["pos_key_proj", "pos_query_proj", "value_proj", "embed_proj"])
        write("deberta-v2", 231, ["base"], "_c2p", relative_attention=True, pos_att_type=["c2p"], position_buckets=8, max_relative_positions=6)
        write("deberta-v2", 232, ["base"], "_p2c", relative_attention=True, pos_att_type=["p2c"], max_relative_positions=5)
        write("deberta-v2", 233, ["base"], "_plain", pos_att_type=["p2c"], pooler_hidden_act="tanh")
    if "mpnet" in wanted:
        save(HERE / "mpnet" / "buckets.safetensors", {"rows": MPNetEncoder.relative_position_bucket(-torch.arange(-200, 201))})
        write("mpnet", 241, TASKS, lora=["q", "o", "intermediate.dense"])
    if "albert" in wanted:
        write("albert", 251, TASKS, lora=["query", "value", "ffn_output"], embedding_size=5, num_hidden_groups=1)
        write("albert", 261, ["sequence_classification"], "_groups", embedding_size=8, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2,
              lora=["query", "key", "attention.dense", "embedding_hidden_mapping_in"])
