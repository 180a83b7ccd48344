"""P5: the finished adapter's file holds what it should and nothing else, and changes no weight too far.

Reads the file back as anybody would; knows nothing of how it was written.
"""

from collections.abc import Iterable, Mapping
from errno import ENOSPC
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from bot.engine.files.gguf_header import read_header
from bot.errors import ModelFileError
from bot.learning import sentences
from bot.learning.proof.parity import Check

MOST_CHANGE = 0.2  # ‖ΔW‖ / ‖W‖: further away, a model tends to forget what it knew
Matrices = Mapping[str, NDArray[np.float32]]


def check_complete(draft: Path) -> None:
    """Raise *OSError* if the disk was full: numpy hands the matrices to C, which keeps that to itself."""
    try:
        read_header(draft)
    except ModelFileError as error:
        raise OSError(ENOSPC, "the disk took only a part of it") from error


def judge_file(path: Path, *, norms: Mapping[str, float], header: Mapping[str, str]) -> Check:
    """Compare a file with what it must hold: *norms* has each adapted weight's own size, *header* what it must say."""
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: np.asarray(tensor.data, dtype=np.float32) for tensor in reader.tensors}
    said = {name: field.contents() for name, field in reader.fields.items()}
    faults = [
        *find_faults(tensors, norms),
        *(sentences.NOT_THE_RUNS.format(name=key) for key in header if said.get(key) != header[key]),
    ]
    if faults:
        sentence = sentences.NOT_AS_TRAINED.format(file=path.name, faults="; ".join(faults[:5]))
        return Check("P5 file", holds=False, sentence=sentence)
    changes = measure_changes(tensors, norms, alpha=float(said["adapter.lora.alpha"]))
    most = max(changes, key=changes.__getitem__)
    return Check(
        "P5 file",
        holds=changes[most] <= MOST_CHANGE,
        sentence=sentences.CHANGES_MOST.format(
            file=path.name, count=len(norms), weight=most, change=changes[most], limit=MOST_CHANGE
        ),
    )


def find_faults(tensors: Matrices, norms: Mapping[str, float]) -> Iterable[str]:
    """Yield what is missing, what is too much, and what is no number."""
    expected = {f"{weight}.lora_{side}" for weight in norms for side in "ab"}
    yield from (sentences.MISSING.format(name=name) for name in sorted(expected - set(tensors)))
    yield from (sentences.TOO_MUCH.format(name=name) for name in sorted(set(tensors) - expected))
    broken = [name for name, data in tensors.items() if not np.isfinite(data).all()]
    yield from (sentences.NO_NUMBERS.format(name=name) for name in broken)


def measure_changes(tensors: Matrices, norms: Mapping[str, float], *, alpha: float) -> dict[str, float]:
    """Return ‖ΔW‖ / ‖W‖ of each adapted weight, without ever multiplying the two matrices out."""
    changes = {}
    for weight, norm in norms.items():
        a, b = (tensors[f"{weight}.lora_{side}"].astype(np.float64) for side in "ab")
        scale = alpha / b.shape[1] if alpha else 1.0
        square = float(((b.T @ b) * (a @ a.T)).sum())
        changes[weight] = scale * max(square, 0.0) ** 0.5 / max(norm, 1e-12)
    return changes
