"""Writes merging.safetensors: what mergekit, wise-ft, model-soups and task_vectors make of the same small records.

Inputs, the same names and shapes in each record (dense [6, 5], bias [5], norm [7], one):
  base/<name>, a/<name>, b/<name>, c/<name>      weights; b's norm is nearly parallel to a's, c's bias opposite to a's
  fisher/a/<name>, fisher/b/<name>               none for norm; some below the floor
Results, from mergekit's own kernels run in float64:
  linear/<name>, weighted/<name>                 mean of a, b, c; with WEIGHTS, normalised
  slerp/<t>/<name>                               between a and b, t in SLERP
  opposite/<name>                                slerp between a and c at 0.5
  task_arithmetic/<name>                         base + lambda · Σ weight · (x − base), with SIGNED weights
  ties/<name>, ties_weighted/<name>              density 0.4; lambda 0.7 with WEIGHTS
  dare_linear/<name>, dare_ties/<name>           density 0.6, WEIGHTS; `rescale` is off and 1 / density is applied as in the
                                                 paper: mergekit keeps the sum of magnitudes instead. dare_ties normalised
  mask/<kind>/<record>/<name>                    the elements mergekit kept
and from formulas in float64 here, written from the published code of
  wise_ft/<alpha>/<name>                         wise-ft, (1 − alpha) base + alpha a
  wise_ft_fisher/<name>                          wise-ft with Fishers of a and b, alpha 0.3, floor 1e-8
  fisher/<name>                                  Matena and Raffel: Σ weight F x / Σ weight F, with the same floor
  soup/<name>                                    model-soups, uniform: the sum of x / n

mergekit needs an environment of its own; run this with a Python that has mergekit==0.1.5 and the packages of reference.py."""

from importlib.metadata import version

import torch

from reference import HERE, VERSIONS, save

from mergekit import sparsify
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import TensorBatch, TensorGroup
from mergekit.merge_methods.linear import linear_merge
from mergekit.merge_methods.slerp import slerp

SHAPES = {"dense": (6, 5), "bias": (5,), "norm": (7,), "one": (1,)}
WEIGHTS = {"a": 0.7, "b": 0.4, "c": 1.3}
SIGNED = {"a": 1.0, "b": 0.5, "c": -1.0}
SLERP = (0.0, 0.25, 0.5, 0.9, 1.0)
ALPHAS = (0.0, 0.1, 0.5, 1.0)
FLOOR = 1e-8
FISHERS = {"a": 0.6, "b": 0.4}  # and their weights


def records() -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def noise(std):
        return {name: (std * torch.randn(shape, generator=generator)).double() for name, shape in SHAPES.items()}

    base = noise(0.5)
    made = {"base": base, **{name: {key: base[key] + delta for key, delta in noise(0.2).items()} for name in "abc"}}
    made["b"]["norm"] = made["a"]["norm"] * 1.5 + 0.001
    made["c"]["bias"] = -made["a"]["bias"]
    return {name: {key: tensor.float().double() for key, tensor in record.items()} for name, record in made.items()}


def fishers() -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    made = {
        name: {key: 1e-7 * torch.randn(shape, generator=generator).float().square() for key, shape in SHAPES.items() if key != "norm"}
        for name in FISHERS
    }
    for fisher in made.values():
        fisher["dense"][0] = 1e-12
    return made


def generalized(method, base, members, weights, *, density=1.0, normalize, scale=1.0):
    group = TensorGroup.from_tensors([base, *members.values()], ids=["base", *members], base_index=0)
    return registry.get(method).merge_group(
        group,
        weight=weights,
        density={name: density for name in members},
        normalize=normalize,
        rescale=False,
        int8_mask=False,
        **{"lambda": scale},
    )


def mean(tensors, weights, normalize=True):
    batch = TensorBatch(tuple(tensor[None] for tensor in tensors))
    return linear_merge.implementation(batch, torch.tensor([weights], dtype=torch.float64), normalize)[0]


def main():
    made, fisher = records(), fishers()
    base, members = made["base"], {name: made[name] for name in "abc"}
    out = {f"{record}/{key}": tensor for record, tensors in made.items() for key, tensor in tensors.items()}
    out |= {f"fisher/{record}/{key}": tensor for record, tensors in fisher.items() for key, tensor in tensors.items()}
    for key in SHAPES:
        here = {name: member[key] for name, member in members.items()}
        a, b, c = here.values()
        out[f"linear/{key}"] = mean(here.values(), [1.0, 1.0, 1.0])
        out[f"weighted/{key}"] = mean(here.values(), list(WEIGHTS.values()))
        for t in SLERP:
            out[f"slerp/{t}/{key}"] = slerp(torch.tensor([t]), a[None], b[None])[0]
        out[f"opposite/{key}"] = slerp(torch.tensor([0.5]), a[None], c[None])[0]
        out[f"task_arithmetic/{key}"] = generalized("task_arithmetic", base[key], here, SIGNED, normalize=False, scale=0.8)
        ones = {name: 1.0 for name in here}
        out[f"ties/{key}"] = generalized("ties", base[key], here, ones, density=0.4, normalize=True)
        out[f"ties_weighted/{key}"] = generalized("ties", base[key], here, WEIGHTS, density=0.4, normalize=True, scale=0.7)
        for kind in ("dare_linear", "dare_ties"):
            out |= dare(kind, key, base[key], here)
        for alpha in ALPHAS:
            out[f"wise_ft/{alpha}/{key}"] = (1 - alpha) * base[key] + alpha * a
        ones = torch.ones_like(a)
        f = {name: fisher[name].get(key, ones).clamp(min=FLOOR).double() for name in FISHERS}
        down, up = 0.7 * f["a"], 0.3 * f["b"]
        out[f"wise_ft_fisher/{key}"] = (down * a + up * b) / (down + up)
        shares = {name: weight * f[name] for name, weight in FISHERS.items()}
        out[f"fisher/{key}"] = sum(shares[name] * here[name] for name in shares) / sum(shares.values())
        out[f"soup/{key}"] = sum(tensor * (1 / 3) for tensor in here.values())
    VERSIONS["mergekit"] = version("mergekit")
    save(HERE / "merging.safetensors", out)


def dare(kind, key, base, here, density=0.6):
    masks = []
    drawn = sparsify.torch.bernoulli
    generator = torch.Generator().manual_seed(sum(map(ord, kind + key)))

    def remember(probabilities):
        masks.append(drawn(probabilities, generator=generator))
        return masks[-1]

    sparsify.torch.bernoulli = remember
    try:
        plain = generalized(kind, base, here, WEIGHTS, density=density, normalize=kind == "dare_ties")
    finally:
        sparsify.torch.bernoulli = drawn
    named = {f"mask/{kind}/{name}/{key}": mask.int() for name, mask in zip(here, masks, strict=True)}
    return {f"{kind}/{key}": base + (plain - base) / density, **named}


main()
