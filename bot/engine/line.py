"""Where a waiting request stands in line, and telling so while it waits.

The engine's thread knows the order; it is asked at most twice a second, however many wait. Knows no HTTP.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager

from bot.engine.backlog import Backlog
from bot.engine.types import QueuePlace

FRESH_SECONDS = 0.5
FIRST_SECONDS = 0.1  # whoever gets a place at once hears nothing of lines
LOOK_SECONDS, SAY_SECONDS = 0.25, 1.0

Order = Callable[[], "Future[tuple[str, ...]]"]
Say = Callable[[QueuePlace], Awaitable[None]]


class Line:
    """The order of those who wait for one served model."""

    def __init__(self, ask: Order, backlog: Backlog) -> None:
        self._ask = ask
        self._backlog = backlog
        self._asking = asyncio.Lock()
        self._asked_at = -FRESH_SECONDS
        self._ranks: Mapping[str, int] = {}

    async def find(self, request_id: str) -> QueuePlace | None:
        """Return where a request stands, None when it has its place or has not come in yet."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= FRESH_SECONDS:
                order = await asyncio.wrap_future(self._ask())
                self._ranks = {waiting: rank for rank, waiting in enumerate(order, start=1)}
                self._asked_at = time.monotonic()
        rank = self._ranks.get(request_id)
        if rank is None:
            return None
        seconds = self._backlog.estimate(rank)
        return QueuePlace(rank, None if seconds is None else round(seconds, 1))

    @asynccontextmanager
    async def announced(self, request_id: str, say: Say) -> AsyncIterator[Callable[[], object]]:
        """Say where a request stands while it waits; the block calls what it gets as soon as the answer begins."""
        saying = asyncio.create_task(self._announce(request_id, say))
        try:
            yield saying.cancel
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _announce(self, request_id: str, say: Say) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        said: QueuePlace | None = None
        while said is None or said.position:
            place = await self.find(request_id)
            if said is not None and place is None:
                place = QueuePlace(0, 0.0)  # its turn has come; reading a long question may take a while yet
            if place is not None and place != said:
                await say(place)
            said = place or said
            await asyncio.sleep(SAY_SECONDS if said else LOOK_SECONDS)
