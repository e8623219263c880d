"""Writes prompt/<case>/ by HF PEFT's prompt tuning and P-tuning; prompt_learning.py says what is in it.

Beside that, prompt/sequence/ has first_token_logits [6, 3]: PEFT pools the first virtual row, this library the first token
of the text, so these are its pooler and classifier on that row of PEFT's last hidden state."""

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
