"""The playground's time: the machine's time plus an offset that tests and the page can advance.

Timers fire when real time reaches them, or at once when the driven clock passes them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(order=True, slots=True)
class Timer:
    """A callback that waits for its moment; cancel() makes it never happen."""

    when: float
    number: int
    callback: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None


class Clock:
    """Tells the time and fires timers in the order of their moments."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.before_jump: Callable[[], Awaitable[None]] | None = None
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._wakeup: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self.offset

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call *callback* when the clock has moved on by *delay* seconds."""
        timer = Timer(self.now() + delay, next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        self._arm()
        return timer

    async def sleep(self, delay: float) -> None:
        """Wait until the clock has moved on by *delay* seconds."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, lambda: _resolve(woken))
        try:
            await woken
        finally:
            timer.cancel()

    async def wait_for(self, future: asyncio.Future[T], *, seconds: float) -> T:
        """Return the future's result, or raise TimeoutError once the clock has moved on by *seconds*."""
        expired: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waited: tuple[asyncio.Future[Any], ...] = (future, expired)
        timer = self.call_later(seconds, lambda: _resolve(expired))
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            raise TimeoutError
        finally:
            timer.cancel()
            future.cancel()

    async def advance(self, seconds: float) -> None:
        """Move the clock on, stopping at each timer on the way so that later ones see earlier effects."""
        target = self.now() + seconds
        await _let_others_run()
        while True:
            if self.before_jump is not None:
                await self.before_jump()
            upcoming = self._next_timer()
            if upcoming is None or upcoming.when > target:
                break
            self.offset += max(0.0, upcoming.when - self.now())
            self._fire_due()
            await _let_others_run()
        self.offset += max(0.0, target - self.now())
        self._fire_due()

    def stop(self) -> None:
        """Drop all timers."""
        self._timers.clear()
        if self._wakeup is not None:
            self._wakeup.cancel()

    def _next_timer(self) -> Timer | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0] if self._timers else None

    def _fire_due(self) -> None:
        while (timer := self._next_timer()) is not None and timer.when <= self.now():
            heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._arm()

    def _arm(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        timer = self._next_timer()
        if timer is not None:
            self._wakeup = asyncio.get_running_loop().call_later(max(0.0, timer.when - self.now()), self._fire_due)


async def _let_others_run() -> None:
    """Let what a timer woke go on until it waits again, perhaps for a timer of its own."""
    for _ in range(20):
        await asyncio.sleep(0)


def _resolve(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
