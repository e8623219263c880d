"""Writes recurrence.safetensors, as make_ops.py writes ops.safetensors: the pieces of a gated DeltaNet with their gradients in float64.

  delta/<case>/q, k [B, T, Hk, D], v [B, T, H, E], decay, rate [B, T, H, 1], dy, y and the gradients: token by token, and held against
      transformers' way in chunks; `alike` has equal keys that replace what the memory holds, of which powers would grow without end
  convolution/x [B, T, C], weight [C, 1, K], before [B, K - 1, C], dy, y, dx, dweight
  decay/x [N, H], log, bias [H], dy, y, dx, dlog, dbias"""

import torch
from torch.nn import functional as F
from transformers.models.qwen3_5.modeling_qwen3_5 import torch_chunk_gated_delta_rule

from make_ops import differentiate, randn
from reference import HERE, save


def by_token(q, k, v, decay, rate):
    shared = v.shape[2] // k.shape[2]
    q, k = (x.repeat_interleave(shared, 2) for x in (q, k))
    q, k = (x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt() for x in (q, k))
    memory = v.new_zeros(v.shape[0], v.shape[2], k.shape[3], v.shape[3])
    outputs = []
    for t in range(v.shape[1]):
        memory = memory * decay[:, t, :, :, None].exp()
        known = torch.einsum("bhde,bhd->bhe", memory, k[:, t])
        memory = memory + torch.einsum("bhd,bhe->bhde", k[:, t], rate[:, t] * (v[:, t] - known))
        outputs.append(torch.einsum("bhde,bhd->bhe", memory, q[:, t]) * q.shape[-1] ** -0.5)
    return torch.stack(outputs, 1)


def deltas():
    for name, (rows, tokens, key_heads, heads, alike) in {"one": (2, 1, 1, 2, False), "few": (2, 7, 2, 2, False), "chunks": (1, 135, 1, 2, False), "alike": (1, 70, 1, 1, True)}.items():
        k = randn(1, 1, 1, 4).expand(rows, tokens, key_heads, 4).contiguous() if alike else randn(rows, tokens, key_heads, 4)
        decay = torch.full((rows, tokens, heads, 1), -1e-4) if alike else -F.softplus(randn(rows, tokens, heads, 1) - 2)
        rate = torch.full_like(decay, 0.99) if alike else randn(rows, tokens, heads, 1).sigmoid()
        record = differentiate(by_token, q=randn(rows, tokens, key_heads, 4), k=k, v=randn(rows, tokens, heads, 3), decay=decay, rate=rate)
        theirs, _ = torch_chunk_gated_delta_rule(*(record[x] for x in "qkv"), g=decay[..., 0], beta=rate[..., 0], use_qk_l2norm_in_kernel=True)
        assert torch.allclose(theirs.double(), record["y"], rtol=0, atol=1e-5), name
        yield f"delta/{name}", record


def convolution():
    before = randn(2, 3, 5)

    def convolve(x, weight):
        return F.conv1d(torch.cat([before.double(), x], 1).transpose(1, 2), weight, groups=5).transpose(1, 2)

    return {**differentiate(convolve, x=randn(2, 6, 5), weight=randn(5, 1, 4)), "before": before}


if __name__ == "__main__":
    decay = differentiate(lambda x, log, bias: -log.exp() * F.softplus(x + bias), x=3 * randn(6, 4), log=randn(4), bias=randn(4))
    records = [*deltas(), ("convolution", convolution()), ("decay", decay)]
    save(HERE / "recurrence.safetensors", {f"{case}/{name}": value for case, record in records for name, value in record.items()})
