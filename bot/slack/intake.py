"""The way into the inbox: events that wait at the same moment share one commit, in the order in which they came."""

import asyncio
import time

from bot.metrics import ACCEPT_SECONDS, EVENTS
from bot.slack.gating import Heard, wants_answer
from bot.storage import inbox
from bot.storage.db import Database, Session
from bot.storage.threads import find_thread


class Intake:
    """Commits events; whoever put one in hears of it when it is safe on the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Heard, asyncio.Future[str]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def put(self, heard: Heard) -> None:
        """Return when *heard* is committed, known already, or found not to want an answer; raise what prevents it."""
        began = time.perf_counter()
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((heard, outcome))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        EVENTS.labels(await outcome).inc()
        ACCEPT_SECONDS.observe(time.perf_counter() - began)

    async def _commit_all(self) -> None:
        """Commit what waits, and what comes in meanwhile: a disk's few milliseconds are paid once for all of them."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with self._database.begin() as session:
                    found = [await _accept(session, heard) for heard, _ in batch]
            except Exception as error:  # noqa: BLE001 - each of them hears of it, is not acknowledged and comes again
                for _, outcome in batch:
                    if not outcome.done():
                        outcome.set_exception(error)
            else:
                for (_, outcome), word in zip(batch, found, strict=True):
                    if not outcome.done():
                        outcome.set_result(word)


async def _accept(session: Session, heard: Heard) -> str:
    is_engaged = heard.is_reply and (
        await find_thread(session, heard.place) is not None or await inbox.has_thread(session, heard.place)
    )
    if not wants_answer(heard, is_engaged=is_engaged):
        return "ignored"
    return "accepted" if await inbox.accept(session, heard.arrival) else "known"
