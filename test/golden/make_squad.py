"""Writes squad.json: SQuAD's exact match and F1 of answers beside the right ones, as transformers 4.57.6 computes them.

Keys: `cases`, each with `said`, `right` (several, of which the best counts), `exact` and `f1`. In the environment of make_adapters.py."""

import json
import os
import random

import transformers
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1, normalize_answer

random.seed(0)
words = ["The", "a", "an", "cat", "Cat's", "cats", "théa", "a\u0301", "über", "_a_", "a-b", "the.", "«the»", "U.S.A.", "1,000", "$5", "naïve", "", " ", "an\tan", "漢字", "then"]
pick = lambda: " ".join(random.choice(words) for _ in range(random.randrange(6)))
pairs = [(pick(), [pick() for _ in range(random.randrange(1, 4))]) for _ in range(120)]
pairs += [("the visitors", ["Visitors!"]), ("", [""]), ("the", [""]), ("x", [""]), ("", ["x"]), ("in 1999, in Rome", ["Rome in 1999", "1999"])]
cases = []
for said, right in pairs:
    golds = [text for text in right if normalize_answer(text)] or [""]
    cases.append({"said": said, "right": right, "exact": max(compute_exact(gold, said) for gold in golds), "f1": max(compute_f1(gold, said) for gold in golds)})

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "squad.json")
with open(path, "w") as file:
    json.dump({"versions": {"transformers": transformers.__version__}, "cases": cases}, file, ensure_ascii=False)
    file.write("\n")
