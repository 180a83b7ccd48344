"""A small Llama in plain torch, with the tensor names of GGUF and the head layout of transformers."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 2048
    width: int = 256
    layers: int = 5
    heads: int = 4
    hidden: int = 704
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5


def build_weights(shape: Shape, seed: int) -> dict[str, nn.Parameter]:
    """Matrices start small, those that write into the residual stream at zero; embedding and output are one."""
    generator = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int, scale: float) -> nn.Parameter:
        return nn.Parameter(torch.randn(rows, columns, generator=generator) * scale)

    width, hidden = shape.width, shape.hidden
    weights = {"token_embd": matrix(shape.vocabulary, width, 0.02), "output_norm": nn.Parameter(torch.ones(width))}
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            weights[block + name] = nn.Parameter(torch.ones(width))
        for name in ("attn_q", "attn_k", "attn_v"):
            weights[block + name] = matrix(width, width, width**-0.5)
        weights[block + "ffn_gate"] = matrix(hidden, width, width**-0.5)
        weights[block + "ffn_up"] = matrix(hidden, width, width**-0.5)
        weights[block + "attn_output"] = nn.Parameter(torch.zeros(width, width))
        weights[block + "ffn_down"] = nn.Parameter(torch.zeros(width, hidden))
    return weights


def rope_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    size = shape.width // shape.heads
    frequencies = shape.rope_base ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def hidden_states(weights: dict[str, nn.Parameter], shape: Shape, ids: Tensor, dtype: torch.dtype) -> Tensor:
    """The last layer's normed states; products with weights run in `dtype`, the rest in float32."""
    batch, length = ids.shape
    cos, sin = rope_tables(shape, length)
    size = shape.width // shape.heads

    def project(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[name].to(dtype))

    def norm(x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, (shape.width,), weights[name], shape.epsilon).to(dtype)

    stream = F.embedding(ids, weights["token_embd"])
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        x = norm(stream, block + "attn_norm")
        q, k, v = (
            project(x, block + name).float().view(batch, length, shape.heads, size).transpose(1, 2)
            for name in ("attn_q", "attn_k", "attn_v")
        )
        mixed = F.scaled_dot_product_attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, length, shape.width).to(dtype)
        stream = stream + project(mixed, block + "attn_output").float()
        x = norm(stream, block + "ffn_norm")
        gated = F.silu(project(x, block + "ffn_gate")) * project(x, block + "ffn_up")
        stream = stream + project(gated, block + "ffn_down").float()
    return norm(stream, "output_norm")
