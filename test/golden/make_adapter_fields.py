"""Writes adapter_fields.json: what an AdapterConfig file of each of AdapterHub's bottleneck adapters holds by default, field by field. In the
environment of make_adapters.py.

{"adapters": version, "classes": {name: {field: default}}}
"""

import json
from importlib.metadata import version
from pathlib import Path

from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig

CLASSES = {"seq_bn": SeqBnConfig, "double_seq_bn": DoubleSeqBnConfig, "par_bn": ParBnConfig}

if __name__ == "__main__":
    classes = {name: cls().to_dict() for name, cls in CLASSES.items()}
    text = json.dumps({"adapters": version("adapters"), "classes": classes}, indent=1, sort_keys=True)
    (Path(__file__).parent / "adapter_fields.json").write_text(text + "\n")
    print({name: len(own) for name, own in classes.items()})
