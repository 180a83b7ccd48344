"""Reading the header of a file that nobody has checked: what is right is found, what is wrong is named."""

import random
import struct
import tracemalloc
from pathlib import Path

import pytest
from gguf import GGUFReader

from bot.engine.files.gguf_header import KEPT_ELEMENTS, TOKENS, LongArray, list_shards, read_header
from bot.engine.files.gguf_types import TENSOR_TYPES
from bot.engine.llama.model import GGML
from bot.errors import ModelFileError
from bot.settings import STARTER_MODEL
from tests.engine.damage import Damager
from tests.engine.tiny_adapter import write_tiny_adapter


def write(path: Path, *pairs: bytes, tensors: bytes = b"", counts: tuple[int, int] | None = None) -> Path:
    """Write a GGUF of given values and tensors; *counts* is what its header claims instead."""
    n_tensors, n_pairs = counts or (1 if tensors else 0, len(pairs))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_pairs) + b"".join(pairs) + tensors + bytes(64))
    return path


def text(value: bytes) -> bytes:
    """Return a text as the file keeps it."""
    return struct.pack("<Q", len(value)) + value


def test_it_reads_what_the_gguf_library_reads() -> None:
    """Same keys, same values, same tensors as the reference reader."""
    header = read_header(STARTER_MODEL)
    reference = GGUFReader(STARTER_MODEL)

    assert [tensor.name for tensor in header.tensors] == [tensor.name for tensor in reference.tensors]
    assert [tensor.size for tensor in header.tensors] == [int(tensor.n_bytes) for tensor in reference.tensors]
    assert [list(tensor.shape) for tensor in header.tensors] == [tensor.shape.tolist() for tensor in reference.tensors]
    keys = {name for name in reference.fields if not name.startswith("GGUF.")}
    assert set(header.metadata) == keys
    for name in keys:
        expected = reference.fields[name].contents()
        if isinstance(expected, list) and len(expected) > KEPT_ELEMENTS and name != TOKENS:
            assert header.metadata[name] == LongArray(len(expected))
        else:
            assert header.metadata[name] == (tuple(expected) if isinstance(expected, list) else expected)


def test_an_adapter_is_known_as_one(tmp_path: Path) -> None:
    """So that nobody serves it as a model."""
    assert read_header(write_tiny_adapter(tmp_path / "a.gguf")).is_adapter
    assert not read_header(STARTER_MODEL).is_adapter


def test_the_kinds_of_tensors_are_those_of_llama_cpp() -> None:
    """Block sizes and bytes are what the library says, for every kind that we know."""
    import ctypes

    GGML.ggml_type_name.restype = ctypes.c_char_p
    GGML.ggml_type_size.restype, GGML.ggml_blck_size.restype = ctypes.c_size_t, ctypes.c_int64

    for number, kind in TENSOR_TYPES.items():
        said = (GGML.ggml_type_name(number).decode(), GGML.ggml_blck_size(number), GGML.ggml_type_size(number))
        assert tuple(kind) == said


@pytest.mark.parametrize(
    ("pairs", "tensors", "counts", "said"),
    [
        ((), b"", (2**63, 0), "claims"),
        ((), b"", (0, 2**40), "claims"),
        ((struct.pack("<Q", 2**62),), b"", None, "text of 4611686018427387904 bytes"),
        ((text(b"a") + struct.pack("<IQ", 8, 2**40),), b"", None, "text of 1099511627776 bytes"),
        ((text(b"a") + struct.pack("<IIQ", 9, 0, 2**50),), b"", None, "array of 1125899906842624 elements"),
        ((text(b"a") + struct.pack("<IIQ", 9, 9, 1),), b"", None, "array of 1 elements of kind 9"),
        ((text(b"a") + struct.pack("<IIQ", 9, 12, 3_000_000),), b"", None, "ends in the middle"),
        ((text(b"a") + struct.pack("<I", 77),), b"", None, "unknown kind 77"),
        ((text(b"a") + struct.pack("<IB", 0, 1),) * 2, b"", None, "'a' twice"),
        ((text(b"general.alignment") + struct.pack("<II", 4, 0),), b"", None, "alignment is 0"),
        ((), text(b"t") + struct.pack("<I", 2**31), None, "dimensions"),
        ((), text(b"t") + struct.pack("<IQIQ", 1, 2**62, 0, 0), None, "a length that does not exist"),
        ((), text(b"t") + struct.pack("<IQIQ", 1, 32, 4, 0), None, "a kind"),
        ((), text(b"t") + struct.pack("<IQIQ", 1, 33, 8, 0), None, "middle of a block"),
        ((), text(b"t") + struct.pack("<IQIQ", 1, 2**30, 0, 0), None, "of its weights are missing"),
        ((), text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 2**63), None, "of its weights are missing"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, pairs: tuple[bytes, ...], tensors: bytes, counts: tuple[int, int] | None, said: str
) -> None:
    """Each absurd claim is named before anything is allocated for it."""
    path = write(tmp_path / "m.gguf", *pairs, tensors=tensors, counts=counts)

    tracemalloc.start()
    with pytest.raises(ModelFileError, match=said):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_damage_ends_in_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    """A thousand damaged copies: read, or refused with the file's name; never another error."""
    damager = Damager(tiny_model.read_bytes())
    path = tmp_path / "broken.gguf"
    refusals = []
    for seed in random.Random(5).sample(range(10**6), 1000):
        path.write_bytes(damager.make(seed)[1])
        try:
            read_header(path)
        except ModelFileError as error:
            refusals.append(str(error))

    assert len(refusals) > 300
    assert [said for said in refusals if str(path) not in said] == []


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """Missing, a folder, empty, another format, an old version."""
    (tmp_path / "empty.gguf").write_bytes(b"")
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04" * 100)
    (tmp_path / "old.gguf").write_bytes(b"GGUF" + struct.pack("<I", 1) + bytes(100))
    for name, said in (
        ("none.gguf", "No such file"),
        (".", "directory"),
        ("empty.gguf", "ends"),
        ("other.gguf", "not"),
    ):
        with pytest.raises(ModelFileError, match=said):
            read_header(tmp_path / name)
    with pytest.raises(ModelFileError, match="its version is 1"):
        read_header(tmp_path / "old.gguf")


def test_shards_belong_together(tmp_path: Path) -> None:
    """The first of three names the others; one that is missing is an error."""
    names = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert [path.name for path in list_shards(tmp_path / names[0])] == names
    assert list_shards(tmp_path / "m.gguf") == [tmp_path / "m.gguf"]

    count = text(b"split.count") + struct.pack("<IH", 2, 3)
    tensor = text(b"t") + struct.pack("<IQIQ", 1, 8, 0, 0)
    for name in names[:2]:
        write(tmp_path / name, count, tensors=tensor)
    with pytest.raises(ModelFileError, match=names[2]):
        read_header(tmp_path / names[0])
    write(tmp_path / names[2], count, tensors=tensor)
    assert len(read_header(tmp_path / names[0]).tensors) == 3
    (tmp_path / names[0]).rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelFileError, match=r"one of 3 files: keep their names"):
        read_header(tmp_path / "renamed.gguf")
