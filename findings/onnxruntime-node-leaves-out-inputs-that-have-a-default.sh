#!/usr/bin/env bash
# onnxruntime-node 1.30.0: an input of a graph that has a default (an initializer of its name), as LoRA's matrices have in onnxruntime's multi-LoRA
# layout, is left out of a run without a word when it is given: the result is that of the default. onnxruntime for Python takes it: here 3 and 5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet onnx==1.20.1 onnxruntime==1.30.0 numpy==2.4.6
cat > write.py <<'PROGRAM'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xyz"]
default = numpy_helper.from_array(np.array([2], np.float32), "y")
graph = helper.make_graph([helper.make_node("Add", ["x", "y"], ["z"])], "g", values[:2], values[2:], [default])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "m.onnx")
session = onnxruntime.InferenceSession("m.onnx")
one, four = np.array([1], np.float32), np.array([4], np.float32)
print("Python", *session.run(None, {"x": one})[0], *session.run(None, {"x": one, "y": four})[0])
PROGRAM
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . onnxruntime-node@1.30.0 >/dev/null
cat > run.cjs <<'PROGRAM'
const ort = require('onnxruntime-node')
const of = (value) => new ort.Tensor('float32', Float32Array.of(value), [1])
ort.InferenceSession.create('m.onnx', { logSeverityLevel: 3 }).then(async (session) => {
  console.log('Node', (await session.run({ x: of(1) })).z.data[0], (await session.run({ x: of(1), y: of(4) })).z.data[0])
})
PROGRAM
expected=$(cat <<'SEEN'
Python 3.0 5.0
Node 3 3
SEEN
)
seen=$(env/bin/python write.py 2>/dev/null && node run.cjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
