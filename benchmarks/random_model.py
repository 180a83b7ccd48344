"""A model of a real shape with random weights, and adapters for it: speed depends on the shape, not on the training.

The vocabulary is made so that every word is one token and every text of words gives exactly those tokens back. The
weights make the model write words only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

SPACE = "Ġ"  # GPT-2's stand-in for a space
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
NAMES = ("system", "user", "assistant")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QUIET = 0.01  # how loud tokens are that are no words
ADAPTED = ("attn_q", "attn_v", "attn_output")


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of SmolLM2-135M: 30 layers, 49,152 tokens, the embedding also being the output."""

    vocabulary: int = 49_152
    width: int = 576
    layers: int = 30
    heads: int = 9
    kv_heads: int = 3
    hidden: int = 1536
    context: int = 8192
    rope_base: float = 100_000.0

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return rows and columns of every matrix of one layer."""
        kv_width = self.width // self.heads * self.kv_heads
        return {
            "attn_q": (self.width, self.width),
            "attn_k": (kv_width, self.width),
            "attn_v": (kv_width, self.width),
            "attn_output": (self.width, self.width),
            "ffn_gate": (self.hidden, self.width),
            "ffn_up": (self.hidden, self.width),
            "ffn_down": (self.width, self.hidden),
        }


def build_vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Return the tokens without the control tokens, and the merges: syllables, then words of two and three of them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + index) for index, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    syllables = [consonant + vowel for consonant in "bcdfghjklmnpqrstvwxz" for vowel in "aeiou"]
    pairs = [(syllable[0], syllable[1]) for syllable in syllables]
    starts = [(SPACE, syllable) for syllable in syllables]
    short = [(SPACE + first, second) for first in syllables for second in syllables]
    long = [(first + second, third) for first, second in short for third in syllables]
    merges = [*pairs, *starts, *short, *long][: max(0, size - len(CONTROL) - len(letters))]
    tokens = [letters[byte] for byte in range(256)] + [left + right for left, right in merges]
    return tokens, [f"{left} {right}" for left, right in merges]


def list_words(tokens: list[str]) -> list[int]:
    """Return the ids of the words of at least two syllables."""
    return [index for index, token in enumerate(tokens) if token.startswith(SPACE) and len(token) >= 5]


def write_random_model(path: Path, *, shape: Shape, kind: str = "Q8_0", seed: int = 1) -> Path:
    """Write the model unless it is there; the same shape, kind and seed give the same file."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    tokens, merges = build_vocabulary(shape.vocabulary)
    writer = gguf.GGUFWriter(draft, "llama")
    _write_header(writer, shape, name=path.stem, kind=kind)
    _write_vocabulary(writer, tokens, merges)
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal((len(tokens) + len(CONTROL), shape.width), dtype=np.float32) / shape.width**0.5
    is_quiet = np.ones(len(embedding), dtype=bool)
    is_quiet[list_words(tokens)] = False
    embedding[is_quiet] *= QUIET
    _add(writer, "token_embd.weight", embedding, kind=kind)
    writer.add_tensor("output_norm.weight", np.ones(shape.width, dtype=np.float32))
    for layer in range(shape.layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(shape.width, dtype=np.float32))
        for name, (rows, columns) in shape.matrices().items():
            matrix = rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(columns**0.5)
            _add(writer, f"blk.{layer}.{name}.weight", matrix, kind=kind)
    _finish(writer)
    return draft.rename(path)


def write_random_adapter(
    path: Path, *, matrices: Mapping[str, tuple[int, int]], layers: int, rank: int = 16, seed: int = 1
) -> Path:
    """Write a LoRA of random matrices for the attention of a model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    rng = np.random.default_rng(seed)
    for layer in range(layers):
        for name in ADAPTED:
            rows, columns = matrices[name]
            down = rng.standard_normal((rank, columns), dtype=np.float32) / np.float32(columns**0.5)
            up = rng.standard_normal((rows, rank), dtype=np.float32) * np.float32(0.1)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", down)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", up)
    _finish(writer)
    return path


def read_matrices(path: Path) -> tuple[dict[str, tuple[int, int]], int]:
    """Return the shapes that an adapter for the model at *path* needs, and its number of layers."""
    reader = gguf.GGUFReader(path)
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
    layers = len({name.split(".")[1] for name in shapes if name.startswith("blk.")})
    found = {name: shapes[f"blk.0.{name}.weight"] for name in ADAPTED}
    return {name: (shape[0], shape[1]) for name, shape in found.items()}, layers


def _write_header(writer: gguf.GGUFWriter, shape: Shape, *, name: str, kind: str) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_description("Random weights, for benchmarks")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)


def _write_vocabulary(writer: gguf.GGUFWriter, tokens: list[str], merges: list[str]) -> None:
    types = [gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL] * len(CONTROL)
    end = len(tokens) + CONTROL.index("<|im_end|>")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokens, *CONTROL])
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens))
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _add(writer: gguf.GGUFWriter, name: str, matrix: NDArray[np.float32], *, kind: str) -> None:
    quantization = gguf.GGMLQuantizationType[kind]
    writer.add_tensor(name, gguf.quants.quantize(matrix, quantization), raw_dtype=quantization)


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
