"""The configuration of transformers that a GGUF's header stands for; or why there is none that computes the same.

transformers' own reading of the header loses RoPE scaling, head sizes and soft caps, and takes 20 seconds for a large
vocabulary. Pure: knows no torch.
"""

from collections.abc import Mapping
from typing import Any

from bot.engine.files.gguf_header import Header
from bot.errors import LearningError

LOADABLE = ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3")
ROPE_FREQS = "rope_freqs.weight"
LONG_ROPE = ("rope_factors_long.weight", "rope_factors_short.weight")
MODEL_TYPES = {"gemma3": "gemma3_text"}  # where transformers has another name
PLAIN = {
    "max_position_embeddings": "context_length",
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
}
DEFAULT_THETA = 10_000.0  # llama.cpp's, where the file says nothing
LARGEST_GEMMA = {"gemma2": 46, "gemma3": 62}  # layers of the two that scale attention in another way
SLIDING_EVERY = {"gemma2": 2, "gemma3": 6}
MEND = "set TRAINING_BASE to a folder with the full-precision model"


def check_loadable(header: Header) -> None:
    """Raise *LearningError* if this file cannot become a trainable model that computes the same."""
    reason = find_obstacle(header)
    if reason:
        raise LearningError(f"{header.path} cannot be trained as it is, because {reason}: {MEND}.")


def find_obstacle(header: Header) -> str:
    """Return what stands in the way of training on the served file, empty when nothing does."""
    names = {tensor.name for tensor in header.tensors}
    heads = header.numbers("attention.head_count_kv", count=header.number("block_count"))
    is_long = bool(names & set(LONG_ROPE)) or scaling_type(header) not in {"none", "linear", "yarn"}
    family = header.architecture or "its family"
    obstacles = {
        "it is an adapter and not a model": header.is_adapter,
        f"transformers does not read {family} from GGUF": family not in LOADABLE,
        "it holds a vocabulary and no weights": "token_embd.weight" not in names,
        "it is split into several files": header.metadata.get("split.count", 1) != 1,
        "it is a mixture of experts": header.number("expert_count") > 0,
        "its RoPE scaling depends on the length of the context (longrope)": is_long,
        "its layers have different numbers of heads": len(set(heads)) > 1,
    }
    return next((words for words, stands in obstacles.items() if stands), "")


def scaling_type(header: Header) -> str:
    """Return how the file stretches RoPE over longer contexts."""
    return header.text(f"{header.architecture}.rope.scaling.type") or "none"


def head_size(header: Header) -> int:
    """Return the width of one attention head."""
    by_rope = header.number("rope.dimension_count") if header.architecture == "llama" else 0
    usual = header.number("embedding_length") // max(1, header.number("attention.head_count"))
    return header.number("attention.key_length") or by_rope or usual


def build_values(header: Header) -> dict[str, Any]:
    """Return the values of a configuration, its model type among them."""
    names = {tensor.name: tensor for tensor in header.tensors}
    heads = header.number("attention.head_count")
    values: dict[str, Any] = {name: header.number(key) for name, key in PLAIN.items()} | {
        "model_type": MODEL_TYPES.get(header.architecture, header.architecture),
        "num_key_value_heads": header.numbers("attention.head_count_kv", count=1, default=heads)[0],
        "rms_norm_eps": read_float(header, "attention.layer_norm_rms_epsilon", 1e-5),
        "tie_word_embeddings": "output.weight" not in names,
        "bos_token_id": header.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": header.metadata.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": None,  # rows are padded under a mask, and one that equals the end would hide it
        "head_dim": head_size(header),
        "vocab_size": names["token_embd.weight"].shape[1],
        "rope_parameters": build_rope(header),
        "attention_bias": "blk.0.attn_output.bias" in names,
        "mlp_bias": "blk.0.ffn_gate.bias" in names,
    }
    if header.architecture in SLIDING_EVERY:
        values |= build_gemma(header)
    if header.architecture == "phi3":
        values["sliding_window"] = None  # llama.cpp attends to everything here
    return values


def build_rope(header: Header) -> dict[str, Any]:
    """Return the rotary embedding as transformers names its parts."""
    theta = read_float(header, "rope.freq_base", DEFAULT_THETA)
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": theta}
    scaling = scaling_type(header)
    if scaling != "none":
        rope |= {"rope_type": scaling, "factor": read_float(header, "rope.scaling.factor", 1.0)}
    if scaling == "yarn":
        rope["original_max_position_embeddings"] = header.number("rope.scaling.original_context_length")
    turned = header.number("rope.dimension_count")
    if turned and turned != head_size(header):
        rope["partial_rotary_factor"] = turned / head_size(header)
    if header.architecture == "gemma3":
        near = {"rope_type": "default", "rope_theta": read_float(header, "rope.freq_base_swa", DEFAULT_THETA)}
        return {"full_attention": rope, "sliding_attention": near}
    return rope


def build_gemma(header: Header) -> dict[str, Any]:
    """Return what only Gemma 2 and 3 have: their scale of attention, soft caps and sliding layers."""
    layers, size = header.number("block_count"), head_size(header)
    is_largest = layers == LARGEST_GEMMA[header.architecture]
    by_width = header.number("embedding_length") // max(1, header.number("attention.head_count"))
    values: dict[str, Any] = {"query_pre_attn_scalar": by_width if is_largest else size}
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if f"{header.architecture}.{key}" in header.metadata:
            values[key] = read_float(header, key, 0.0)
    window = header.number("attention.sliding_window")
    every = SLIDING_EVERY[header.architecture] if window else 1
    pattern = header.metadata.get(f"{header.architecture}.attention.sliding_window_pattern", every)
    slides = pattern if isinstance(pattern, tuple) else [(layer + 1) % int(str(pattern)) > 0 for layer in range(layers)]
    return values | {
        "sliding_window": window,
        "layer_types": ["sliding_attention" if near else "full_attention" for near in slides],
    }


def read_float(header: Header, key: str, default: float) -> float:
    """Return a number of the architecture that need not be whole."""
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    return float(value) if isinstance(value, (int, float)) else default


def describe_difference(*, missing: set[str], unread: set[str], shapes: Mapping[str, str]) -> str:
    """Return the sentence's part on weights that file and model do not share, empty when they agree."""
    parts = []
    if missing:
        parts.append(f"it has no {', '.join(sorted(missing)[:3])}")
    if unread:
        parts.append(f"training would leave out {', '.join(sorted(unread)[:3])}")
    parts += [f"{name} is {shape}" for name, shape in sorted(shapes.items())[:3]]
    return " and ".join(parts)
