"""Writes prefix/<case>/ by HF PEFT's prefix-tuning; prompt_learning.py says what is in it.

PEFT refuses a prefix on BERT with transformers 5, which gives its encoder no past keys and values. This needs an
environment of its own: transformers==4.57.6 and the rest of bench/peers/requirements.txt, as make_adapters.py has it."""

from peft import PrefixTuningConfig

from prompt_learning import enter, make
from reference import HERE

CASES = {
    "direct": PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
    "tokens": PrefixTuningConfig(task_type="TOKEN_CLS", num_virtual_tokens=3),
    "projected": PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=10),
}

if __name__ == "__main__":
    enter()
    for seed, (case, config) in enumerate(CASES.items(), start=64):
        make(HERE / "prefix" / case, config, seed)
