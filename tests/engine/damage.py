"""Damaged GGUF files: every kind of damage that a download, a disk or an enemy can do, made from a seed."""

import random
import struct
from collections.abc import Callable

from tests.engine.gguf_layout import Field, read_layout

ABSURD = (0, 1, 2, 3, 7, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
ALIGNMENT = 32
FLOATS = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e38, 1e-45)
WORDS = ("", "bert", "t5", "llama", "gemma4", "qwen3", "mamba", "rwkv7", "clip", "deepseek2", "none", "rwkv", "plamo2")
WORDS += (
    "yarn",
    "longrope",
    "linear",
    "x" * 300,
    "\u00e9",
    "{{ ''.__class__ }}",
    "gpt-2",
    "hybriddna",
    "no_vocab",
    "wpm",
)
OPTIONAL = (
    ("llama.expert_count", "I"),
    ("llama.expert_used_count", "I"),
    ("llama.expert_group_count", "I"),
    ("llama.nextn_predict_layers", "I"),
    ("llama.rope.scaling.type", "s"),
    ("llama.rope.scaling.factor", "f"),
    ("llama.rope.freq_base", "f"),
    ("llama.rope.scaling.attn_factor", "f"),
    ("llama.rope.dimension_count_swa", "I"),
    ("llama.attention.sliding_window", "I"),
    ("llama.attention.key_length", "I"),
    ("llama.attention.value_length", "I"),
    ("llama.attention.scale", "f"),
    ("llama.attention.causal", "?"),
    ("llama.attention.clamp_kqv", "f"),
    ("llama.attention.max_alibi_bias", "f"),
    ("llama.pooling_type", "I"),
    ("llama.logit_scale", "f"),
    ("llama.residual_scale", "f"),
    ("llama.use_parallel_residual", "?"),
    ("llama.tensor_data_layout", "s"),
    ("general.alignment", "I"),
    ("general.quantization_version", "I"),
    ("general.file_type", "I"),
    ("split.count", "H"),
    ("split.no", "H"),
    ("tokenizer.ggml.token_type_count", "I"),
    ("tokenizer.ggml.unknown_token_id", "I"),
    ("tokenizer.ggml.padding_token_id", "I"),
    ("tokenizer.ggml.eot_token_id", "I"),
    ("tokenizer.ggml.eom_token_id", "I"),
    ("tokenizer.ggml.add_space_prefix", "?"),
    ("tokenizer.ggml.add_eos_token", "?"),
    ("tokenizer.ggml.remove_extra_whitespaces", "?"),
    ("tokenizer.ggml.precompiled_charsmap", "s"),
    ("tokenizer.chat_template.tool_use", "s"),
)
TYPES = {"I": 4, "f": 6, "s": 8, "?": 7, "H": 2}
Damage = tuple[str, bytes]


class Damager:
    """Makes damaged copies of one valid file; the same seed makes the same copy."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fields = read_layout(data)
        self.header_end = self.fields[-1].end
        self.weights_start = -(-self.header_end // ALIGNMENT) * ALIGNMENT
        self._numbers = [field for field in self.fields if field.size in {1, 2, 4, 8} and field.kind != "name"]
        self._kinds: list[Callable[[random.Random], Damage]] = [
            self.flip_bits,
            self.flip_bits,
            self.set_number,
            self.set_number,
            self.set_number,
            self.set_float,
            self.set_type,
            self.rename,
            self.swap,
            self.cut_out,
            self.put_in,
            self.truncate,
            self.spoil_weights,
            self.add_key,
            self.add_key,
            self.say_otherwise,
        ]

    def boundaries(self) -> list[Damage]:
        """Return the file cut off at every structural boundary, and a byte beside each."""
        ends = sorted({field.end for field in self.fields})
        cuts = sorted({cut for end in ends for cut in (end - 1, end)} | {0, len(self.data) - 1, len(self.data) - 4096})
        return [(f"cut at {cut}", self.data[:cut]) for cut in cuts]

    def make(self, seed: int) -> Damage:
        """Return one damaged copy and what was done; one in four is damaged twice."""
        rng = random.Random(seed)
        said, data = rng.choice(self._kinds)(rng)
        if rng.random() < 0.25:
            position = rng.randrange(min(self.header_end, len(data)) or 1)
            data = data[:position] + bytes([rng.randrange(256)]) + data[position + 1 :]
            said += f", byte {position}"
        return f"#{seed} {said}", data

    def put(self, field: Field, value: bytes) -> bytes:
        """Return the file with *value* in place of a field of the header, and the weights where they belong then."""
        header = self.data[: field.start] + value + self.data[field.end : self.header_end]
        return header + b"\0" * (-len(header) % ALIGNMENT) + self.data[self.weights_start :]

    def flip_bits(self, rng: random.Random) -> Damage:
        """Flip one to eight bits of the header."""
        data = bytearray(self.data)
        places = [rng.randrange(self.header_end) for _ in range(rng.choice([1, 1, 2, 8]))]
        for place in places:
            data[place] ^= 1 << rng.randrange(8)
        return f"bits at {places}", bytes(data)

    def set_number(self, rng: random.Random) -> Damage:
        """Replace a number by an absurd one."""
        field = rng.choice(self._numbers)
        value = rng.choice(ABSURD) if rng.random() < 0.8 else rng.getrandbits(64)
        return f"{field.kind} of {field.owner or 'the file'} = {value}", self.put(
            field, (value & (256**field.size - 1)).to_bytes(field.size, "little")
        )

    def set_float(self, rng: random.Random) -> Damage:
        """Replace a value of four bytes by an absurd number with a fraction."""
        field = rng.choice([field for field in self.fields if field.kind == "value" and field.size == 4])
        value = rng.choice(FLOATS)
        return f"{field.owner} = {value}", self.put(field, struct.pack("<f", value))

    def set_type(self, rng: random.Random) -> Damage:
        """Call a value or a tensor something that it is not."""
        field = rng.choice([field for field in self.fields if field.kind == "type"])
        value = rng.randrange(-2, 45)
        return f"type of {field.owner} = {value}", self.put(field, struct.pack("<i", value))

    def rename(self, rng: random.Random) -> Damage:
        """Change a letter of a key or of a tensor's name, so that what is needed is not there."""
        field = rng.choice([field for field in self.fields if field.kind == "name"])
        name = bytearray(self.data[field.start : field.end])
        name[rng.randrange(len(name))] = rng.choice(b"xX\x00.\xff")
        return f"{field.owner} named {bytes(name)!r}", self.put(field, bytes(name))

    def swap(self, rng: random.Random) -> Damage:
        """Let two fields of equal size change places: tensors that overlap, shapes of another."""
        first = rng.choice(self._numbers)
        second = rng.choice([field for field in self._numbers if field.size == first.size])
        first, second = sorted((first, second), key=lambda field: field.start)
        left, right = self.data[first.start : first.end], self.data[second.start : second.end]
        middle = self.data[first.end : second.start] if second is not first else b""
        data = self.data if second is first else self.data[: first.start] + right + middle + left
        return f"{first} and {second}", data if second is first else data + self.data[second.end :]

    def cut_out(self, rng: random.Random) -> Damage:
        """Leave out some bytes of the header."""
        start, size = rng.randrange(self.header_end), rng.choice([1, 3, 8, 32, 500])
        return f"without {size} at {start}", self.data[:start] + self.data[start + size :]

    def put_in(self, rng: random.Random) -> Damage:
        """Put bytes into the header that do not belong there."""
        start, size = rng.randrange(self.header_end), rng.choice([1, 3, 8, 32, 500])
        return f"{size} more at {start}", self.data[:start] + rng.randbytes(size) + self.data[start:]

    def truncate(self, rng: random.Random) -> Damage:
        """End the file early."""
        kept = rng.randrange(rng.choice([self.header_end, len(self.data)]))
        return f"cut at {kept}", self.data[:kept]

    def add_key(self, rng: random.Random) -> Damage:
        """Say something about the model that is not true, and well formed."""
        key, kind = rng.choice(OPTIONAL)
        if kind == "s":
            text = rng.choice(WORDS).encode()
            value = struct.pack("<Q", len(text)) + text
        elif kind == "f":
            value = struct.pack("<f", rng.choice((*FLOATS, 1.0, 2.0)))
        else:
            value = struct.pack(f"<{kind}", rng.choice((0, 1, 2, 3, 4, 33, 1000, 65_535)) if kind in "IH" else 1)
        entry = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<i", TYPES[kind]) + value
        counts = [field for field in self.fields if field.kind == "count"]
        count = int.from_bytes(self.data[counts[1].start : counts[1].end], "little") + 1
        return f"{key} = {value!r}", self.put(counts[1], struct.pack("<q", count) + entry)

    def say_otherwise(self, rng: random.Random) -> Damage:
        """Put another text in place of a value: another architecture, tokenizer, template or token."""
        length, field = rng.choice(
            [
                (before, field)
                for before, field in zip(self.fields, self.fields[1:], strict=False)
                if field.kind == "value" and before.kind == "length" and before.end == field.start
            ]
        )
        text = rng.choice(WORDS).encode()
        both = Field("value", length.start, field.end - length.start)
        return f"{field.owner} = {text!r}", self.put(both, struct.pack("<Q", len(text)) + text)

    def spoil_weights(self, rng: random.Random) -> Damage:
        """Fill a part of the weights with numbers that are none, or with noise."""
        start = rng.randrange(self.header_end, len(self.data) - 4096) // 4 * 4
        filling = rng.choice([struct.pack("<f", value) * 1024 for value in FLOATS] + [rng.randbytes(4096)])
        return f"weights at {start}", self.data[:start] + filling + self.data[start + 4096 :]
