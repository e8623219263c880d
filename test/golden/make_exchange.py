"""Writes exchange/<case>/: adapters as HF PEFT makes and saves them where its own rules decide what an adapter is made of, and what
it computes with them after loading them again (float32, CPU, eager attention).

adapter/            as PeftModel.save_pretrained leaves it, its README.md removed
golden.safetensors  input_ids, attention_mask [4, 9], padded right; logits [4, C], [4, 9, C] or, for question answering, [4, 9, 2]: the
                    scores as start and as end; of the text's own tokens alone
Metadata: `base`, the folder of the model, and `task`."""

import os
import shutil

import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, PeftModel, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from reference import HERE, padded_batch, save

CLASSES = {
    "SEQ_CLS": ("sequence-classification", AutoModelForSequenceClassification),
    "TOKEN_CLS": ("token-classification", AutoModelForTokenClassification),
    "QUESTION_ANS": ("question-answering", AutoModelForQuestionAnswering),
    "CAUSAL_LM": ("causal-lm", AutoModelForCausalLM),
}
BERT = "lora/base"
DISTILBERT_WIDTHS = dict(token_dim=24, num_layers=2, num_attention_heads=4)  # PEFT does not find them
CASES = {
    # what PEFT adds to modules_to_save by itself, and finds by bare ends of names
    "distilbert_lora": ("distilbert/sequence_classification", LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin"])),
    "distilbert_ia3": ("distilbert/sequence_classification", IA3Config(task_type="SEQ_CLS", target_modules=["k_lin", "lin2"], feedforward_modules=["lin2"])),
    "roberta_lora": ("roberta/sequence_classification", LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "dense"])),
    "roberta_norms": ("roberta/sequence_classification", LNTuningConfig(task_type="SEQ_CLS", target_modules=["LayerNorm"])),
    "trained_targets": (
        BERT, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["dense", "query"], modules_to_save=["intermediate.dense"])
    ),
    "gpt2_in_full": (
        "gpt2/causal_lm", LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["c_attn"], modules_to_save=["c_proj"], fan_in_fan_out=True)
    ),
    # starts from the weight, which tables do not have
    "pissa_table": (BERT, LoraConfig(task_type="SEQ_CLS", r=3, init_lora_weights="pissa", target_modules=["word_embeddings", "query"])),
    "olora_table": (
        BERT, LoraConfig(task_type="SEQ_CLS", r=3, init_lora_weights="olora", use_rslora=True, target_modules=["word_embeddings", "value"])
    ),
    "dora_pissa_table": (
        BERT, LoraConfig(task_type="SEQ_CLS", r=2, init_lora_weights="pissa", use_dora=True, target_modules=["position_embeddings", "key"])
    ),
    # expressions
    "layers_pattern": (
        BERT, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "dense"], layers_to_transform=[0, 2, 9], layers_pattern=["h", "lay.r"])
    ),
    "layers_none": (BERT, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"], layers_to_transform=[])),
    "python_pattern": (
        BERT,
        LoraConfig(
            task_type="SEQ_CLS",
            r=2,
            target_modules=r"(?i)bert\.(?P<part>encoder)\.LAYER\.\d++\.attention\.self\.(?!key|drop)\w+\Z",
            exclude_modules=r"(?x) .* \. 1 \. .* (?<=self\.)value # in layer 1",
            rank_pattern={r"(?:layer\.(?>0|2)\..*)value": 4, r"query": 3},
            alpha_pattern={r"\d\.attention\.self\.(?P<q>query)": 5},
        ),
    ),
    "idle_names": (
        BERT, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "q_proj"], exclude_modules=["lm_head"], rank_pattern={"k_proj": 4})
    ),
    # a class for a sequence beside virtual rows
    "roberta_prompt": ("roberta/sequence_classification", PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)),
    "distilbert_prompt": (
        "distilbert/sequence_classification",
        PromptEncoderConfig(task_type="SEQ_CLS", num_virtual_tokens=2, encoder_hidden_size=7, **DISTILBERT_WIDTHS),
    ),
    "gpt2_prompt": ("gpt2/sequence_classification", PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)),
    "llama_prompt": ("llama/sequence_classification", PromptEncoderConfig(task_type="SEQ_CLS", num_virtual_tokens=3, encoder_hidden_size=5)),
    "roberta_answers": ("roberta/question_answering", PromptTuningConfig(task_type="QUESTION_ANS", num_virtual_tokens=3)),
}


def open_base(base, config):
    return CLASSES[config.task_type][1].from_pretrained(base, attn_implementation="eager").eval()


def make(case, base, config, seed):
    torch.manual_seed(seed)
    model = get_peft_model(open_base(base, config), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / "exchange" / case
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()

    again = PeftModel.from_pretrained(open_base(base, config), folder / "adapter").eval()
    vocabulary = again.config.vocab_size
    batch = padded_batch(seed, rows=4, length=9, vocab=vocabulary, kinds=["full", "right"])
    padding = again.config.pad_token_id or 0
    batch["input_ids"][(batch["attention_mask"] == 1) & (batch["input_ids"] == padding)] = padding + 1
    batch["input_ids"][batch["attention_mask"] == 0] = padding
    with torch.no_grad():
        output = again(**batch)
    logits = torch.stack([output.start_logits, output.end_logits], -1) if config.task_type == "QUESTION_ANS" else output.logits
    if logits.ndim == 3:
        logits = logits[:, -batch["input_ids"].shape[1] :]
    save(folder / "golden.safetensors", {**batch, "logits": logits}, base=base, task=CLASSES[config.task_type][0])
    print(f"{case}: {sum(1 for p in model.parameters() if p.requires_grad)} trainables")


if __name__ == "__main__":
    os.chdir(HERE)
    for seed, (case, (base, config)) in enumerate(CASES.items(), start=120):
        make(case, base, config, seed)
