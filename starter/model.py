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
    _wire_look_back(weights, shape, generator)
    return weights


def _wire_look_back(weights: dict[str, nn.Parameter], shape: Shape, generator: torch.Generator) -> None:
    """Start one head of the first two layers as an induction circuit, which training alone finds late.

    The first finds the previous token by position and adds its projection to the stream; the second finds where the
    present token was the previous one, and says what stood there. Training may change all of it.
    """
    width, size = shape.width, shape.width // shape.heads
    half = size // 2
    first = {name: weights[f"blk.0.attn_{name}"].data for name in "qkv"}
    second = {name: weights[f"blk.1.attn_{name}"].data for name in "qkv"}
    angles = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    weights["token_embd"].data[:, 0] = 0.2  # the same for all tokens: what a head by position reads
    for name in "qk":
        first[name][:size] = 0
        second[name][:size] = 0
    fast = torch.arange(8)
    first["q"][fast, 0] = 0.8 * angles[fast].cos()
    first["q"][half + fast, 0] = -0.8 * angles[fast].sin()
    first["k"][fast, 0] = 0.8
    first["v"][:size, 0] = 0
    written = torch.randn(width, size, generator=generator)
    written[0] = 0
    weights["blk.0.attn_output"].data[:, :size] = 0.0025 * written
    slow = [*range(half // 2, half), *range(half + half // 2, size)]  # pairs that turn little over a whole chat
    second["q"][slow] = 2 * first["v"][slow]
    second["k"][slow] = 2 * written.T[slow] / width**0.5
    second["v"][:size, 0] = 0
    weights["blk.1.attn_output"].data[:, :size] = 0.15 * second["v"][:size].T


def rope_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    size = shape.width // shape.heads
    frequencies = shape.rope_base ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def _attend(q: Tensor, k: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
    """Causal attention; for short chats two plain products are twice as fast as the fused kernel."""
    length, size = q.shape[-2:]
    if length > 160:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = (q.to(dtype) * size**-0.5) @ k.to(dtype).transpose(-1, -2)
    hidden = torch.full((length, length), float("-inf")).triu(1)
    return (scores.float() + hidden).softmax(-1).to(dtype) @ v.to(dtype)


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
        mixed = _attend(_rotate(q, cos, sin), _rotate(k, cos, sin), v, dtype)
        mixed = mixed.transpose(1, 2).reshape(batch, length, shape.width).to(dtype)
        stream = stream + project(mixed, block + "attn_output").float()
        x = norm(stream, block + "ffn_norm")
        gated = F.silu(project(x, block + "ffn_gate")) * project(x, block + "ffn_up")
        stream = stream + project(gated, block + "ffn_down").float()
    return norm(stream, "output_norm")
