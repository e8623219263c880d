"""mlx-lm's own code, on the CPU: the logits of a model with an adapter.

    mlx_adapter.py BASE ADAPTER IDS [lora | dora KEYS]

With a kind, the adapter is made there before, of random numbers, as mlx_lm.lora saves one."""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model, save_config

mx.set_default_device(mx.cpu)
base, adapter, ids = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])

if len(sys.argv) > 4:
    kind, keys = sys.argv[4], json.loads(sys.argv[5])
    model, _ = load_model(base)
    model.freeze()
    settings = {"rank": 3, "scale": 2.5, "dropout": 0.0, "keys": keys}
    linear_to_lora_layers(model, 1, settings, use_dora=kind == "dora")
    mx.random.seed(0)
    made = {name: value if name.endswith(".m") else mx.random.normal(value.shape) * 0.3 for name, value in tree_flatten(model.trainable_parameters())}
    adapter.mkdir(parents=True, exist_ok=True)
    save_config({"fine_tune_type": kind, "num_layers": 1, "lora_parameters": settings, "model": str(base)}, adapter / "adapter_config.json")
    mx.save_safetensors(str(adapter / "adapters.safetensors"), made)

model, _ = load_model(base)
plain = model(mx.array([ids]))
model = load_adapters(model, str(adapter))
model.eval()
print(json.dumps({"plain": plain.flatten().tolist(), "adapted": model(mx.array([ids])).flatten().tolist()}))
