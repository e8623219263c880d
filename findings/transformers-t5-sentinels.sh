#!/usr/bin/env bash
# transformers 5.24.0, sentencepiece 0.2.1: a T5Tokenizer's sentinels, `<extra_id_0>` and on, which stand for the spans that T5's pretraining takes out,
# - are numbered downward from the last id where the tokenizer is read from a spiece.model, as T5's checkpoints have them (32099 is the first), and
#   upward from the first id behind the vocabulary where it is made of the same pieces by `T5Tokenizer(vocab=...)`: with the rows of a checkpoint
#   each sentinel is then another one;
# - cannot be asked for: `get_sentinel_tokens` and `get_sentinel_token_ids`, which T5's tokenizer has for this, raise an AttributeError, as they look for
#   `additional_special_tokens`, which tokenizers of this version no longer have.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet transformers==5.24.0 sentencepiece==0.2.1 protobuf
cat > try.py <<'PROGRAM'
import json
import os
import shutil

import sentencepiece
from transformers import AutoTokenizer, T5Tokenizer

lines = [f"a small text of words number {i} and of lines" for i in range(200)]
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_prefix="spiece", vocab_size=50, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2)
model = sentencepiece.SentencePieceProcessor(model_file="spiece.model")
pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
os.mkdir("folder")
shutil.copy("spiece.model", "folder")
with open("folder/tokenizer_config.json", "w") as file:
    json.dump({"tokenizer_class": "T5Tokenizer", "extra_ids": 100}, file)
with open("folder/config.json", "w") as file:
    json.dump({"model_type": "t5"}, file)

for name, tokenizer in [("read from spiece.model", AutoTokenizer.from_pretrained("folder")), ("made of its pieces", T5Tokenizer(vocab=pieces))]:
    ids = [tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") - len(pieces) for i in (0, 1, 99)]
    print(f"{name}: {len(tokenizer) - len(pieces)} tokens behind the pieces; sentinels 0, 1, 99 are of them", *ids)
    for asked in ("get_sentinel_tokens", "get_sentinel_token_ids"):
        try:
            print(f"{name}, {asked}:", len(getattr(tokenizer, asked)()))
        except Exception as error:
            print(f"{name}, {asked}: {type(error).__name__}: {error}")
PROGRAM
expected=$(cat <<'SEEN'
read from spiece.model: 100 tokens behind the pieces; sentinels 0, 1, 99 are of them 99 98 0
read from spiece.model, get_sentinel_tokens: AttributeError: T5Tokenizer has no attribute additional_special_tokens
read from spiece.model, get_sentinel_token_ids: AttributeError: T5Tokenizer has no attribute additional_special_tokens
made of its pieces: 100 tokens behind the pieces; sentinels 0, 1, 99 are of them 0 1 99
made of its pieces, get_sentinel_tokens: AttributeError: T5Tokenizer has no attribute additional_special_tokens
made of its pieces, get_sentinel_token_ids: AttributeError: T5Tokenizer has no attribute additional_special_tokens
SEEN
)
seen=$(env/bin/python try.py 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
