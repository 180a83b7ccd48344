"""Idle conversations that gave their cells to others, kept in host memory under a byte limit: a second, larger cache.

One for the model and all its adapters, each a lane of its own. Bookkeeping only: what a state contains is opaque, and
the loop fills and reads it. It must not know slots or llama.cpp.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.engine.batching.radix_tree import RadixTree
from bot.engine.batching.tokens import Tokens

DEFAULT_SHARE = 0.25
DEFAULT_LIMIT = 4 * 1024**3
EMPTY = np.empty(0, dtype=np.uint8)


@dataclass(slots=True, eq=False)
class Saved:
    """The keys and values of *tokens* as llama.cpp wrote them; empty until the loop has performed the save."""

    tokens: Tokens
    size: int
    lane: int = -1
    scope: str = ""
    state: NDArray[np.uint8] = field(default_factory=lambda: EMPTY)

    @property
    def length(self) -> int:
        """How many tokens come back when it is loaded."""
        return len(self.tokens)


class HostTier:
    """States by lane and scope; a new one takes the place of its own beginning, and of the least recently used."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._held: OrderedDict[Saved, None] = OrderedDict()
        self._trees: dict[tuple[int, str], RadixTree[Saved]] = {}
        self._used: list[int] = []
        self._spilled = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def used(self) -> int:
        """How many bytes lie in host memory, those of preempted answers included."""
        return sum(self._used)

    def used_by(self, lane: int) -> int:
        """Return how many of them are one lane's."""
        return self._used[lane]

    def join(self) -> int:
        """Return a lane that nobody had before: what it stores is found by nobody else."""
        self._used.append(0)
        return len(self._used) - 1

    def reserve(self, size: int, lane: int) -> None:
        """Count the state of a preempted answer, which is never refused; idle conversations give way to it."""
        self._spilled += size
        self._used[lane] += size
        self._shrink()

    def release(self, size: int, lane: int) -> None:
        """Stop counting the state of a preempted answer."""
        self._spilled -= size
        self._used[lane] -= size

    def store(self, saved: Saved) -> bool:
        """Keep the state of an idle conversation; False if it is larger than what may be kept."""
        if saved.size > self.limit - self._spilled:
            return False
        tree = self._trees.setdefault((saved.lane, saved.scope), RadixTree())
        for length, others in tree.match(saved.tokens):
            for other in [other for other in others if other.length == length]:
                self._remove(other)
        tree = self._trees.setdefault((saved.lane, saved.scope), tree)
        tree.hold(saved, saved.tokens)
        self._held[saved] = None
        self._used[saved.lane] += saved.size
        self._shrink()
        return True

    def find(self, tokens: Tokens, *, lane: int, scope: str, is_whole: bool) -> tuple[int, Saved] | None:
        """Return the longest beginning of *tokens* kept for this lane and scope; *is_whole*: a state to its end."""
        tree = self._trees.get((lane, scope))
        for length, found in reversed(tree.match(tokens) if tree else []):
            fitting = [saved for saved in found if saved.length == length or not is_whole]
            if fitting:
                return length, min(fitting, key=lambda saved: saved.length)
        return None

    def take(self, saved: Saved) -> None:
        """Hand a state over to whoever loads it; its tokens are in a slot from then on."""
        if saved in self._held:
            self._remove(saved)

    def forget(self, lane: int, scope: str | None = None) -> None:
        """Drop everything of a lane, because its model or adapter is unloaded, or only what one scope has there."""
        for saved in [saved for saved in self._held if saved.lane == lane and scope in {None, saved.scope}]:
            self._remove(saved)

    def _shrink(self) -> None:
        while self._held and self.used > self.limit:
            self._remove(next(iter(self._held)))

    def _remove(self, saved: Saved) -> None:
        del self._held[saved]
        self._used[saved.lane] -= saved.size
        key = (saved.lane, saved.scope)
        self._trees[key].drop(saved)
        if not len(self._trees[key]):
            del self._trees[key]


def choose_limit(wanted: int, *, free: int) -> int:
    """Return the bytes that idle conversations may take: what is *wanted*, or a share of what is *free* if negative."""
    return wanted if wanted >= 0 else min(DEFAULT_LIMIT, int(free * DEFAULT_SHARE))
