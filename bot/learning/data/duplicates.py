"""What is nearly the same: MinHash over overlapping pieces of five bytes, and a look only at what shares a band."""

from collections import defaultdict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

PIECE = 5
BANDS, ROWS = 10, 6  # at a likeness of 0.85 a pair is seen with a chance of 99 %
LOOKS = 32  # as many of a group are compared with a newcomer
_STEP, _MIX, _HALF = np.uint32(0x01000193), np.uint32(0x85EBCA6B), np.uint32(15)
_RNG = np.random.default_rng(5)
_FACTORS = _RNG.integers(1 << 32, size=(2, BANDS * ROWS, 1), dtype=np.uint32) | np.uint32(1)
Sketch = NDArray[np.uint32]


class Forest:
    """Things that belong together, joined two by two."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Return the least name of all that belong to *name*."""
        parent = self._parents.setdefault(name, name)
        while parent != self._parents[parent]:
            self._parents[name] = parent = self._parents[parent]
        return parent

    def join(self, first: str, second: str) -> None:
        """Let two belong together from now on."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parents[high] = low


class Likeness:
    """Questions with their answers, in the order in which they come."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._sketches: list[tuple[Sketch, Sketch]] = []
        self._buckets: dict[int, int] = {}
        self._groups = Forest()
        self._members: dict[str, list[int]] = defaultdict(list)

    def add(self, question: str, answer: str, *, kind: str) -> tuple[str, bool]:
        """Return the group of the question, and whether its answer of this kind came before, nearly the same."""
        index, sketch, told = len(self._sketches), sketch_text(question), sketch_text(answer)
        name = f"{index:08d}"
        near = {self._buckets[band] for band in _bands(sketch) if band in self._buckets}
        like = [other for other in near if _likeness(self._sketches[other][0], sketch) >= self._threshold]
        for other in like:
            self._groups.join(name, f"{other:08d}")
        group = self._groups.find(name)
        known = self._members[f"{kind}/{group}"]
        is_repeated = any(_likeness(self._sketches[other][1], told) >= self._threshold for other in known[-LOOKS:])
        self._sketches.append((sketch, told))
        self._buckets.update((band, index) for band in _bands(sketch))
        if not is_repeated:
            known.append(index)
        return name, is_repeated

    def group(self, name: str) -> str:
        """Return the group of a question now: later ones may have joined two groups."""
        return self._groups.find(name)


def sketch_text(text: str) -> Sketch:
    """Return what tells how alike two texts are, whatever their length."""
    plain = f" {' '.join(text.casefold().split())} ".encode(errors="replace").ljust(PIECE)
    signs = np.frombuffer(plain, dtype=np.uint8).astype(np.uint32)
    count = len(signs) - PIECE + 1
    pieces = np.zeros(count, dtype=np.uint32)
    for place in range(PIECE):
        pieces = pieces * _STEP + signs[place : place + count]
    pieces = (pieces ^ (pieces >> _HALF)) * _MIX
    hashes = (pieces ^ (pieces >> _HALF))[None, :] * _FACTORS[0] + _FACTORS[1]
    least: Sketch = hashes.min(axis=1)
    return least


def _likeness(one: Sketch, other: Sketch) -> float:
    return float(np.count_nonzero(one == other)) / len(one)


def _bands(sketch: Sketch) -> list[int]:
    parts = (bytes([band]) + sketch[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS))
    return [int.from_bytes(blake2b(part, digest_size=8).digest()) for part in parts]
