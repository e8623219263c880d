"""Golden files of BART: bart/<case>/, as families.py says. With decoder_input_ids beside the ids where a text is written; the tasks on
one text take none, and every row has one end token, 2, at its end. See README.md.

    base                       BartModel, odd sizes, scaled words, other layers and heads in the decoder
    seq2seq                    BartForConditionalGeneration with a bias of the logits
    sequence_classification, question_answering
    lora, lora_classifier      LoRA by PEFT on both towers and cross attention, with labels
    generation                 64 greedy tokens of seq2seq and of its LoRA, and those with forced first and last tokens"""

import torch
from transformers import BartConfig, BartForConditionalGeneration, BartForQuestionAnswering, BartForSequenceClassification, BartModel

from families import encoder_batch, make, make_lora
from make_t5 import labels_of
from reference import HERE, padded_batch, save

SIZES = dict(
    vocab_size=29, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=12,
    decoder_ffn_dim=9, max_position_embeddings=12, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
)


def batch_of(seed):
    batch = encoder_batch(seed, 29, pad=1)
    batch["decoder_input_ids"] = torch.randint(3, 29, (6, 7), generator=torch.Generator().manual_seed(seed + 5))
    batch["decoder_input_ids"][:, 0] = 2
    return batch


def text_of(seed):
    batch = encoder_batch(seed, 29, pad=1)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    ids[ids == 2] = 3
    last = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(1)
    ids[torch.arange(len(ids)), last] = 2
    return batch


def calls_of(batch):
    return {"full": batch, "ids_only": {name: value for name, value in batch.items() if name != "attention_mask"}}


def make_generation(base, adapted, seed):
    batch = padded_batch(seed, rows=3, length=9, vocab=29, kinds=["full", "left"])
    found, leads = {}, {}
    free = dict(eos_token_id=None, min_new_tokens=64)
    for name, model, settings in (("base", base, free), ("adapted", adapted, free), ("forced", base, dict(free, forced_bos_token_id=7, forced_eos_token_id=2))):
        with torch.no_grad():
            result = model.generate(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=64, do_sample=False, output_logits=True,
                return_dict_in_generate=True, **settings,
            )
        best = torch.stack(result.logits).topk(2).values
        found[f"{name}/tokens"], leads[name] = result.sequences[:, 1:], (best[..., 0] - best[..., 1]).min().item()
    save(HERE / "bart" / "generation" / "golden.safetensors", {**batch, **found}, smallest_lead=leads)
    print(f"bart/generation: smallest lead {leads}, kinds of tokens { {name: len(set(tokens.flatten().tolist())) for name, tokens in found.items()} }")


class WithBias(BartForConditionalGeneration):
    def __init__(self, config):
        super().__init__(config)
        self.final_logits_bias.copy_(0.2 * torch.randn(1, config.vocab_size, generator=torch.Generator().manual_seed(3)))


WithBias.__name__ = "BartForConditionalGeneration"

if __name__ == "__main__":
    batch = batch_of(1)
    odd = dict(scale_embedding=True, decoder_layers=1, decoder_attention_heads=4, activation_function="relu")
    make("bart", "base", BartModel, BartConfig(**{**SIZES, **odd}), 1, batch, calls_of(batch))
    options = dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "fc2"])
    batch = batch_of(14)
    model = make("bart", "seq2seq", WithBias, BartConfig(**{**SIZES, "max_position_embeddings": 70}), 14, batch, calls_of(batch), 0.25)
    tuned = make_lora("bart", "lora", "seq2seq", model, 12, batch, {"labels": labels_of(batch)}, "SEQ_2_SEQ_LM", options)
    make_generation(model, tuned, 31)
    for case, model_class, seed in (("sequence_classification", BartForSequenceClassification, 41), ("question_answering", BartForQuestionAnswering, 51)):
        batch = text_of(seed)
        model = make("bart", case, model_class, BartConfig(**SIZES), seed, batch, calls_of(batch))
        if case == "sequence_classification":
            options = dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=["classification_head"])
            make_lora("bart", "lora_classifier", case, model, 42, batch, {"labels": torch.tensor([0, 2, 1, 1, 0, 2])}, "SEQ_CLS", options)
