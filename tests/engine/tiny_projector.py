"""A random mmproj of a few kilobytes: a vision transformer and LLaVA's projector, or Gemma's or Qwen's beside it."""

from pathlib import Path

import gguf
import numpy as np

WIDTH, HIDDEN, PATCH = 32, 64, 8


def write_tiny_projector(
    path: Path,
    *,
    width: int = 64,
    kind: str = "mlp",
    side: int = 32,
    seed: int = 3,
    without: tuple[str, ...] = (),
) -> Path:
    """Write an mmproj for a model of *width*; a picture becomes (side / 8)² tokens, with LLaVA's projector."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_name("tiny random eyes")
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    for key, value in {
        "embedding_length": WIDTH,
        "feed_forward_length": HIDDEN,
        "block_count": 2,
        "projection_dim": width,
        "attention.head_count": 4,
        "image_size": side,
        "patch_size": PATCH,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    rng = np.random.default_rng(seed)
    for name, shape in _shapes(kind, width, patches=(side // PATCH) ** 2).items():
        noise = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        tensor = np.ones(shape, np.float32) if "norm" in name or ".ln" in name else noise
        if name.endswith(".bias"):
            tensor = np.zeros(shape, np.float32)
        if name not in without:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(kind: str, width: int, *, patches: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": (patches, WIDTH),
        "v.post_ln.weight": (WIDTH,),
        "v.post_ln.bias": (WIDTH,),
    }
    for layer in range(2):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            shapes[f"v.blk.{layer}.{part}.weight"] = (WIDTH, WIDTH)
            shapes[f"v.blk.{layer}.{part}.bias"] = (WIDTH,)
        for part in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{part}.weight"] = (WIDTH,)
            shapes[f"v.blk.{layer}.{part}.bias"] = (WIDTH,)
        shapes |= {
            f"v.blk.{layer}.ffn_up.weight": (HIDDEN, WIDTH),
            f"v.blk.{layer}.ffn_up.bias": (HIDDEN,),
            f"v.blk.{layer}.ffn_down.weight": (WIDTH, HIDDEN),
            f"v.blk.{layer}.ffn_down.bias": (WIDTH,),
        }
    if kind == "qwen2vl_merger":
        del shapes["v.position_embd.weight"]
        return shapes | {
            "v.patch_embd.weight.1": (WIDTH, 3, PATCH, PATCH),
            "mm.0.weight": (4 * WIDTH, 4 * WIDTH),
            "mm.0.bias": (4 * WIDTH,),
            "mm.2.weight": (width, 4 * WIDTH),
            "mm.2.bias": (width,),
        }
    if kind == "gemma3":
        return shapes | {"mm.input_projection.weight": (WIDTH, width), "mm.soft_emb_norm.weight": (WIDTH,)}
    return shapes | {
        "mm.0.weight": (width, WIDTH),
        "mm.0.bias": (width,),
        "mm.2.weight": (width, width),
        "mm.2.bias": (width,),
    }
