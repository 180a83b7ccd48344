"""The bot's own port against strangers: how many connections they may keep, for how long, and how much they may say."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

MOST_OPEN = 128  # connections of strangers, who could take every file that a process may open
OPENING_S = 1.0  # in which a new connection need not be there yet, and cannot be closed
MAX_BODY = 1024 * 1024
BODY_S = 10.0  # for so long a body may come in
LARGE_BODY, MOST_LARGE = 64 * 1024, 16  # so many at a time may be larger; what Slack sends seldom is


class Door:
    """Knows since when each connection has brought nothing of Slack's: those go that have for long, or are too many."""

    def __init__(self) -> None:
        self._since: dict[web.RequestHandler, float] = {}  # the longest first
        self._busy: set[web.RequestHandler] = set()

    def let_in(self, one: web.RequestHandler) -> web.RequestHandler:
        """Take a new connection in; where too many are open, in the place of the one that is silent for longest."""
        if len(self._since) >= MOST_OPEN:
            self.close_silent(math.inf)
            idle = [other for other in self._since if other not in self._busy and other.transport is not None]
            for other in idle[: max(0, len(self._since) + 1 - MOST_OPEN)]:
                self._close(other)
        self._since[one] = time.monotonic()
        return one

    @contextmanager
    def vouched(self, one: web.RequestHandler) -> Iterator[None]:
        """Keep a connection open while a request that is Slack's is answered, and for a while after it."""
        self._busy.add(one)
        try:
            yield
        finally:
            self._busy.discard(one)
            if self._since.pop(one, None) is not None:
                self._since[one] = time.monotonic()

    def close_silent(self, silent_s: float) -> None:
        """Close what has brought nothing for so long, and forget what is closed; each costs an open file."""
        moment = time.monotonic()
        for one, since in list(self._since.items()):
            is_gone = one.transport is None and moment - since >= OPENING_S
            if is_gone or (moment - since >= silent_s and one not in self._busy):
                self._close(one)

    def _close(self, one: web.RequestHandler) -> None:
        del self._since[one]
        one.force_close()


class Bodies:
    """Reads what is sent before it is known by whom; of large bodies a few at a time, for each is held until then."""

    def __init__(self) -> None:
        self._large = 0

    async def read(self, request: web.Request) -> bytes | web.Response:
        """Return a body, or the answer to one that is too large, too slow, or that does not come to its end."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                refusal = await self._read(request, body)
        except TimeoutError:
            refusal = web.Response(status=408)
        except RuntimeError:  # the connection was closed from our side
            refusal = web.Response(status=400)
        finally:
            self._large -= len(body) > LARGE_BODY
        return refusal or bytes(body)

    async def _read(self, request: web.Request, body: bytearray) -> web.Response | None:
        async for part in request.content.iter_any():
            is_growing = len(body) <= LARGE_BODY < len(body) + len(part)
            if is_growing and self._large >= MOST_LARGE:
                return web.Response(status=503)
            self._large += is_growing
            body += part
            if len(body) > MAX_BODY:
                return web.Response(status=413)
        return None
