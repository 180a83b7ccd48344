"""Counts the cells of the KV cache exactly as llama.cpp fills them: shared by a copy, free when nobody holds them.

Pure bookkeeping on numbers; it must not know llama.cpp.
"""

from collections.abc import Iterable

import numpy as np


class CellPool:
    """The cells of one context: one pool for all slots when unified, else *capacity* cells for each slot alone."""

    def __init__(self, capacity: int, *, unified: bool = True) -> None:
        self.capacity = capacity
        self.unified = unified
        self._held: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._holders = np.zeros(capacity if unified else 0, dtype=np.int32)
        self._free = list(range(capacity)) if unified else []

    def free(self) -> int:
        """Return how many tokens can still be added; split slots never compete for cells."""
        return len(self._free) if self.unified else self.capacity

    def used(self) -> int:
        """Return how many cells hold something."""
        return self.capacity - len(self._free) if self.unified else sum(self._lengths.values())

    def length(self, slot: int) -> int:
        """Return how many tokens *slot* holds."""
        return self._lengths.get(slot, 0)

    def held_by(self, slots: Iterable[int]) -> int:
        """Return how many cells *slots* hold together, counting a shared cell once."""
        if not self.unified:
            return 0
        held = np.zeros(self.capacity, dtype=np.bool_)
        for slot in slots:
            held[self._held.get(slot, [])] = True
        return int(held.sum())

    def extend(self, slot: int, count: int) -> None:
        """Add *count* tokens to *slot*; the caller has asked `free` before."""
        self._lengths[slot] = self.length(slot) + count
        if self.unified and count:
            cells = [self._free.pop() for _ in range(count)]
            self._holders[cells] = 1
            self._held.setdefault(slot, []).extend(cells)

    def copy(self, source: int, target: int, *, length: int) -> None:
        """Let the empty *target* begin with the first *length* tokens of *source*; unified cells are shared."""
        self._lengths[target] = length
        if self.unified and length:
            cells = self._held[source][:length]
            self._holders[cells] += 1
            self._held[target] = cells

    def trim(self, slot: int, length: int) -> None:
        """Keep only the first *length* tokens of *slot*."""
        self._lengths[slot] = length
        if self.unified and slot in self._held:
            cells = self._held[slot][length:]
            if cells:
                self._holders[cells] -= 1
                self._free.extend(cell for cell in cells if not self._holders[cell])
            del self._held[slot][length:]
