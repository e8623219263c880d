"""Encodes texts with Python's tokenizers, to show that a tokenizer.json made here is read alike there.

    check_tokenizer.py --tokenizer FILE --texts FILE

The texts are a JSON list; prints a JSON list of their ids."""

import argparse
import json

from tokenizers import Tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--tokenizer", required=True)
parser.add_argument("--texts", required=True)
args = parser.parse_args()
tokenizer = Tokenizer.from_file(args.tokenizer)
with open(args.texts, encoding="utf-8") as file:
    texts = json.load(file)
print(json.dumps([encoding.ids for encoding in tokenizer.encode_batch(texts)]))
