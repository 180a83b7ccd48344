"""Whether this process stood still so long that Slack gave up on what it brought meanwhile, and said that it failed."""

import asyncio
import math
import time

LEAST_S = 2.5  # Slack waits for three seconds
AFTER_S = 1.0  # in which what lay in the sockets is read
TICK_S = 0.25


class Standstill:
    """Notices that nothing ran here for a while: a stop, a machine that slept, or something that held it up."""

    def __init__(self) -> None:
        self._seen_at = math.inf  # nobody has looked yet
        self._ended_at = -math.inf

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.is_just_over()
            await asyncio.sleep(TICK_S)

    def is_just_over(self) -> bool:
        """Return whether what is read now may have come while nothing ran."""
        moment = _read_clock()
        if moment - self._seen_at > LEAST_S:
            self._ended_at = moment
        self._seen_at = moment
        return moment - self._ended_at < AFTER_S


def _read_clock() -> float:
    """Return the time since the machine was started, with that in which it slept, where the system counts that."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
