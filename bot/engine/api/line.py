"""Where a waiting request stands in line, and telling so while it waits.

The engine's thread says what the order is; it is looked through once, however many wait. Knows no HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from bot.engine.backlog import Backlog
from bot.engine.types import QueuePlace

FIRST_SECONDS = 0.1  # whoever gets a place at once hears nothing of lines
LOOK_SECONDS, SAY_SECONDS = 0.25, 1.0

Order = Callable[[], Sequence[str]]
Say = Callable[[QueuePlace], Awaitable[None]]


class Line:
    """The order of those who wait for one served model."""

    def __init__(self, read: Order, backlog: Backlog) -> None:
        self._read = read
        self._backlog = backlog
        self._order: Sequence[str] = ()
        self._ranks: Mapping[str, int] = {}

    def find(self, request_id: str) -> QueuePlace | None:
        """Return where a request stands, None when it has its place or has not come in yet."""
        order = self._read()
        if order is not self._order:
            self._order, self._ranks = order, {waiting: rank for rank, waiting in enumerate(order, start=1)}
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
            place = self.find(request_id)
            if said is not None and place is None:
                place = QueuePlace(0, 0.0)  # its turn has come; reading a long question may take a while yet
            if place is not None and place != said:
                await say(place)
            said = place or said
            await asyncio.sleep(SAY_SECONDS if said else LOOK_SECONDS)
