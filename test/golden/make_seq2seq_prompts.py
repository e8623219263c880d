"""Writes seq2seq_prompts/<case>/ by HF PEFT: what it makes of virtual tokens on encoder-decoders. adapter/ is a file of PEFT's as it writes it,
golden.safetensors input_ids, attention_mask, decoder_input_ids, labels, logits, loss, `grad` (of prompt_embeddings, where it is trained
as it is) and 32 greedy tokens, each of a forward pass over all before: with transformers 5.24, PEFT's `generate` loses the prefix. See README.md.

    prompt_t5, prompt_bart    prompt tuning: a table of twice the rows, of which the first half counts
    p_tuning_t5               P-tuning
    prefix_bart               a prefix of the two layers' default: both decoder layers share the first layer's rows
    prefix_t5                 a prefix for three places: each decoder layer has its own; heads wider than the model together"""

import os

import torch
from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForSeq2SeqLM

import make_bart
import make_t5
from reference import HERE, save

TASK = dict(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3)
CASES = {
    "prompt_t5": ("t5/mt5", PromptTuningConfig(**TASK)),
    "prompt_bart": ("bart/seq2seq", PromptTuningConfig(**TASK)),
    "p_tuning_t5": ("t5/tied", PromptEncoderConfig(**TASK, encoder_hidden_size=5)),
    "prefix_bart": ("bart/seq2seq", PrefixTuningConfig(**TASK)),
    "prefix_t5": ("t5/tied", PrefixTuningConfig(**TASK, num_layers=3, token_dim=21)),
}


def make(case, base, config, seed):
    torch.manual_seed(seed)
    os.chdir(HERE)
    model = AutoModelForSeq2SeqLM.from_pretrained(base, attn_implementation="eager", dtype=torch.float32)
    tuned = get_peft_model(model, config).eval()
    source = make_t5 if base.startswith("t5") else make_bart
    batch = {**source.batch_of(seed), "labels": make_t5.labels_of(source.batch_of(seed))}
    result = tuned(**batch)
    result.loss.backward()
    learned = tuned.prompt_encoder["default"].embedding.weight
    plain = {} if config.peft_type == "P_TUNING" else {"grad": learned.grad}
    with torch.no_grad():
        tokens, lead = batch["decoder_input_ids"][:, :1], float("inf")
        for _ in range(32):
            last = tuned(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], decoder_input_ids=tokens).logits[:, -1]
            best = last.topk(2)
            lead = min(lead, (best.values[:, 0] - best.values[:, 1]).min().item())
            tokens = torch.cat([tokens, best.indices[:, :1]], dim=1)
    folder = HERE / "seq2seq_prompts" / case
    tuned.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    save(folder / "golden.safetensors", {**batch, "logits": result.logits, "loss": result.loss, **plain, "tokens": tokens[:, 1:]}, smallest_lead=lead)
    print(f"{case}: loss {result.loss.item():.3f}, smallest lead {lead:.1e}, kinds of tokens {len(set(tokens.flatten().tolist()))}")


if __name__ == "__main__":
    for seed, (case, (base, config)) in enumerate(CASES.items(), start=1):
        make(case, base, config, seed)
