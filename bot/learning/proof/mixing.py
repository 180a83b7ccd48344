"""Makes one adapter of several for the same base: what it adds is the sum of what they add, each times its scale.

B1·A1·s1 + B2·A2·s2 is one product of the matrices laid side by side. The scales go into B, which becomes
whole floats where half ones would lose a bit. Reads finished files; knows nothing of how they were trained.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from bot.errors import LearningError
from bot.language import N_
from bot.learning import sentences
from bot.learning.atomic import replacing
from bot.learning.proof.adapter_file import MOST_CHANGE, check_complete, measure_changes
from bot.learning.proof.parity import Check

FLOATS = {gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32}
LOOKED_UP = "token_embd."  # A and B change places there
ORIGIN = "apprentice."
SCALE = re.compile(r"apprentice\.part\.\d+\.scale")
Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """An adapter to mix: its name, its file, and how much of it."""

    name: str
    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    part: Part
    architecture: str
    said: Mapping[str, Any]
    pairs: Mapping[str, tuple[Matrix, Matrix]]


def mix_adapters(parts: Sequence[Part], target: Path) -> None:
    """Write the sum of *parts* to *target*, complete or not at all; the header's own keys are those of the first one.

    A matrix that only one of them has is kept, and a part with the scale 0 leaves nothing behind. *LearningError* says
    which file does not fit.
    """
    read = [_read(part) for part in parts]
    first = read[0]
    for other in read[1:]:
        _check_together(first, other)
    used = [one for one in read if one.part.scale]
    if not used:
        raise LearningError(f"Nothing would be left of {first.part.name}: every scale is 0.")
    names = dict.fromkeys(name for one in used for name in one.pairs)
    with replacing(target) as draft:
        with closing(gguf.GGUFWriter(draft, first.architecture)) as writer:
            _write_header(writer, first, read)
            for name in names:
                a, b = _join(name, used)
                writer.add_tensor(f"{name}.lora_a", a)
                writer.add_tensor(f"{name}.lora_b", b)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        check_complete(draft)


def judge_mix(path: Path, *, norms: Mapping[str, float]) -> Check:
    """Say whether a mixed file changes a weight too far: parts that are near enough alone can be too far together.

    It may go as far as parts that are just near enough and have nothing to do with each other; parts that pull the same
    way go further.
    """
    reader = gguf.GGUFReader(path)
    scales = [float(field.contents()) for name, field in reader.fields.items() if SCALE.fullmatch(name)]
    most_change = MOST_CHANGE * float(np.linalg.norm(scales))
    tensors = {tensor.name: np.asarray(tensor.data, dtype=np.float32) for tensor in reader.tensors}
    known = {weight: norm for weight, norm in norms.items() if f"{weight}.lora_a" in tensors}
    if not known:
        return Check(
            "P5 mix", holds=False, sentence=N_("The training named no sizes of weights to compare the mixture with.")
        )
    changes = measure_changes(tensors, known, alpha=0.0)
    most = max(changes, key=changes.__getitem__)
    return Check(
        "P5 mix",
        holds=changes[most] <= most_change,
        sentence=sentences.MIX_CHANGES_MOST.format(weight=most, change=changes[most], limit=most_change),
    )


def _read(part: Part) -> _Read:
    """Read a part; its scale and the one in its file, alpha / rank, are both multiplied into B."""
    try:
        reader = gguf.GGUFReader(part.path)
    except (OSError, ValueError) as error:
        raise LearningError(f"{part.name} cannot be read for the mixing ({error}): {part.path}.") from error
    said = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    alpha = float(said.get("adapter.lora.alpha", 0.0))
    pairs = {}
    for name in tensors:
        weight, _, side = name.rpartition(".")
        a, b = (tensors.get(f"{weight}.lora_{which}") for which in "ab")
        if side not in {"lora_a", "lora_b"} or a is None or b is None or weight.startswith(LOOKED_UP):
            raise LearningError(f"{part.name} cannot be mixed with another adapter: its {name} is no pair of matrices.")
        if {a.tensor_type, b.tensor_type} - FLOATS:
            raise LearningError(f"{part.name} cannot be mixed with another adapter: {name} is not kept as floats.")
        own = alpha / b.data.shape[1] if alpha else 1.0
        pairs[weight] = (a.data, _scale(b.data, part.scale * own))
    return _Read(part, str(said.get("general.architecture", "")), said, pairs)


def _scale(matrix: Matrix, scale: float) -> Matrix:
    whole: Matrix = matrix.astype(np.float32) * np.float32(scale)
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16)
    return half if matrix.dtype == np.float16 and np.array_equal(half, whole) else whole


def _check_together(one: _Read, other: _Read) -> None:
    """Raise *LearningError* unless both are for the same base."""
    key = f"{ORIGIN}base_sha256"
    if one.architecture != other.architecture or one.said.get(key) != other.said.get(key):
        raise LearningError(
            f"{one.part.name} and {other.part.name} were trained on different models, so they cannot be mixed."
        )
    for name in one.pairs.keys() & other.pairs.keys():
        (a, b), (c, d) = one.pairs[name], other.pairs[name]
        if (a.shape[1], b.shape[0]) != (c.shape[1], d.shape[0]):
            raise LearningError(f"{one.part.name} and {other.part.name} do not fit together at {name}.")


def _join(name: str, used: Sequence[_Read]) -> tuple[Matrix, Matrix]:
    """Return the matrices of a weight side by side."""
    found = [one.pairs[name] for one in used if name in one.pairs]
    a, b = np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found], axis=1)
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


def _write_header(writer: gguf.GGUFWriter, first: _Read, read: Sequence[_Read]) -> None:
    """Write what the file is; an alpha of 0 is a scale of 1 to llama.cpp, whatever the rank."""
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 0.0)
    writer.add_name(" + ".join(f"{one.part.scale:g} {one.part.name}" for one in read))
    writer.add_tags(["lora"])
    for key, value in first.said.items():
        if key.startswith(ORIGIN) and isinstance(value, str):
            writer.add_string(key, value)
    for number, one in enumerate(read):
        writer.add_string(f"{ORIGIN}part.{number}.name", one.part.name)
        writer.add_float32(f"{ORIGIN}part.{number}.scale", one.part.scale)
        writer.add_string(f"{ORIGIN}part.{number}.dataset_sha256", str(one.said.get(f"{ORIGIN}dataset_sha256", "")))
