"""Writes report.json: scikit-learn's classification reports and confusion matrices for random classes, some of which never occur or are
never predicted.

Keys: `cases`, each with `predicted`, `actual`, `classes`, `matrix`, `scores` (precision, recall, F1 and rows of each class, then of the plain
and of the weighted mean) and `accuracy`. Needs scikit-learn alone."""

import json
import os
import random

import sklearn
from sklearn.metrics import classification_report, confusion_matrix

random.seed(0)
cases = []
for classes, rows in [(2, 9), (2, 40), (3, 12), (5, 30), (7, 20), (4, 3)]:
    actual = [random.randrange(classes) for _ in range(rows)]
    predicted = [a if random.random() < 0.6 else random.randrange(max(1, classes - 1)) for a in actual]
    ids = list(range(classes))
    report = classification_report(actual, predicted, labels=ids, target_names=[str(i) for i in ids], output_dict=True, zero_division=0)
    lines = [report[str(i)] for i in ids] + [report["macro avg"], report["weighted avg"]]
    cases.append({
        "predicted": predicted, "actual": actual, "classes": classes,
        "matrix": confusion_matrix(actual, predicted, labels=ids).tolist(),
        "scores": [[line[key] for key in ("precision", "recall", "f1-score", "support")] for line in lines],
        "accuracy": sum(a == p for a, p in zip(actual, predicted)) / rows,
    })

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.json")
with open(path, "w") as file:
    json.dump({"versions": {"scikit-learn": sklearn.__version__}, "cases": cases}, file)
    file.write("\n")
