"""Split digits for bench/digits.ts: scikit-learn's digits as five tasks of two, and avalanche's EWC on them.

digits.py data FOLDER SEED ...     writes FOLDER/<seed>.safetensors: the rows of each task in their order, and the start
digits.py train FOLDER SEED LAMBDA prints the accuracy on every task after each of them, as JSON
"""

import json
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

TASKS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
HIDDEN = 100


def write_data(folder: str, seeds: list[int]) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for seed in seeds:
        random = np.random.default_rng(seed)
        tensors = {}
        for task, pair in enumerate(TASKS):
            rows = random.permutation(np.flatnonzero(np.isin(digits.target, pair)))
            cut = len(rows) // 5
            for name, part in (("test", rows[:cut]), ("train", rows[cut:])):
                tensors[f"{name}.{task}.x"] = (digits.data[part] / 16).astype(np.float32)
                tensors[f"{name}.{task}.y"] = (digits.target[part] % 2).astype(np.int32)
        torch.manual_seed(seed)
        model = network()
        tensors |= {f"start.{name}": value.detach().numpy() for name, value in model.named_parameters()}
        save_file(tensors, f"{folder}/{seed}.safetensors")


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2))


def train(folder: str, seed: int, strength: float, batch: int, epochs: int, rate: float) -> None:
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training.plugins import EWCPlugin
    from avalanche.training.supervised import Naive

    tensors = {name: torch.from_numpy(value) for name, value in load_file(f"{folder}/{seed}.safetensors").items()}
    rows = lambda part, task: (tensors[f"{part}.{task}.x"], tensors[f"{part}.{task}.y"].long())
    model = network()
    model.load_state_dict({name.removeprefix("start."): value for name, value in tensors.items() if name.startswith("start.")})
    tasks = range(len(TASKS))
    tests = [rows("test", task) for task in tasks]
    benchmark = tensors_benchmark(
        train_tensors=[rows("train", task) for task in tasks], test_tensors=tests, task_labels=[0 for _ in tasks]
    )
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=rate),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=batch,
        train_epochs=epochs,
        plugins=[EWCPlugin(strength)] if strength > 0 else [],
        evaluator=None,
    )
    accuracies = []
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=False)
        model.eval()
        with torch.no_grad():
            accuracies.append([(model(x).argmax(1) == y).float().mean().item() for x, y in tests])
    print(json.dumps(accuracies))


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(sys.argv[2], [int(seed) for seed in sys.argv[3:]])
    else:
        folder, seed, strength, batch, epochs, rate = sys.argv[2:]
        train(folder, int(seed), float(strength), int(batch), int(epochs), float(rate))
