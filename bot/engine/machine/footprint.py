"""What a model takes in memory, told from its header alone: weights by layer, keys and values, room to compute.

Pure. Where a family is unusual the estimate is on the safe side, and says so.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bot.engine.files.gguf_header import Header
from bot.engine.files.gguf_types import BY_NAME
from bot.errors import ModelFileError

MAX_LAYERS = 1024
FLOAT_BYTES = 4
CELL_STEP = 256  # llama.cpp rounds the number of cells up to this
LOGIT_BYTES, MIN_SCORED = 16 * 1024 * 1024, 16
BLOCK = re.compile(r"blk\.(\d{1,4})\.")
RECURRENT_KEYS = ("ssm.state_size", "wkv.head_size", "shortconv.l_cache", "kda.head_dim")


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the model's repeated parts."""

    weights: int
    keys: int
    values: int
    state: int

    def count_cell(self, kv_type: str) -> int:
        """Return the bytes of one token's keys and values."""
        kind = BY_NAME[kv_type]
        return sum(-(-width // kind.per_block) * kind.block_bytes for width in (self.keys, self.values))


@dataclass(frozen=True, slots=True)
class Footprint:
    """A model's sizes; *state* of a layer is what each slot has beside its cells, in models with a recurrent memory."""

    layers: tuple[Layer, ...]
    input_bytes: int
    output_bytes: int
    is_tied: bool
    n_ctx_train: int
    n_vocab: int
    n_heads: int
    width: int
    hidden: int
    masks: int
    note: str = ""

    @property
    def weights(self) -> int:
        """All weights, as the file has them."""
        return (
            self.input_bytes + sum(layer.weights for layer in self.layers) + (0 if self.is_tied else self.output_bytes)
        )

    def count_layer(self, index: int, *, cells: int, slots: int, kv_type: str) -> int:
        """Return what layer *index* takes where it lies; the one after the last is the output."""
        if index >= len(self.layers):
            return self.output_bytes
        layer = self.layers[index]
        return layer.weights + layer.count_cell(kv_type) * round_cells(cells) + layer.state * slots

    def count_cell(self, kv_type: str) -> int:
        """Return the bytes of one token's keys and values in all layers."""
        return sum(layer.count_cell(kv_type) for layer in self.layers)

    def count_cache(self, *, cells: int, slots: int, kv_type: str) -> int:
        """Return what a context's memory of the conversations takes."""
        return round_cells(cells) * self.count_cell(kv_type) + slots * sum(layer.state for layer in self.layers)

    def count_compute(self, *, cells: int, slots: int, batch: int, has_flash: bool) -> int:
        """Return the room that a step's computations take: measured on many shapes, then rounded up a little."""
        heads = 0 if has_flash else self.n_heads * FLOAT_BYTES
        attention = round_cells(cells) * batch * (heads + self.masks * (2 if has_flash else FLOAT_BYTES))
        activations = batch * FLOAT_BYTES * (2 * self.hidden + 10 * self.width)
        outputs = self.count_outputs(slots=slots, batch=batch) * FLOAT_BYTES * (self.n_vocab + 2 * self.width)
        return attention + max(activations, outputs)

    def count_outputs(self, *, slots: int, batch: int) -> int:
        """Return how many tokens of a batch may have logits."""
        return max(slots, min(batch, slots + max(MIN_SCORED, LOGIT_BYTES // (FLOAT_BYTES * max(1, self.n_vocab)))))


def round_cells(cells: int) -> int:
    """Return the number of cells that llama.cpp makes of *cells*."""
    return -(-cells // CELL_STEP) * CELL_STEP


def measure(header: Header) -> Footprint:
    """Return what a model takes; *ModelFileError* if the header lacks what every model has."""
    count = header.number("block_count")
    if not 0 < count <= MAX_LAYERS:
        raise ModelFileError(f"{header.path} is not a language model that can be served: it has {count} layers.")
    sizes = Counter[str]()
    for tensor in header.tensors:
        found = BLOCK.match(tensor.name)
        place = found[1] if found and int(found[1]) < count else tensor.name.partition(".")[0]
        sizes[place] += tensor.size
    weights = [sizes.pop(str(index), 0) for index in range(count)]
    has_output = any(tensor.name == "output.weight" for tensor in header.tensors)
    output = sizes.pop("output", 0) + sizes.pop("output_norm", 0)
    width = header.number("embedding_length")
    recurrent = _find_recurrent(header, count)
    keys, values, guess = _measure_heads(header, count, width)
    state = _measure_state(header, width)
    layers = tuple(
        Layer(
            weights[index],
            0 if recurrent[index] == "only" else keys[index],
            0 if recurrent[index] == "only" else values[index],
            state if recurrent[index] else 0,
        )
        for index in range(count)
    )
    is_tied = not has_output
    return Footprint(
        layers=layers,
        input_bytes=sum(sizes.values()) + (output if is_tied else 0),
        output_bytes=sizes["token_embd"] + output if is_tied else output,
        is_tied=is_tied,
        n_ctx_train=header.number("context_length"),
        n_vocab=header.length("tokenizer.ggml.tokens") or header.number("vocab_size"),
        n_heads=max(header.numbers("attention.head_count", count=count), default=0),
        width=width,
        hidden=_measure_hidden(header, count),
        masks=2 if header.number("attention.sliding_window") else 1,
        note=guess or ("its recurrent layers are estimated" if state else ""),
    )


def _measure_heads(header: Header, count: int, width: int) -> tuple[list[int], list[int], str]:
    """Return how many numbers a token's keys and its values are in each layer, and what was guessed."""
    heads = header.numbers("attention.head_count", count=count)
    heads_kv = header.numbers("attention.head_count_kv", count=count, default=max(heads, default=0))
    usual = width // max(1, max(heads, default=1))
    size_k = max(header.number("attention.key_length", usual), header.number("attention.key_length_swa"))
    size_v = max(header.number("attention.value_length", usual), header.number("attention.value_length_swa"))
    if header.number("attention.key_length_mla"):
        return [size_k * kv for kv in heads_kv], [0] * count, ""
    guess = "its latent attention is estimated" if header.number("attention.kv_lora_rank") else ""
    return [size_k * kv for kv in heads_kv], [size_v * kv for kv in heads_kv], guess


def _find_recurrent(header: Header, count: int) -> list[str]:
    """Return for each layer whether it keeps a state: "only" instead of keys and values, "too" beside them, or ""."""
    if not any(header.number(key) for key in RECURRENT_KEYS):
        return [""] * count
    heads_kv = header.numbers("attention.head_count_kv", count=count)
    interval = header.number("full_attention_interval")
    if interval:
        return ["" if (index + 1) % interval == 0 else "only" for index in range(count)]
    if all(heads_kv):
        return ["too"] * count
    return ["" if heads else "only" for heads in heads_kv]


def _measure_state(header: Header, width: int) -> int:
    """Return the bytes of one slot's state in a recurrent layer."""
    inner, states, groups = (header.number(f"ssm.{key}") for key in ("inner_size", "state_size", "group_count"))
    convolution = max(0, header.number("ssm.conv_kernel") - 1) * (inner + 2 * groups * states)
    short = width * max(0, header.number("shortconv.l_cache") - 1)
    head = header.number("wkv.head_size")
    shift = header.number("token_shift_count", 2) * width if head else 0
    linear = header.number("kda.head_dim")
    heads = header.numbers("attention.head_count", count=1)[0]
    delta = linear * linear * heads + 3 * max(1, header.number("ssm.conv_kernel") - 1) * heads * linear if linear else 0
    return FLOAT_BYTES * (max(convolution, 0) + inner * states + short + head * width + shift + delta)


def _measure_hidden(header: Header, count: int) -> int:
    """Return how wide a layer's widest step is; experts count as often as they are used."""
    dense = max(header.numbers("feed_forward_length", count=count), default=0)
    used = max(header.numbers("expert_used_count", count=count), default=0)
    width = header.number("embedding_length")
    experts = used * (header.number("expert_feed_forward_length", dense) + width // 2)
    return max(dense if not used else min(dense, 4 * width), experts, 2 * header.number("ssm.inner_size"))


def describe_kinds(header: Header) -> Mapping[str, int]:
    """Return how many bytes of the weights are of each kind, the largest first."""
    sizes = Counter[str]()
    for tensor in header.tensors:
        sizes[tensor.kind] += tensor.size
    return dict(sizes.most_common())
