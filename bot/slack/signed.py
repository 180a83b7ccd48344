"""Whether a request over HTTP comes from Slack, now, and for the first time; asked before anything reads its body."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from slack_sdk.signature import SignatureVerifier

from bot.storage.db import Database, Session
from bot.storage.requests import drop_request, take_request
from bot.storage.troubles import is_away

LONGEST_S = 601.0  # Slack's clock may differ by five minutes to either side; what is older is refused as old
SIGNATURE, TIMESTAMP = "X-Slack-Signature", "X-Slack-Request-Timestamp"
PATIENCE_S = 1.0  # for the database: Slack waits for three seconds
EVENTS = "application/json"  # what Slack sends events as; Bolt reads what is called anything else as an order

log = logging.getLogger(__name__)


class Signed:
    """Checks signatures and remembers those of requests that were taken, for as long as they would count."""

    def __init__(
        self, secret: str, *, taken: "Taken | None" = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verifier = SignatureVerifier(secret)
        self._taken = taken
        self._clock = clock
        self._seen: dict[str, float] = {}

    def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether Slack has signed this request within the last minutes."""
        try:
            return self._verifier.is_valid(body, headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, ""))
        except (ValueError, TypeError, OverflowError):  # a time that is none, a body that is no text
            return False

    async def is_first(self, headers: Mapping[str, str]) -> bool:
        """Return whether a signed request came for the first time.

        Of orders all processes know that are on one database; each event is stored but once there, so that it counts
        once anyhow.
        """
        now, signature = self._clock(), headers[SIGNATURE]
        while self._seen and now - next(iter(self._seen.values())) > LONGEST_S:
            del self._seen[next(iter(self._seen))]
        if signature in self._seen:
            return False
        self._seen[signature] = now
        return self._taken is None or not _is_order(headers) or await self._taken.take(signature)

    async def give_back(self, headers: Mapping[str, str]) -> None:
        """Let a request come again, because it could not be handled."""
        signature = headers.get(SIGNATURE, "")
        self._seen.pop(signature, None)
        if self._taken is not None and _is_order(headers):
            await self._taken.give_back(signature)


class Taken:
    """Remembers for all processes on one database which orders were taken; one that is away knows of none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, signature: str) -> bool:
        """Return whether nobody has taken it."""
        return await self._ask(take_request, signature) is not False

    async def give_back(self, signature: str) -> None:
        """Let it be taken again."""
        await self._ask(drop_request, signature)

    async def _ask(self, ask: Callable[[Session, str], Awaitable[bool | None]], signature: str) -> bool | None:
        """Ask the database; None where it does not answer in time."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._database.begin() as session:
                return await ask(session, signature)
        except Exception as error:
            if not isinstance(error, TimeoutError) and not is_away(error):
                raise
            log.info("http: it cannot be known whether another process has taken it (%s)", type(error).__name__)
            return None


def _is_order(headers: Mapping[str, str]) -> bool:
    """Return whether Bolt could read a command, a button or a form: what it is called is not signed."""
    return headers.get("Content-Type", "").partition(";")[0] != EVENTS
