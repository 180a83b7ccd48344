"""The worker: takes accepted events from the inbox, one at a time per thread, in order; threads run side by side."""

import asyncio
import logging

from bot.slack.answering import Answering
from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.tables import Inbox, new_id

MAX_RUNNING = 64
GRACE_S = 20.0
PAUSE_S = 1.0

log = logging.getLogger(__name__)


class Turns:
    """Has everything answered that the inbox holds, until it is cancelled."""

    def __init__(self, database: Database, answering: Answering) -> None:
        self._database = database
        self._answering = answering
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Say that the inbox has something new."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; then let the answers under way end, for a while or until cancelled again."""
        async with self._database.begin() as session:
            recovered = await inbox.recover(session)
        if recovered:
            log.info("turns: %d unfinished from an earlier run", recovered)
        try:
            while True:
                self._wake.clear()
                try:
                    await self._claim()
                except Exception:  # whatever the database suffers from, it may get better
                    log.exception("turns: the inbox cannot be read; trying again")
                    await asyncio.sleep(PAUSE_S)
                else:
                    await self._wake.wait()
        finally:
            await self._wind_down()

    async def _wind_down(self) -> None:
        under_way = set(self._tasks)
        try:
            if under_way:
                await asyncio.wait(under_way, timeout=GRACE_S)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _claim(self) -> None:
        free = MAX_RUNNING - len(self._tasks)
        if free <= 0:
            return
        async with self._database.read() as session:
            if not await inbox.find_ready(session, limit=1):
                return
        async with self._database.begin() as session:
            rows = await inbox.claim_ready(session, limit=free)
        for row in rows:
            task = asyncio.create_task(self._take(row))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _take(self, row: Inbox) -> None:
        """Bring one event to its outcome; a cancelled one stays in the inbox, for the next start."""
        try:
            await self._answering.answer(row)
            async with self._database.begin() as session:
                await inbox.finish(session, row.id)
        except Exception:
            error_id = new_id()
            log.exception("turns: error %s, attempt %d", error_id, row.attempts)
            await asyncio.sleep(PAUSE_S * row.attempts)
            await self._give_back(row, error_id)

    async def _give_back(self, row: Inbox, error_id: str) -> None:
        """Let a broken event be tried again, or apologise once and leave it."""
        try:
            if row.attempts >= inbox.MAX_ATTEMPTS:
                await self._answering.apologise(row, error_id=error_id)
            async with self._database.begin() as session:
                await (inbox.finish if row.attempts >= inbox.MAX_ATTEMPTS else inbox.release)(session, row.id)
        except Exception:
            log.exception("turns: error %s: the event waits for the next start", error_id)
