"""Where in a GGUF the matrices of a transformers module lie, by the gguf package's own names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import gguf

from bot.engine.files.gguf_header import Header
from bot.errors import LearningError

# With these, an adapter's tensors have been proven equal to those of llama.cpp's own converter.
EXPORTABLE = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
TURNED = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}


@dataclass(frozen=True, slots=True)
class Place:
    """A matrix of the served file; *heads* says in how many parts its rows are interleaved, 0 if they are not."""

    tensor: str
    rows: int
    columns: int
    heads: int = 0


def find_places(base: Header, modules: Iterable[str]) -> Mapping[str, Place]:
    """Return the place of each module's weight, or raise *LearningError* that names what has none."""
    if base.architecture not in EXPORTABLE:
        known = ", ".join(EXPORTABLE)
        raise LearningError(
            f"{base.path} is of the family {base.architecture!r}, and adapters are made for {known} only."
        )
    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == base.architecture)
    names = gguf.get_tensor_name_map(architecture, base.number("block_count"))
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    places, lost = {}, []
    for module in modules:
        tensor = f"{names.get_name(module)}.weight"
        shape = shapes.get(tensor, ())
        if tensor.startswith("blk.") and len(shape) == 2:
            places[module] = Place(tensor, rows=shape[1], columns=shape[0], heads=_count_heads(base, tensor))
        else:
            lost.append(module)
    if lost or not places:
        what = ", ".join(sorted(lost)[:3]) or "nothing"
        raise LearningError(f"The adapter changes {what}, and {base.path} has no matrix in its layers for that.")
    return places


def _count_heads(base: Header, tensor: str) -> int:
    """Llama's query and key rows are interleaved in GGUF files; the other families' lie as in transformers."""
    key = TURNED.get(tensor.split(".")[2]) if base.architecture == "llama" else None
    return base.number(key) if key else 0
