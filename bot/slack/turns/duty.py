"""A process's duty: it shows that it is alive, relieves those that do not, and knows when it was relieved itself.

Every ten seconds each worker counts on by one in the database. Whoever sees another's count stand still for half a
minute of its own clock takes it off the list, and with it the right to write. So no two machines' clocks are compared,
and a process that only slept finds out before it says another word.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.signals import rest
from bot.storage import workers
from bot.storage.db import Database
from bot.storage.hold import Hold

LAST_WORDS_S = 3.0  # whoever stops has no time to wait for a database

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pulse:
    """How often a worker beats, when others take it for dead, and for how long after a beat nobody can have."""

    beat_s: float = 10.0
    stalled_s: float = 30.0
    sure_s: float = 20.0


class Duty:
    """This process's place among those that answer from one inbox; *on_change* hears when there is more to do."""

    def __init__(self, database: Database, *, place: str, pulse: Pulse | None = None) -> None:
        self._database = database
        self._place = place
        self.pulse = pulse or Pulse()
        self._seen: dict[str, tuple[int, float]] = {}
        self._beaten_at = 0.0
        self.hold = Hold("")
        self.under_way: set[asyncio.Task[None]] = set()  # what it began beside the inbox; ends with its hold
        self.on_release: Callable[[], None] = lambda: None
        self.on_recover: Callable[[], None] = lambda: None
        self.on_dismissal: Callable[[], None] = lambda: None  # of another, which may still hear what it cannot take

    def is_sure(self) -> bool:
        """Return whether this process has shown lately, and so could, that it is alive."""
        return self.hold.is_sure()

    async def begin(self) -> int:
        """Enlist; return how many things wait again that a worker which is gone had begun."""
        began = time.monotonic()
        async with self._database.begin() as session:
            hold = Hold(await workers.enlist(session, self._place))
            recovered = await workers.recover(session)
        self.hold = hold
        self._vouch(began)
        return recovered

    async def keep(self) -> None:
        """Beat until cancelled, however long the database is away."""
        while True:
            await rest(self.pulse.beat_s)
            try:
                await self.beat()
            except Exception as error:  # noqa: BLE001 - whatever the database suffers from, it may get better
                log.warning("duty: the database cannot be told that this process lives (%s)", type(error).__name__)

    async def beat(self) -> None:
        """Show that this process is alive, and look who else is; enlist anew after having been relieved."""
        began = time.monotonic()
        async with self._database.begin() as session:
            is_there = await workers.beat(session, self.hold.worker_id)
            stalled = self._find_stalled(await workers.list_beats(session), began)
            gone = [one for one, beats in stalled.items() if await workers.dismiss(session, one, beats=beats)]
            recovered = await workers.recover(session) if gone else 0
        if gone:
            log.warning("duty: %d processes show no sign of life; %d unfinished things of theirs", len(gone), recovered)
            self.on_recover()
            self.on_dismissal()
        if is_there:
            self._vouch(began)
            return
        log.warning("duty: another process has taken over what this one had begun, for want of a sign of life")
        self.hold.is_lost = True
        self.on_release()
        await self.begin()
        self.on_recover()

    async def end(self) -> None:
        """Leave what was not finished to whoever comes next."""
        try:
            async with asyncio.timeout(LAST_WORDS_S), self._database.begin() as session:
                await workers.resign(session, self.hold.worker_id)
        except Exception as error:  # noqa: BLE001 - whoever comes next finds out by itself
            log.warning("duty: what is unfinished could not be handed over (%s)", type(error).__name__)

    def _vouch(self, moment: float) -> None:
        """Count from before the beat was written: others cannot have begun to doubt it earlier."""
        if not self._database.is_sqlite:  # there nobody else can be
            self.hold.sure_until = moment + self.pulse.sure_s

    def _find_stalled(self, found: dict[str, int], moment: float) -> dict[str, int]:
        """Return who has not counted on for too long; what this process did not watch, it does not judge."""
        if moment - self._beaten_at > 2 * self.pulse.beat_s:
            self._seen = {}
        self._beaten_at = moment
        self._seen = {
            worker_id: self._seen[worker_id] if self._seen.get(worker_id, (-1,))[0] == beats else (beats, moment)
            for worker_id, beats in found.items()
            if worker_id != self.hold.worker_id
        }
        late = ((one, beats) for one, (beats, since) in self._seen.items() if moment - since >= self.pulse.stalled_s)
        return dict(late)
