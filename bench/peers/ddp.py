"""Times torch's DistributedDataParallel over gloo with HF PEFT, on random token ids: called by bench/workers.ts.

    ddp.py WORKERS '{"model": DIR, "method": "LoRA", "batch": 8, "length": 128, "steps": 8, "warmup": 2}'

Prints one line of JSON, a `WorkersMeasured` of bench/workers-run.ts."""

import json
import os
import socket
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers.utils import logging


def work(rank, count, port, run):
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=count)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(run["model"], num_labels=2)
    if run["method"] == "LoRA":
        import peft

        model = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0))
    model.train()
    wrapped = torch.nn.parallel.DistributedDataParallel(model) if count > 1 else model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-4)
    ids = torch.randint(1000, 21000, (run["batch"], run["length"]))
    labels = torch.arange(run["batch"]) % 2
    times, used = [], []
    for step in range(run["steps"] + run["warmup"]):
        start, before = time.perf_counter(), time.process_time()  # of all threads
        wrapped(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= run["warmup"]:
            times.append(1000 * (time.perf_counter() - start))
            used.append(1000 * (time.process_time() - before))
    if rank == 0:
        print(json.dumps({"times_ms": times, "cpu_ms": used}), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    count = int(sys.argv[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(work, args=(count, port, json.loads(sys.argv[2])), nprocs=count)
