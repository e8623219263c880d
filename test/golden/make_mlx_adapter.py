"""Writes mlx/adapter/: a DoRA of llama/causal_lm that mlx-lm made, and logits.json, what mlx-lm gives with it for the tokens beside them.

Run with a Python that has mlx-lm (node bench/peers/setup.mjs mlx)."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
IDS = [3, 1, 7, 5, 12]
script = HERE.parent.parent / "bench" / "peers" / "mlx_adapter.py"
folder = HERE / "mlx" / "adapter"
made = subprocess.check_output([sys.executable, script, HERE / "llama" / "causal_lm", folder, json.dumps(IDS), "dora", '["self_attn.q_proj", "mlp.down_proj"]'])
config = json.loads((folder / "adapter_config.json").read_text()) | {"model": "llama"}
(folder / "adapter_config.json").write_text(json.dumps(config, indent=4) + "\n")
(folder / "logits.json").write_text(json.dumps({"ids": IDS} | json.loads(made)) + "\n")
