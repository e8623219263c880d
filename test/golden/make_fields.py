"""Writes peft_fields.json: every field of PEFT's configuration classes with its default, and what a file with the defaults holds.

{"peft": version, "classes": {peft_type: {field: default}}}
"""

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path

import peft

CLASSES = {
    "LORA": peft.LoraConfig,
    "IA3": peft.IA3Config,
    "LN_TUNING": peft.LNTuningConfig,
    "PREFIX_TUNING": peft.PrefixTuningConfig,
    "PROMPT_TUNING": peft.PromptTuningConfig,
    "P_TUNING": peft.PromptEncoderConfig,
    "TRAINABLE_TOKENS": peft.TrainableTokensConfig,
}


def fields(cls):
    return {field.name: getattr(cls(), field.name) for field in dataclasses.fields(cls)}


def plain(value):
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return getattr(value, "value", value)


if __name__ == "__main__":
    classes = {name: {key: plain(value) for key, value in sorted(fields(cls).items())} for name, cls in CLASSES.items()}
    text = json.dumps({"peft": version("peft"), "classes": classes}, indent=1, sort_keys=True)
    (Path(__file__).parent / "peft_fields.json").write_text(text + "\n")
    print({name: len(own) for name, own in classes.items()})
