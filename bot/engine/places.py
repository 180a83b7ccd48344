"""Where the tokens of a slot stand in models that count a picture's positions in two directions (M-RoPE).

There a picture of 30 × 20 tokens takes 30 positions, so what comes after it stands closer than its number among the
tokens says. Pure; llama.cpp is told positions, and everybody else counts tokens.
"""

import numpy as np
from numpy.typing import NDArray

Gap = tuple[int, int]


class Places:
    """By slot, after how many tokens how many positions were saved."""

    def __init__(self) -> None:
        self._gaps: dict[int, tuple[Gap, ...]] = {}

    def find(self, slot: int, index: int) -> int:
        """Return the position of the token with this number."""
        return index - sum(gap for after, gap in self._gaps.get(slot, ()) if after <= index)

    def count(self, slot: int) -> int:
        """Return how many positions all of its pictures saved."""
        return sum(gap for _, gap in self._gaps.get(slot, ()))

    def add(self, slot: int, after: int, gap: int) -> None:
        """Note that a picture which ends after so many tokens saved *gap* positions."""
        self._gaps[slot] = (*self._gaps.get(slot, ()), (after, gap))

    def trim(self, slot: int, length: int) -> None:
        """Forget what comes after so many tokens."""
        self._gaps[slot] = tuple(gap for gap in self._gaps.get(slot, ()) if gap[0] <= length)

    def pack(self, slot: int) -> NDArray[np.uint8]:
        """Return what is known of a slot as bytes behind a saved state."""
        gaps = self._gaps.get(slot, ())
        return np.array([*(number for gap in gaps for number in gap), len(gaps)], dtype=np.int64).view(np.uint8)

    def unpack(self, slot: int, state: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take what `pack` wrote from the end of a state, and return the rest."""
        count = int(state[-8:].copy().view(np.int64)[0])
        end = len(state) - 8 * (2 * count + 1)
        numbers = state[end:-8].copy().view(np.int64).tolist()
        self._gaps[slot] = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return state[:end]
