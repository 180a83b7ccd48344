"""One answer in the making: its tokens, how far the KV cache holds them, and where it stands.

Pure state; it must not know llama.cpp, HTTP or the scheduler's choices.
"""

from enum import Enum, auto

import numpy as np

from bot.engine.batching.host_tier import Saved
from bot.engine.batching.tokens import Tokens
from bot.engine.types import Placed, Request


class Phase(Enum):
    """Where a sequence stands: its prompt or its answer is being computed, or it waits for a slot."""

    WAITING = auto()
    RUNNING = auto()
    FINISHED = auto()


class Sequence:
    """A request with its growing tokens; *computed* counts those in the KV cache, *spilled* holds them on the host.

    *rank* is its priority, which waiting improves; *begun* is what was computed when it got its slot last.
    """

    __slots__ = (
        "_buffer",
        "arrival",
        "begun",
        "cached",
        "computed",
        "is_forgotten",
        "length",
        "overtaken",
        "phase",
        "rank",
        "request",
        "slot",
        "spilled",
        "starved",
        "waited",
        "waits_since",
    )

    def __init__(self, request: Request, *, arrival: int) -> None:
        self.request = request
        self.arrival = arrival
        self.phase = Phase.WAITING
        self.rank = request.priority
        self.waits_since: float | None = None
        self.waited = 0.0
        self.overtaken = 0
        self.slot = -1
        self.computed = 0
        self.begun = 0
        self.cached = 0
        self.spilled: Saved | None = None
        self.starved = 0
        self.is_forgotten = False
        self.length = len(request.prompt)
        self._buffer: Tokens = np.empty(self.length + request.max_tokens, dtype=np.int32)
        self._buffer[: self.length] = request.prompt

    @property
    def tokens(self) -> Tokens:
        """The prompt and everything generated so far."""
        return self._buffer[: self.length]

    @property
    def generated(self) -> int:
        """How many tokens were generated."""
        return self.length - len(self.request.prompt)

    @property
    def pending(self) -> int:
        """How many tokens must be decoded before the next one can be sampled; one while an answer grows."""
        return self.length - self.computed

    @property
    def picture(self) -> Placed | None:
        """The picture whose rows come next, if that is what comes next."""
        ahead = (placed for placed in self.request.pictures if placed.stop > self.computed)
        placed = next(ahead, None)
        return placed if placed and placed.start <= self.computed else None

    @property
    def readable(self) -> int:
        """How many of the pending tokens come before the next picture."""
        starts = (placed.start for placed in self.request.pictures if placed.stop > self.computed)
        return max(0, next(starts, self.length) - self.computed)

    def floor(self, length: int) -> int:
        """Return *length*, or where the picture begins that ends beyond it: a picture is known whole or not at all."""
        cut = (placed.start for placed in self.request.pictures if placed.start < length < placed.stop)
        return next(cut, length)

    @property
    def is_full(self) -> bool:
        """Whether the answer has reached its limit of tokens."""
        return self.generated >= self.request.max_tokens

    def append(self, token: int) -> None:
        """Add a sampled token."""
        self._buffer[self.length] = token
        self.length += 1
