"""Times the peers' training step on random token ids: called by bench/step.ts, with a `Run` of bench/step-run.ts.

    step.py '{"model": DIR, "task": "causal-lm", "method": "LoRA", "dtype": "float32", "batch": 8, "length": 128,
              "measure": "step", "steps": 5, "warmup": 2, "compile": false, "recompute": false, "products": []}'

The peer is HF PEFT; for bottlenecks, which it does not have, AdapterHub's adapters. AdamW; a two-class head is trained
too. Prints one line of JSON, a `Measured` of bench/step-run.ts."""

import json
import os
import resource
import statistics
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()


def process_age():
    """Seconds since this process was started, imports included."""
    ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
    uptime = float(open("/proc/uptime").read().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def adapted(run):
    """The frozen model with what is trained, and the versions of what made it."""
    dtype = getattr(torch, run["dtype"], torch.bfloat16)
    if run["dtype"] == "nf4":
        four = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(run["model"], dtype=dtype, quantization_config=four, device_map="cpu")
    elif run["task"] == "causal-lm":
        model = transformers.AutoModelForCausalLM.from_pretrained(run["model"], dtype=dtype)
    elif run["task"] == "masked-lm":
        model = transformers.AutoModelForMaskedLM.from_pretrained(run["model"], dtype=dtype)
    elif run["task"] == "seq2seq-lm":
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(run["model"], dtype=dtype)
    elif run["task"] == "image-classification":
        model = transformers.AutoModelForImageClassification.from_pretrained(run["model"], num_labels=2, dtype=dtype)
    elif run["task"] == "image-text":
        model = transformers.AutoModel.from_pretrained(run["model"], dtype=dtype)
    else:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(run["model"], num_labels=2, dtype=dtype)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    if run["method"] == "bottleneck":
        import adapters

        adapters.init(model)
        model.add_adapter("bench", config="seq_bn")
        model.train_adapter("bench")
        return model, {**versions, "adapters": adapters.__version__}
    import peft

    if run["recompute"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return peft.get_peft_model(model, config_of(peft, run, model.config.model_type)), {**versions, "peft": peft.__version__}


def config_of(peft, run, kind):
    task = {} if "pixels" in run else {"task_type": {"causal-lm": "CAUSAL_LM", "seq2seq-lm": "SEQ_2_SEQ_LM", "masked-lm": None}.get(run["task"], "SEQ_CLS")}
    low_rank = {**task, "r": 8, "lora_alpha": 16, "lora_dropout": 0.0}  # on the model's default modules
    if kind == "vit":  # for which PEFT has none, nor for CLIP
        low_rank = {**low_rank, "target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    if kind == "clip":
        low_rank = {**low_rank, "target_modules": ["q_proj", "v_proj"]}
    if kind == "modernbert":  # for which PEFT has none; its whole head is new
        low_rank = {**low_rank, "target_modules": ["Wqkv"], "modules_to_save": ["head", "classifier"]}
    ffn = r".*layer\.\d+\.output\.dense"  # the default also takes attention's output product
    return {
        "LoRA": lambda: peft.LoraConfig(**low_rank),
        "LoRA, experts too": lambda: peft.LoraConfig(
            **low_rank, target_modules=["q_proj", "v_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"]
        ),
        "DoRA": lambda: peft.LoraConfig(**low_rank, use_dora=True),
        "(IA)³": lambda: peft.IA3Config(**task, target_modules=rf".*(key|value)|{ffn}", feedforward_modules=ffn),
        "prefix": lambda: peft.PrefixTuningConfig(**task, num_virtual_tokens=20),
        "prompt": lambda: peft.PromptTuningConfig(**task, num_virtual_tokens=20),
    }[run["method"]]()


def floor_of(run):
    """Milliseconds of the step's matrix products by themselves, in the model's type; in bfloat16 where its weights are quantised."""
    dtype = getattr(torch, run["dtype"], torch.bfloat16)
    total = 0
    for product in run["products"]:
        a, b = (torch.rand(product[side], dtype=dtype) for side in ("a", "b"))
        b = b.transpose(-1, -2) if product["transposed"] else b
        total += product["count"] * statistics.median([timed(lambda: torch.matmul(a, b)) for _ in range(9)][2:])
    return total


def labels_of(run, ids):
    if run["task"] not in ("causal-lm", "masked-lm"):
        return torch.arange(run["batch"]) % 2
    if "labelled" not in run:
        return ids
    share, places = run["labelled"], torch.arange(run["length"])
    if run["task"] == "causal-lm":
        labelled = places >= (1 - share) * run["length"]
    else:
        labelled = torch.floor((places + 1) * share) > torch.floor(places * share)
    return torch.where(labelled, ids, -100)


def timed(work):
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def main():
    run = json.loads(sys.argv[1])
    torch.manual_seed(0)
    model, versions = adapted(run)
    model.train(run["measure"] != "forward")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    if "pixels" in run:
        inputs = {"pixel_values": torch.randn(run["batch"], 3, run["pixels"], run["pixels"], dtype=model.dtype)}
        labels = torch.arange(run["batch"]) % 2
    else:
        ids = torch.randint(0, 30000, (run["batch"], run["length"]))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "targets" in run:
        labels = torch.randint(0, 30000, (run["batch"], run["targets"]))
    elif "pixels" not in run:
        labels = labels_of(run, ids)
    call = torch.compile(model) if run["compile"] else model

    def step():
        loss = call(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    def forward():
        with torch.no_grad():
            model.get_image_features(**inputs) if run["task"] == "image-text" else call(**inputs).logits

    result = {"times_ms": []}
    if run["measure"] == "start":
        forward()
        result["first_logits_s"] = process_age()
        step()
        result["first_step_s"] = process_age()
    else:
        work = forward if run["measure"] == "forward" else step
        result["times_ms"] = [timed(work) for _ in range(run["warmup"] + run["steps"])][run["warmup"] :]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    if run.get("products"):
        result["floor_ms"] = floor_of(run)
    print(json.dumps({**result, "peak_rss_mb": peak, "versions": versions}))


if __name__ == "__main__":
    main()
