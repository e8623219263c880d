"""Writes prompt/<case>/ by HF PEFT's prompt tuning and P-tuning; prompt_learning.py says what is in it.

prompt/gpt2 and prompt/llama stand on the causal LMs of those names, gpt2/causal_lm and llama/causal_lm.
prompt/sequence/ also has first_token_logits [6, 3]: PEFT pools the first virtual row, this library the first token
of the text, so these are its pooler and classifier on that row of PEFT's last hidden state."""

import os

import torch
from peft import PromptEncoderConfig, PromptTuningConfig

from prompt_learning import enter, make
from reference import HERE

CASES = {
    "tokens": PromptTuningConfig(task_type="TOKEN_CLS", num_virtual_tokens=4),
    "mlp": PromptEncoderConfig(task_type="TOKEN_CLS", num_virtual_tokens=4, encoder_hidden_size=10),
    "lstm": PromptEncoderConfig(
        task_type="TOKEN_CLS", num_virtual_tokens=5, encoder_reparameterization_type="LSTM", encoder_hidden_size=6
    ),
    "sequence": PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
}
LMS = {
    "gpt2": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "llama": PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=10),
}


def first_token_logits(model, batch):
    inner = model.base_model
    with torch.no_grad():
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True)
        first = output.hidden_states[-1][:, model.active_peft_config.num_virtual_tokens :]
        return {"first_token_logits": inner.classifier(inner.bert.pooler(first))}


if __name__ == "__main__":
    enter()
    for seed, (case, config) in enumerate(CASES.items(), start=76):
        make(HERE / "prompt" / case, config, seed, first_token_logits if case == "sequence" else None)
    os.chdir(HERE)
    for seed, (family, config) in enumerate(LMS.items(), start=93):
        make(HERE / "prompt" / family, config, seed, base=f"{family}/causal_lm")
