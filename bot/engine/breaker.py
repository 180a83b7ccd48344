"""When to start a stopped process again: at once, then more slowly, and slowest while it keeps dying.

Pure; the time comes in.
"""

from collections import deque
from dataclasses import dataclass, field

CRASHES = 3
WINDOW_SECONDS = 60.0
DELAYS = (0.0, 0.5, 2.0)
DEGRADED_SECONDS = 30.0


@dataclass(slots=True)
class Breaker:
    """Remembers the last crashes of one process."""

    crashes: deque[float] = field(default_factory=lambda: deque(maxlen=CRASHES))

    def record(self, now: float) -> None:
        """Note a crash."""
        self.crashes.append(now)

    def is_open(self, now: float) -> bool:
        """Whether the process died so often that trying again at once is pointless."""
        return len(self.crashes) == CRASHES and now - self.crashes[0] < WINDOW_SECONDS

    def delay(self, now: float) -> float:
        """Return how long to wait before the next start."""
        if self.is_open(now):
            return DEGRADED_SECONDS
        recent = sum(now - crash < WINDOW_SECONDS for crash in self.crashes)
        return DELAYS[max(0, recent - 1)]
