"""What a GGUF header may not say, because llama.cpp ends the whole process over it instead of refusing the file.

Each rule stands for an assertion or a crash that the corpus of damaged files has found (`tests/engine/damage.py`).
Knows headers only; what it does not know ends in the first step of a load, where the supervisor blames the file.
"""

import math
from collections.abc import Iterator

from bot.engine.files.gguf_header import TOKENS, Header
from bot.errors import ModelFileError

MAX_LAYERS, MAX_EXPERTS, MAX_CONTEXT = 512, 1024, 2**31 - 1
ROPE_SCALINGS = frozenset({"none", "linear", "yarn", "longrope"})
WHOLE_NUMBERS = frozenset({"i8", "i16", "i32", "i64", "f64"})
NORMS = frozenset({"f32", "f16", "bf16"})
MAPPED_BYTES = 32  # TENSOR_ALIGNMENT: weights are used where the file lies in memory
BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))
ESCAPED_BYTES = frozenset(repr(bytes([byte]))[2:-1] for byte in range(256))  # as RWKV writes them
NO_TOKENIZER = frozenset({"", "none", "no_vocab"})


def check_header(header: Header) -> None:
    """Raise *ModelFileError* with the first thing in *header* that llama.cpp would not survive."""
    fault = next(_find_faults(header), None)
    if fault:
        raise ModelFileError(f"{header.path} cannot be served: {fault}. Download it again or choose another model.")


def _find_faults(header: Header) -> Iterator[str]:
    yield from _check_shape(header)
    yield from _check_experts(header)
    yield from _check_tokenizer(header)
    for key, value in header.metadata.items():
        if key.endswith("epsilon") and isinstance(value, float) and not (math.isfinite(value) and value >= 0):
            yield f"{key} is {value}"
    for tensor in header.tensors:
        is_norm = sum(length > 1 for length in tensor.shape) < 2
        is_useless = tensor.kind in WHOLE_NUMBERS or (is_norm and tensor.kind not in NORMS)
        if is_useless and tensor.name.endswith(".weight") and "tid2eid" not in tensor.name:
            yield f"{tensor.name[:80]} consists of {tensor.kind}, with which nothing is computed"
        if 0 in tensor.shape:
            yield f"{tensor.name[:80]} is empty"


def _check_shape(header: Header) -> Iterator[str]:
    layers, context = header.number("block_count"), header.number("context_length")
    if not 0 < layers <= MAX_LAYERS:
        yield f"it has {layers} layers"
    if header.number("nextn_predict_layers") > layers:
        yield "it predicts with more layers than it has"
    if not 0 < context <= MAX_CONTEXT:
        yield f"its context has {context} tokens"
    if header.metadata.get(f"{header.architecture}.rope.scaling.type", "none") not in ROPE_SCALINGS:
        yield "its positions are scaled in an unknown way"
    step = header.metadata.get("general.alignment", MAPPED_BYTES)
    if not isinstance(step, int) or step % MAPPED_BYTES:
        yield f"its alignment is {step}, not a multiple of {MAPPED_BYTES}"


def _check_experts(header: Header) -> Iterator[str]:
    count, groups = header.number("expert_count"), header.number("expert_group_count")
    used = max(header.numbers("expert_used_count", count=header.number("block_count")), default=0)
    if count > MAX_EXPERTS or used > count or (count and not used):
        yield f"it uses {used} of {count} experts"
    elif groups and (groups >= count or count % groups):
        yield f"it has {groups} groups of {count} experts"
    elif groups > 1 and not 0 < header.number("expert_group_used_count") < groups:
        yield f"it uses {header.number('expert_group_used_count')} of {groups} groups of experts"


def _check_tokenizer(header: Header) -> Iterator[str]:
    kind, tokens = header.text("tokenizer.ggml.model"), header.metadata.get(TOKENS)
    if kind in NO_TOKENIZER or not isinstance(tokens, tuple):
        yield "it has no tokenizer"
        return
    written = [token for token in tokens if token]
    if len(set(written)) < len(written):
        yield "its vocabulary has a token twice"
    spelled = {"llama": BYTE_TOKENS, "rwkv": ESCAPED_BYTES}.get(kind, frozenset())
    if not spelled.issubset(map(str, written)):
        yield "its vocabulary cannot spell every byte, which ends or never ends a reading"
