"""What each caller may ask for in a minute: requests, and tokens of prompts and answers.

Two token buckets a caller: they fill evenly, and hold what one minute gives. A prompt is charged when it is accepted,
an answer's tokens as they come, so that a long answer can leave a debt that is waited off. Pure: the clock comes in.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MINUTE = 60.0
REMEMBERED = 10_000


@dataclass(slots=True)
class Bucket:
    """What is left of an allowance of *size* a minute; zero allows everything."""

    size: int
    level: float
    at: float

    def fill(self, now: float) -> None:
        """Add what has come in since the last look."""
        self.level = min(self.size, self.level + (now - self.at) * self.size / MINUTE)
        self.at = now

    def wait(self, amount: float) -> float:
        """Return the seconds until *amount* is there; what is more than it can hold needs a full one."""
        lack = min(amount, self.size) - self.level
        return max(0.0, lack * MINUTE / self.size) if self.size else 0.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left of one kind, and in how many seconds everything is there again."""

    kind: str
    limit: int
    remaining: int
    reset_seconds: float


class Budgets:
    """The buckets of every caller who was there lately."""

    def __init__(
        self, *, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sizes = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._clock = clock
        self._callers: dict[str, dict[str, Bucket]] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to count."""
        return any(self._sizes.values())

    def accept(self, caller: str, *, requests: int, tokens: int) -> tuple[str, float] | None:
        """Charge a call, or return of what there is too little and in how many seconds there will be enough."""
        if not self.is_limited:
            return None
        buckets = self._look(caller)
        costs = {"requests": requests, "tokens": tokens}
        waits = {kind: bucket.wait(costs[kind]) for kind, bucket in buckets.items()}
        kind = max(waits, key=lambda kind: waits[kind])
        if waits[kind] > 0:
            return kind, waits[kind]
        self.charge(caller, requests=requests, tokens=tokens)
        return None

    def charge(self, caller: str, *, requests: int = 0, tokens: int = 0) -> None:
        """Take what was used, even if it was more than there is."""
        if self.is_limited:
            buckets = self._look(caller)
            buckets["requests"].level -= requests
            buckets["tokens"].level -= tokens

    def allowances(self, caller: str) -> list[Allowance]:
        """Return what a caller has left of each kind that is limited."""
        return [
            Allowance(kind, bucket.size, max(0, math.floor(bucket.level)), bucket.wait(bucket.size))
            for kind, bucket in (self._look(caller).items() if self.is_limited else ())
            if bucket.size
        ]

    def _look(self, caller: str) -> dict[str, Bucket]:
        """Return a caller's buckets as they are now; forget those who are as good as new."""
        now = self._clock()
        buckets = self._callers.get(caller)
        if buckets is None:
            if len(self._callers) >= REMEMBERED:
                self._forget(now)
            buckets = {kind: Bucket(size, size, now) for kind, size in self._sizes.items()}
            self._callers[caller] = buckets
        for bucket in buckets.values():
            bucket.fill(now)
        return buckets

    def _forget(self, now: float) -> None:
        for buckets in self._callers.values():
            for bucket in buckets.values():
                bucket.fill(now)
        self._callers = {
            caller: buckets
            for caller, buckets in self._callers.items()
            if any(bucket.level < bucket.size for bucket in buckets.values())
        }
