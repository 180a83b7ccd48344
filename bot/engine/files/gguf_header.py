"""Reads the header of a GGUF file that nobody has checked: what the model is and which tensors it has.

Nothing of the file is executed, no weights are read, and nothing is allocated because the file says so: every count
and length is compared with what is left of the file first.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from bot.engine.files.gguf_types import FILE_TYPES, TENSOR_TYPES
from bot.errors import ModelFileError

MAX_PAIRS, MAX_TENSORS, MAX_SHARDS = 65_536, 262_144, 1_000
MAX_HEADER, MAX_ALIGNMENT = 256 * 1024 * 1024, 1024 * 1024
MAX_NAME = 65_535
MAX_ELEMENTS, KEPT_ELEMENTS = 4_000_000, 1_024
MAX_DIMENSIONS, MAX_LENGTH = 4, 2**40
SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), ("<" + letter for letter in "BbHhIif?Qqd"), strict=True))
STRING, ARRAY = 8, 9
TOKENS = "tokenizer.ggml.tokens"  # kept whole: what stands in it twice is dangerous
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Tensor:
    """A matrix of the file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that is too long to be kept; its length is what matters."""

    length: int


Value = Scalar | tuple[Scalar, ...] | LongArray


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF says about itself; a model in several files has one header."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    file_bytes: int

    @property
    def architecture(self) -> str:
        """The family, which begins the names of most keys."""
        return self.text("general.architecture")

    @property
    def is_adapter(self) -> bool:
        """Whether the file changes a model instead of being one."""
        return self.text("general.type") == "adapter"

    @property
    def file_type(self) -> str:
        """How most weights are kept, as people name it."""
        number = self.metadata.get("general.file_type")
        return FILE_TYPES.get(number, "unknown") if isinstance(number, int) else "unknown"

    def text(self, key: str) -> str:
        """Return a text, empty when there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """Return a number of the architecture, *default* when there is none or it is negative."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and value >= 0 else default

    def numbers(self, key: str, *, count: int, default: int = 0) -> tuple[int, ...]:
        """Return a number for each of *count* layers, whether the file has one for all or one for each."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, tuple):
            found = [int(item) if isinstance(item, int) and item >= 0 else 0 for item in value[:count]]
            return (*found, *[default] * (count - len(found)))
        return (self.number(key, default),) * count

    def length(self, key: str) -> int:
        """Return how many elements an array has."""
        value = self.metadata.get(key)
        return value.length if isinstance(value, LongArray) else len(value) if isinstance(value, tuple) else 0


def read_header(path: Path) -> Header:
    """Return the header of a model, all its shards' included, or raise *ModelFileError* that names the file."""
    first = read_one(path)
    shards = list_shards(path)
    count = first.metadata.get("split.count", 1)
    if isinstance(count, int) and count > 1 and count != len(shards):
        raise ModelFileError(f"{path} is one of {count} files: keep their names, -00001-of-{count:05}.gguf and so on.")
    rest = [read_one(shard) for shard in shards[1:]] if isinstance(count, int) and count > 1 else []
    parts = [first, *rest]
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    return Header(path, first.metadata, tensors, sum(part.file_bytes for part in parts))


def list_shards(path: Path) -> list[Path]:
    """Return the files that make up the model which begins with *path*; itself if there is no other."""
    found = SHARD.fullmatch(path.name)
    count = int(found[3]) if found else 1
    if not found or not 0 < count <= MAX_SHARDS:
        return [path]
    return [path.with_name(f"{found[1]}-{number:05}-of-{found[3]}.gguf") for number in range(1, count + 1)]


def read_one(path: Path) -> Header:
    """Return the header of one file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _Reader(path, file, size).read()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}): give the path of a GGUF file.") from error


class _Reader:
    """Walks over one file and stops at the first thing that cannot be."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size
        self._left = min(size, MAX_HEADER)

    def read(self) -> Header:
        if self._take(4) != b"GGUF":
            raise ModelFileError(f"{self._path} is not a GGUF file.")
        version = self._number("<I")
        if version not in {2, 3}:
            raise self._broken(f"its version is {version}, not 2 or 3")
        n_tensors, n_pairs = self._number("<Q"), self._number("<Q")
        if n_pairs > MAX_PAIRS or n_tensors > MAX_TENSORS:
            raise self._broken(f"it claims {n_tensors} tensors and {n_pairs} values")
        metadata: dict[str, Value] = {}
        for _ in range(n_pairs):
            key = self._text(MAX_NAME)
            if key in metadata:
                raise self._broken(f"it has {key[:80]!r} twice")
            metadata[key] = self._value(self._number("<I"), key)
        tensors, end = [], 0
        for _ in range(n_tensors):
            tensor, offset = self._tensor()
            tensors.append(tensor)
            end = max(end, offset + tensor.size)
        begin = self._align(metadata)
        if tensors and begin + end > self._size:
            missing = begin + end - self._size
            raise self._broken(f"{missing:,} bytes of its weights are missing, download it again")
        return Header(self._path, metadata, tuple(tensors), self._size)

    def _align(self, metadata: Mapping[str, Value]) -> int:
        """Return where the weights begin."""
        step = metadata.get("general.alignment", 32)
        if not isinstance(step, int) or not 0 < step <= MAX_ALIGNMENT:
            raise self._broken(f"its alignment is {step}")
        return -(-self._file.tell() // step) * step

    def _tensor(self) -> tuple[Tensor, int]:
        name = self._text(MAX_NAME)
        dimensions = self._number("<I")
        if dimensions > MAX_DIMENSIONS:
            raise self._broken(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        kind = TENSOR_TYPES.get(self._number("<I"))
        if kind is None or any(length > MAX_LENGTH for length in shape):
            raise self._broken(f"tensor {name[:80]!r} has a kind or a length that does not exist")
        if shape and shape[0] % kind.per_block:
            raise self._broken(f"tensor {name[:80]!r} ends in the middle of a block")
        return Tensor(name, shape, kind.name, kind.count_bytes(prod(shape))), self._number("<Q")

    def _value(self, kind: int, key: str) -> Value:
        if kind == STRING:
            return self._text(self._left)
        if kind == ARRAY:
            return self._array(self._number("<I"), self._number("<Q"), is_kept=key == TOKENS)
        if kind not in SCALARS:
            raise self._broken(f"it has a value of the unknown kind {kind}")
        return self._number(SCALARS[kind])

    def _array(self, kind: int, length: int, *, is_kept: bool) -> Value:
        if length > MAX_ELEMENTS or (kind != STRING and kind not in SCALARS):
            raise self._broken(f"it has an array of {length} elements of kind {kind}")
        if kind == STRING:
            is_kept = is_kept or length <= KEPT_ELEMENTS
            kept = [self._text(self._left, keep=is_kept) for _ in range(length)]
            return tuple(kept) if is_kept else LongArray(length)
        data = self._take(length * struct.calcsize(SCALARS[kind]))
        if length > KEPT_ELEMENTS:
            return LongArray(length)
        return tuple(struct.unpack(f"<{length}{SCALARS[kind][1]}", data))

    def _text(self, longest: int, *, keep: bool = True) -> str:
        length = self._number("<Q")
        if length > longest:
            raise self._broken(f"it has a text of {length} bytes where {min(longest, self._left)} are left")
        data = self._take(length)
        return data.decode("utf-8", "backslashreplace") if keep else ""

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _take(self, count: int) -> bytes:
        data = self._file.read(count) if count <= self._left else b""
        if len(data) != count:
            raise self._broken("it ends in the middle of its header, download it again")
        self._left -= count
        return data

    def _broken(self, reason: str) -> ModelFileError:
        return ModelFileError(f"{self._path} is damaged: {reason}.")
