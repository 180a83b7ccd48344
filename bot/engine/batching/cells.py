"""Counts the cells of the KV cache exactly as llama.cpp fills them: shared by a copy, free when nobody holds them.

Pure bookkeeping on numbers; it must not know llama.cpp. Cells that are always held together are counted as one run, so
that a token costs an addition and not an object.
"""

from collections.abc import Iterable, Sequence


class Run:
    """Neighbouring tokens whose cells the same *holders* hold."""

    __slots__ = ("holders", "length")

    def __init__(self, length: int, holders: set[int]) -> None:
        self.length = length
        self.holders = holders


class CellPool:
    """The cells of one context: one pool for all slots when unified, else *capacity* cells for each slot alone."""

    def __init__(self, capacity: int, *, unified: bool = True) -> None:
        self.capacity = capacity
        self.unified = unified
        self._used = 0
        self._lengths: dict[int, int] = {}
        self._runs: dict[int, list[Run]] = {}

    def free(self) -> int:
        """Return how many tokens can still be added; split slots never compete for cells."""
        return self.capacity - self._used if self.unified else self.capacity

    def used(self) -> int:
        """Return how many cells hold something."""
        return self._used

    def length(self, slot: int) -> int:
        """Return how many tokens *slot* holds."""
        return self._lengths.get(slot, 0)

    def held_by(self, slots: Iterable[int]) -> int:
        """Return how many cells *slots* hold together, counting a shared cell once."""
        if not self.unified:
            return 0
        return sum(run.length for run in {run for slot in slots for run in self._runs.get(slot, ())})

    def extend(self, slot: int, count: int) -> None:
        """Add *count* tokens to *slot*; the caller has asked `free` before."""
        self._lengths[slot] = self._lengths.get(slot, 0) + count
        self._used += count
        runs = self._runs.setdefault(slot, [])
        if runs and len(runs[-1].holders) == 1:
            runs[-1].length += count
        elif count:
            runs.append(Run(count, {slot}))

    def extend_each(self, slots: Sequence[int]) -> None:
        """Add one token to each of *slots*; the caller has asked `free` before."""
        for slot in slots:
            self.extend(slot, 1)

    def copy(self, source: int, target: int, *, length: int) -> None:
        """Let the empty *target* begin with the first *length* tokens of *source*; unified cells are shared."""
        if not self.unified:
            self.extend(target, length)
            return
        kept = self._runs[source][: self._cut(source, length)] if length else []
        for run in kept:
            run.holders.add(target)
        self._lengths[target] = length
        self._runs[target] = kept

    def trim(self, slot: int, length: int) -> None:
        """Keep only the first *length* tokens of *slot*."""
        if length >= self.length(slot):
            return
        index = self._cut(slot, length)
        for run in self._runs[slot][index:]:
            run.holders.discard(slot)
            if not run.holders:
                self._used -= run.length
        del self._runs[slot][index:]
        self._lengths[slot] = length

    def _cut(self, slot: int, length: int) -> int:
        """Let a run of *slot* end at *length*, for everybody who holds it; return how many runs lie before."""
        position = 0
        for index, run in enumerate(self._runs[slot]):
            if position >= length:
                return index
            position += run.length
            if position > length:
                rest = Run(position - length, set(run.holders))
                run.length -= rest.length
                for holder in run.holders:
                    runs = self._runs[holder]
                    runs.insert(runs.index(run) + 1, rest)
                return index + 1
        return len(self._runs[slot])
