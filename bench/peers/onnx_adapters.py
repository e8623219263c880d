"""What onnxruntime makes of a text with each adapter of a folder in turn, all in one session: {"": logits, "NAME": logits, ...}, and without any again."""

import glob
import json
import os
import sys

import numpy as np
import onnxruntime as ort

folder, ids, file = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
options = ort.SessionOptions()
options.log_severity_level = 3
session = ort.InferenceSession(f"{folder}/onnx/{file}", options)
text = np.array([ids], np.int64)
given = {"input_ids": text, "attention_mask": np.ones_like(text), "token_type_ids": np.zeros_like(text)}
for name, shape in [(x.name, x.shape) for x in session.get_inputs() if x.name.startswith("past_key_values")]:
    given[name] = np.zeros((1, shape[1], 0, shape[3]), np.float32)
given = {x.name: given[x.name] for x in session.get_inputs()}


def logits(adapter=None):
    run = ort.RunOptions()
    if adapter is not None:
        run.add_active_adapter(adapter)
    return session.run(["logits"], given, run)[0].ravel().tolist()


found = {"": logits()}
for path in sorted(glob.glob(f"{folder}/onnx/*.onnx_adapter")):
    adapter = ort.LoraAdapter()
    adapter.Load(path)
    found[os.path.basename(path).removesuffix(".onnx_adapter")] = logits(adapter)
found["again"] = logits()
print(json.dumps(found))
