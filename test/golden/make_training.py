"""Writes training.safetensors and schedules.json: what torch and transformers do around the model (float32 unless said).

training.safetensors:
  adamw/<run>/<parameter>/initial, grads [10, …], steps [10, …], exp_avg, exp_avg_sq
      Ten torch.optim.AdamW steps on given gradients: the parameter after each, the moments after the last. The metadata
      entry `adamw` gives each run's groups: {parameters, lr, weight_decay, betas, eps}. Gradients hold zeros and sizes from
      1e-4 to 1e4; step 5 of every parameter is all zero.
  clip/<case>/before<i>, after<i>, norm, max_norm
      torch.nn.utils.clip_grad_norm_; it scales by min(1, max_norm / (norm + 1e-6)).
  cross_entropy/<case>/logits, labels, class_weights (some), loss, grad
      torch.nn.functional.cross_entropy in float64, mean over the labels that are not -100 (with class weights: the
      weighted mean). The metadata entry `cross_entropy` gives each case's label_smoothing.

schedules.json: {versions, schedules: [{name, options, multipliers}]}: factor on the learning rate at steps 0, 1, … until
a few after the last; transformers' own function and option names (`lr` is the initial rate, where it matters)."""

import json

import torch
from transformers import optimization

from reference import HERE, VERSIONS, save

generator = torch.Generator().manual_seed(31)


def randn(*shape):
    return torch.randn(shape, generator=generator)


def adamw():
    runs = {
        "defaults": [dict(parameters=["w", "b"], lr=1e-3, weight_decay=0.01, betas=[0.9, 0.999], eps=1e-8)],
        "two_groups": [
            dict(parameters=["w"], lr=1e-2, weight_decay=0.1, betas=[0.9, 0.999], eps=1e-8),
            dict(parameters=["b", "s"], lr=3e-4, weight_decay=0.0, betas=[0.8, 0.95], eps=1e-6),
        ],
    }
    shapes = {"w": (3, 4), "b": (5,), "s": (1,)}
    tensors = {}
    for run, groups in runs.items():
        weights = {name: torch.nn.Parameter(randn(*shapes[name])) for group in groups for name in group["parameters"]}
        optimizer = torch.optim.AdamW(
            [{**group, "params": [weights[name] for name in group["parameters"]]} for group in groups]
        )
        initial = {name: weight.detach().clone() for name, weight in weights.items()}
        grads = {}
        for name, weight in weights.items():
            sizes = 10.0 ** torch.randint(-4, 5, (10,) + (1,) * weight.dim(), generator=generator)
            grads[name] = randn(10, *weight.shape) * sizes
            grads[name][5] = 0
            grads[name].view(10, -1)[:, 0] = 0  # an element that never gets a gradient: only decay moves it
        steps = {name: [] for name in weights}
        for step in range(10):
            for name, weight in weights.items():
                weight.grad = grads[name][step].clone()
            optimizer.step()
            for name, weight in weights.items():
                steps[name].append(weight.detach().clone())
        for name, weight in weights.items():
            state = optimizer.state[weight]
            tensors |= {
                f"adamw/{run}/{name}/{what}": value
                for what, value in {
                    "initial": initial[name],
                    "grads": grads[name],
                    "steps": torch.stack(steps[name]),
                    "exp_avg": state["exp_avg"],
                    "exp_avg_sq": state["exp_avg_sq"],
                }.items()
            }
    return tensors, runs


def clipping():
    tensors = {}
    for case, size, max_norm in [("clipped", 1.0, 1.0), ("below", 0.01, 1.0), ("tiny", 1e-6, 1e-7), ("huge", 1e15, 5.0)]:
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in [(3, 4), (7,), (2, 2, 2)]]
        for i, parameter in enumerate(parameters):
            parameter.grad = randn(*parameter.shape) * size
            tensors[f"clip/{case}/before{i}"] = parameter.grad.clone()
        tensors[f"clip/{case}/norm"] = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        tensors[f"clip/{case}/max_norm"] = torch.tensor(max_norm)
        for i, parameter in enumerate(parameters):
            tensors[f"clip/{case}/after{i}"] = parameter.grad
    return tensors


def cross_entropy():
    tensors, options = {}, {}
    weights = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5])
    for case, shape, ignored, smoothing, weighted, size in [
        ("plain", (8,), False, 0.0, False, 2),
        ("ignored", (8,), True, 0.0, False, 2),
        ("smoothed", (8,), False, 0.1, False, 2),
        ("smoothed_ignored", (8,), True, 0.1, False, 2),
        ("weighted", (8,), False, 0.0, True, 2),
        ("weighted_smoothed_ignored", (8,), True, 0.2, True, 2),
        ("tokens", (3, 6), True, 0.0, False, 2),  # logits [batch, time, classes], labels [batch, time]
        ("large", (8,), False, 0.0, False, 1000),  # overflows where the maximum is not subtracted
    ]:
        logits = (randn(*shape, 5) * size).requires_grad_()
        labels = torch.randint(0, 5, shape, generator=generator)
        if ignored:
            labels.view(-1)[1::3] = -100
        loss = torch.nn.functional.cross_entropy(
            logits.double().reshape(-1, 5),
            labels.reshape(-1),
            weight=weights.double() if weighted else None,
            label_smoothing=smoothing,
        )
        loss.backward()
        name = f"cross_entropy/{case}"
        tensors |= {f"{name}/logits": logits, f"{name}/labels": labels, f"{name}/loss": loss, f"{name}/grad": logits.grad}
        if weighted:
            tensors[f"{name}/class_weights"] = weights
        options[case] = {"label_smoothing": smoothing}
    return tensors, options


def schedules():
    warm, cold = dict(num_warmup_steps=4, num_training_steps=20), dict(num_warmup_steps=0, num_training_steps=7)
    wsd = dict(num_warmup_steps=4, num_stable_steps=6, num_decay_steps=8)
    found = []
    for name, options in [
        ("get_constant_schedule_with_warmup", dict(num_warmup_steps=5)),
        ("get_linear_schedule_with_warmup", warm),
        ("get_linear_schedule_with_warmup", cold),
        ("get_linear_schedule_with_warmup", dict(num_warmup_steps=6, num_training_steps=6)),
        ("get_cosine_schedule_with_warmup", warm),
        ("get_cosine_schedule_with_warmup", {**cold, "num_cycles": 1.5}),
        ("get_cosine_with_hard_restarts_schedule_with_warmup", {**warm, "num_cycles": 1}),
        ("get_cosine_with_hard_restarts_schedule_with_warmup", {**warm, "num_cycles": 3}),
        ("get_polynomial_decay_schedule_with_warmup", warm),
        ("get_polynomial_decay_schedule_with_warmup", {**warm, "lr_end": 1e-4, "power": 2.0}),
        ("get_inverse_sqrt_schedule", dict(num_warmup_steps=4)),
        ("get_inverse_sqrt_schedule", dict(num_warmup_steps=3, timescale=10)),
        ("get_cosine_with_min_lr_schedule_with_warmup", {**warm, "min_lr_rate": 0.1}),
        ("get_wsd_schedule", wsd),
        ("get_wsd_schedule", {**wsd, "min_lr_ratio": 0.1, "decay_type": "linear"}),
        ("get_wsd_schedule", {**wsd, "warmup_type": "cosine", "decay_type": "1-sqrt"}),
    ]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
        factor = getattr(optimization, name)(optimizer, **options).lr_lambdas[0]
        last = options.get("num_training_steps", 20)
        found.append({"name": name, "options": {"lr": 0.01, **options}, "multipliers": [factor(s) for s in range(last + 3)]})
    return found


if __name__ == "__main__":
    adamw_tensors, runs = adamw()
    entropy_tensors, entropy_options = cross_entropy()
    tensors = {**adamw_tensors, **clipping(), **entropy_tensors}
    save(HERE / "training.safetensors", tensors, adamw=runs, cross_entropy=entropy_options)
    text = json.dumps({"versions": VERSIONS, "schedules": schedules()}, indent=1)
    (HERE / "schedules.json").write_text(text + "\n")
