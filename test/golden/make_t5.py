"""Golden files of T5 and mT5: t5/<case>/, as families.py says, with decoder_input_ids [6, 7] beside the ids. See README.md.

    base          T5Model, ReLU, odd sizes, more distances than buckets
    tied          the head is the table of the words, the last rows made smaller
    untied        FLAN-T5's settings: gated GELU, a head of its own, fewer layers in the decoder
    mt5           mT5
    lora, lora_untied    LoRA by PEFT on both towers and cross attention, with labels, of tied and untied
    buckets       the rows of distances
    generation    64 greedy tokens of the texts, of untied and of its LoRA"""

import json

import torch
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration, T5Model

from transformers.models.t5.modeling_t5 import T5Attention

from families import encoder_batch, generate, make, make_lora
from reference import HERE, padded_batch, save

SIZES = dict(
    vocab_size=29, d_model=16, d_kv=7, d_ff=20, num_layers=2, num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=9,
    decoder_start_token_id=0,
)


class Untied(T5ForConditionalGeneration):
    """With a head of its own, as FLAN-T5's files have it: transformers 5 ties new ones whatever the configuration says."""

    _tied_weights_keys = {name: kept for name, kept in T5ForConditionalGeneration._tied_weights_keys.items() if "lm_head" not in name}


Untied.__name__ = "T5ForConditionalGeneration"


def batch_of(seed):
    batch = encoder_batch(seed, 29, pad=0)
    generator = torch.Generator().manual_seed(seed + 5)
    ids = torch.randint(1, 29, (6, 7), generator=generator)
    ids[:, 0] = 0
    return {**batch, "decoder_input_ids": ids}


def calls_of(batch):
    return {"full": batch, "ids_only": {name: value for name, value in batch.items() if name != "attention_mask"}}


def labels_of(batch):
    """What the decoder is given, one place earlier; behind some rows' ends nothing counts."""
    labels = torch.roll(batch["decoder_input_ids"], -1, dims=1)
    labels[:, -1] = 7
    labels[2, 4:] = -100
    return labels


def make_generation(base, adapted, seed):
    batch = padded_batch(seed, rows=3, length=9, vocab=29, kinds=["full", "left"])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    found, leads = {}, {}
    for name, model in {"base": base, "adapted": adapted}.items():
        with torch.no_grad():
            result = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=64, min_new_tokens=64, do_sample=False, eos_token_id=None,
                output_logits=True, return_dict_in_generate=True,
            )
        best = torch.stack(result.logits).topk(2).values
        found[f"{name}/tokens"], leads[name] = result.sequences[:, 1:], (best[..., 0] - best[..., 1]).min().item()
    save(HERE / "t5" / "generation" / "golden.safetensors", {**batch, **found}, smallest_lead=leads)
    print(f"t5/generation: smallest lead {leads}, kinds of tokens { {name: len(set(tokens.flatten().tolist())) for name, tokens in found.items()} }")


def make_buckets():
    """buckets.safetensors: the row of each distance of a key from its query, -300 to 300, by rows, furthest distance and direction."""
    distances = torch.arange(-300, 301)
    save(HERE / "t5" / "buckets.safetensors", {
        f"{rows}_{furthest}_{name}": T5Attention._relative_position_bucket(distances, bothways, rows, furthest).int()
        for rows, furthest in ((32, 128), (8, 9), (20, 100)) for name, bothways in (("both", True), ("back", False))
    })


if __name__ == "__main__":
    make_buckets()
    batch = batch_of(1)
    make("t5", "base", T5Model, T5Config(**SIZES), 1, batch, calls_of(batch))
    gated = dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1)
    options = dict(r=3, lora_alpha=6, target_modules=["q", "v", "o", "wo"])
    for case, lora, model_class, config, seed, std in (
        ("tied", "lora", T5ForConditionalGeneration, T5Config(**SIZES), 11, 0.35),
        ("untied", "lora_untied", Untied, T5Config(**SIZES, **gated), 21, 0.4),
    ):
        batch = batch_of(seed)
        model = make("t5", case, model_class, config, seed, batch, calls_of(batch), std)
        tuned = make_lora("t5", lora, case, model, seed + 1, batch, {"labels": labels_of(batch)}, "SEQ_2_SEQ_LM", options)
        if case == "untied":  # as on the Hub
            path = HERE / "t5" / case / "config.json"
            settings = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("scale_decoder_outputs", "is_gated_act", "dense_act_fn")}
            path.write_text(json.dumps({**settings, "tie_word_embeddings": False}, indent=2) + "\n")
            make_generation(model, tuned, 31)
    batch = batch_of(41)
    make("t5", "mt5", MT5ForConditionalGeneration, MT5Config(**SIZES), 41, batch, calls_of(batch), 0.25)
