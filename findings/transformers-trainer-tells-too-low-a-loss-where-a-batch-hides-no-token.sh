#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.15.0, accelerate 1.15.0): masked LM on short rows. Where chance hides no token of a batch, the model's loss is NaN, but
# Trainer logs that step with a loss of exactly 0 and counts the 0 in train_loss: with rows of two words and batches of two the loss that is told
# is less than half of what every step that learned anything had, while eval_loss on the same rows, whose batches are as empty, is right. The two
# seem to say that held-out texts are far worse than what was learned.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet transformers==5.24.0 torch==2.15.0 accelerate==1.15.0
cat > try.py <<'PROGRAM'
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments, set_seed

words = "cold tea hot milk no sugar".split()
open("vocab.txt", "w").write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
tokenizer = BertTokenizer("vocab.txt")
rows = [tokenizer(f"{words[i % 6]} {words[(i + 1) % 6]}") for i in range(48)]
steps = []


class Watch(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            steps.append(logs["loss"])


set_seed(0)
model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
arguments = TrainingArguments("out", per_device_train_batch_size=2, per_device_eval_batch_size=2, max_steps=20, logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True)
trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, data_collator=DataCollatorForLanguageModeling(tokenizer), callbacks=[Watch()])
result = trainer.train()
hidden = torch.tensor([[-100, -100, -100, -100]])
print("the model's loss without a hidden token:", model(input_ids=torch.tensor([rows[0]["input_ids"]]), labels=hidden).loss.item())
with_hidden = [loss for loss in steps if loss > 0]
print("steps:", len(steps), "with a loss of exactly 0:", len(steps) - len(with_hidden), "least of the others above 2:", min(with_hidden) > 2)
print("train_loss that is told below 1.5:", result.training_loss < 1.5)
print("eval_loss above 2:", trainer.evaluate()["eval_loss"] > 2)
PROGRAM
expected=$(cat <<'SEEN'
the model's loss without a hidden token: nan
steps: 20 with a loss of exactly 0: 11 least of the others above 2: True
train_loss that is told below 1.5: True
eval_loss above 2: True
SEEN
)
seen=$(env/bin/python try.py 2>/dev/null | grep -E '^(the model|steps|train_loss|eval_loss)')
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
