"""Writes ops.safetensors: single operations and their gradients, computed in float64 from inputs that float32 holds
exactly, then rounded. So these are the true values to half a unit in the last place, and any distance is the tested code's.
Every case holds its inputs, the upstream gradient `dy`, the output `y` and `d<input>`, the gradient of sum(y · dy):

  activation/<gelu|gelu_tanh|silu|relu>/x, dy, y, dx [4, 13]          from -10 to 10; relu's gradient at 0 is 0
  activation/<name in transformers>/x, dy, y, dx [4, 13]              the rare ones
  layer_norm/<case>/x, gamma, beta, dy, y, dx, dgamma, dbeta          metadata `layer_norm`: eps of each case
  attention/<case>/q [B, H, T, D], k, v [B, Hkv, S, D], mask [B, S], dy, y, dq, dk, dv
      softmax(q kᵀ / √D + bias) v; the bias removes keys whose mask is 0, and in `causal` cases keys after the query
      (T = S there). Query head h reads key/value head floor(h / (H / Hkv)).
  attention/<t5|gemma2|gpt_oss>/q, k, v [B, H, T, D], bias [1, H, T, S], sinks [H], mask [B, S], dy, y and the gradients
      as these models attend, causal and padded; metadata `attention`: scale and cap of each case
  cross_entropy/<case>/logits, labels, loss, dlogits                  mean over rows; see training.safetensors for options"""

import torch
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.models.gemma2 import modeling_gemma2
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.t5 import modeling_t5

from reference import HERE, save

generator = torch.Generator().manual_seed(41)


def randn(*shape):
    return torch.randn(shape, generator=generator)


def differentiate(function, **inputs):
    """The record of one case: inputs, dy, y and the gradients."""
    exact = {name: value.double().requires_grad_() for name, value in inputs.items()}
    y = function(*exact.values())
    dy = randn(*y.shape)
    gradients = torch.autograd.grad(y, list(exact.values()), dy.double())
    return {**inputs, "dy": dy, "y": y, **{f"d{name}": g for name, g in zip(exact, gradients)}}


def activations():
    functions = {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "relu": F.relu,
    }
    special = torch.tensor([-10.0, -5, -3, -1, -1e-4, 0, 1e-4, 0.5, 1, 3, 5, 10])
    for name, function in functions.items():
        x = 2 * randn(4, 13)
        x[0, :12] = special
        yield f"activation/{name}", differentiate(function, x=x)


RARE = ["gelu_10", "gelu_accurate", "gelu_fast", "gelu_python", "gelu_python_tanh", "leaky_relu", "mish", "quick_gelu", "relu2", "sigmoid", "tanh"]


def rare_activations():
    for name in RARE:
        x = 2 * randn(4, 13)
        x[0, :13] = torch.tensor([-10.0, -5, -3, -1, -1e-4, 0, 1e-4, 0.5, 1, 3, 5, 9.5, 11.5 if name == "gelu_10" else 10])
        yield f"activation/{name}", differentiate(ACT2FN[name], x=x)


LAYER_NORMS = {
    "width_7": dict(shape=(5, 7), eps=1e-12),
    "width_33": dict(shape=(2, 3, 33), eps=1e-12),
    "width_768": dict(shape=(2, 768), eps=1e-5),
    "eps_1e-5": dict(shape=(5, 7), eps=1e-5, scale=0.01),  # eps is a tenth of the variance here
    "offset": dict(shape=(4, 20), eps=1e-12, mean=100.0),  # E[x²] - E[x]² loses four digits here
}


def layer_norms():
    for name, case in LAYER_NORMS.items():
        width = case["shape"][-1]
        yield f"layer_norm/{name}", differentiate(
            lambda x, gamma, beta: F.layer_norm(x, (width,), gamma, beta, case["eps"]),
            x=randn(*case["shape"]) * case.get("scale", 1.0) + case.get("mean", 0.0),
            gamma=1 + 0.5 * randn(width),
            beta=randn(width),
        )


def attentions():
    for name, (heads, kv_heads, queries, keys, causal) in {
        "full": (4, 4, 7, 7, False),
        "padded": (4, 4, 7, 7, False),
        "causal": (2, 2, 6, 6, True),
        "grouped_padded": (6, 2, 5, 5, False),
        "grouped_causal_padded": (4, 1, 6, 6, True),
        "cross": (3, 3, 4, 9, False),
    }.items():
        mask = torch.ones(3, keys)
        if "padded" in name or name == "cross":
            mask[1, keys - 3 :] = 0  # right
            if not causal:  # left padding and a causal mask together leave the first queries nothing to read
                mask[2, :2] = 0
        allowed = mask[:, None, None, :].bool()
        if causal:
            allowed = allowed & torch.ones(queries, keys).tril().bool()

        def attend(q, k, v):
            groups = heads // kv_heads
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v

        record = differentiate(
            attend, q=2 * randn(3, heads, queries, 8), k=2 * randn(3, kv_heads, keys, 8), v=randn(3, kv_heads, keys, 8)
        )
        yield f"attention/{name}", {**record, "mask": mask.int()}


FAMILIES = {
    "t5": (modeling_t5, dict(scale=1.0), 4),
    "gemma2": (modeling_gemma2, dict(scale=0.3, cap=2.5), 2),
    "gpt_oss": (modeling_gpt_oss, dict(scale=0.35), 2),
}


def family_attentions():
    """Differentiates the formula in float64; the family's own function, which rounds on its way, has to agree."""
    heads, tokens = 4, 6
    for name, (module, settings, kv_heads) in FAMILIES.items():
        mask = torch.ones(3, tokens)
        mask[1, 4:] = 0
        allowed = mask[:, None, None, :].bool() & torch.ones(tokens, tokens).tril().bool()
        hidden = torch.zeros(allowed.shape, dtype=torch.float64).masked_fill(~allowed, -1e30)

        def attend(q, k, v, extra=None):
            groups = heads // kv_heads
            scores = settings["scale"] * (q @ k.repeat_interleave(groups, 1).transpose(-1, -2))
            if "cap" in settings:
                scores = settings["cap"] * torch.tanh(scores / settings["cap"])
            scores = scores + hidden + (extra if name == "t5" else 0)
            if name == "gpt_oss":
                scores = torch.cat([scores, extra.reshape(1, -1, 1, 1).expand(3, -1, tokens, -1)], -1)
            return scores.softmax(-1)[..., :tokens] @ v.repeat_interleave(groups, 1)

        record = differentiate(
            attend, q=2 * randn(3, heads, tokens, 8), k=2 * randn(3, kv_heads, tokens, 8), v=randn(3, kv_heads, tokens, 8),
            **({"bias": randn(1, heads, tokens, tokens)} if name == "t5" else {}),
            **({"sinks": randn(heads)} if name == "gpt_oss" else {}),
        )
        layer = torch.nn.Module()
        layer.num_key_value_groups, layer.sinks = heads // kv_heads, record["sinks"].double() if "sinks" in record else None
        theirs, _ = module.eager_attention_forward(
            layer, *(record[x].double() for x in "qkv"), hidden, scaling=settings["scale"],
            **({"position_bias": record["bias"].double()} if name == "t5" else {}),
            **({"softcap": settings["cap"]} if "cap" in settings else {}),
        )
        assert torch.allclose(theirs.transpose(1, 2), record["y"], rtol=0, atol=1e-6), name
        yield f"attention/{name}", {**record, "mask": mask.int()}


def cross_entropies():
    for name, (rows, classes, size) in {"two": (5, 2, 1), "many": (6, 37, 3), "confident": (4, 5, 50)}.items():
        logits, labels = size * randn(rows, classes), torch.randint(0, classes, (rows,), generator=generator)
        exact = logits.double().requires_grad_()
        loss = F.cross_entropy(exact, labels)
        loss.backward()
        yield f"cross_entropy/{name}", {"logits": logits, "labels": labels, "loss": loss, "dlogits": exact.grad}


if __name__ == "__main__":
    records = [*activations(), *layer_norms(), *attentions(), *cross_entropies(), *rare_activations(), *family_attentions()]
    tensors = {f"{case}/{name}": value for case, record in records for name, value in record.items()}
    assert all(value.isfinite().all() for value in tensors.values())
    save(HERE / "ops.safetensors", tensors, layer_norm={name: {"eps": case["eps"]} for name, case in LAYER_NORMS.items()},
         attention={name: settings for name, (_, settings, _) in FAMILIES.items()})
