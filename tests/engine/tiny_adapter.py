"""LoRA adapters for the tiny model, good and bad ones, written with the gguf library."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np

from tests.engine.tiny_model import tensor_shapes

VOCAB = 256 + 14 + 3
ATTENTION = ("attn_q.weight", "attn_v.weight", "ffn_down.weight")


def write_tiny_adapter(
    path: Path,
    *,
    seed: int = 1,
    width: int = 64,
    layers: int = 2,
    rank: int = 4,
    strength: float = 0.5,
    architecture: str = "llama",
    targets: Sequence[str] = ATTENTION,
    whole: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write an adapter of random matrices to *path*; *whole* names further tensors outside the layers."""
    shapes = tensor_shapes(VOCAB, width=width, hidden=width * 2, layers=layers)
    names = [f"blk.{layer}.{target}" for layer in range(layers) for target in targets]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for key, value in (metadata or {}).items():
        writer.add_string(key, value)
    rng = np.random.default_rng(seed)
    for name in [*names, *whole]:
        rows, columns = shapes[name]
        left = (rng.standard_normal((rank, columns)) / np.sqrt(columns)).astype(np.float32)
        right = (rng.standard_normal((rows, rank)) * strength).astype(np.float32)
        if name == "token_embd.weight":  # looked up, not multiplied: A and B change places
            left, right = right, np.ascontiguousarray(left.T)
        writer.add_tensor(f"{name}.lora_a", left)
        writer.add_tensor(f"{name}.lora_b", right)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
