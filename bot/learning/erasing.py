"""What follows when words go, wherever they went from: within a minute no adapter, run folder or cache has them.

Whoever deletes or changes words writes it down with them (`bot.storage.erasures`); this looks there and does the rest.
So it makes no difference who did it, in which process, or whether the bot was running.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from bot.errors import EngineError, LearningError
from bot.language import N_
from bot.learning.absence import read_manifests
from bot.learning.figures import RunReport
from bot.learning.forgetting import BECAUSE, KEPT_FILES, scrub_report, taint
from bot.learning.tidying import WITHOUT_WORDS, drop_drafts, empty_folder
from bot.storage.adapters import QUEUE, set_aside
from bot.storage.audit import record
from bot.storage.db import Database, Session
from bot.storage.erasure_tables import Cause
from bot.storage.erasures import erased_ids, erased_scopes, has_erased, runs_with_erased
from bot.storage.learning_tables import ENDED, Run, RunState
from bot.storage.leases import read_shared_clock, wait_in_line
from bot.storage.runs import end_run, has_taken_back, has_unwilling, update_run
from bot.storage.threads import SUMMARY

BY = "the clock"
CANCELLED = N_("Words that it learns from were deleted or changed while it ran.")
TAKEN_BACK = N_("A correction that it learns from was taken back, changed or rejected while it ran.")
UNWILLING = N_("Somebody or a channel that it learns from said no to that while it ran.")
OVERLAP = timedelta(minutes=5)  # what was written down while it looked last, and committed only then
EVERY = timedelta(days=1)  # all there is is looked at

log = logging.getLogger(__name__)


class Erasing:
    """Looks for words that went; *forget* lets the engine drop conversations, *folder* is where runs keep files."""

    def __init__(self, database: Database, forget: Callable[[Collection[str]], Awaitable[None]], folder: Path) -> None:
        self._database = database
        self._forget = forget
        self._folder = folder
        self._looked_at: datetime | None = None
        self._looked_at_all: datetime | None = None

    async def look(self) -> None:
        """Follow everything that went since the last look; the first one, and one a day, looks at all there is.

        What became too old while a run learned from it goes when that run has ended: the day's look finds it.
        """
        async with self._database.read() as session:
            begun = await read_shared_clock(session)  # by which all bots write down what went
        is_due = self._looked_at_all is None or begun - self._looked_at_all >= EVERY
        since = None if is_due or self._looked_at is None else self._looked_at - OVERLAP
        await drop_drafts(self._database, self._folder)
        await finish_forgetting(self._database, self._folder, since=since)
        await take_back_erased(self._database, self._folder, since=since)
        await self._forget_cached((self._looked_at or begun) - OVERLAP)
        self._looked_at = begun
        self._looked_at_all = begun if is_due else self._looked_at_all

    async def _forget_cached(self, since: datetime) -> None:
        async with self._database.read() as session:
            threads = set(await erased_scopes(session, since=since))
        try:
            await self._forget([name for scope in threads for name in (scope, f"{SUMMARY}{scope}")])
        except EngineError as error:
            log.info("erasing: the engine cannot be asked to forget: %s", error)
            raise


async def take_back_erased(database: Database, folder: Path, *, since: datetime | None) -> list[str]:
    """Taint every adapter that learned from what went, and empty its run's folder; return the adapters' names."""
    async with database.begin() as session:
        await wait_in_line(session, QUEUE)
        runs = sorted(await runs_with_erased(session, since=since))
        aged = set(await runs_with_erased(session, since=since, aged=True)) - set(runs)
        await _cancel(session, runs)
        tainted = await taint(session, runs, by=BY)
        for run_id in (*runs, *aged):
            await scrub_report(session, run_id)
        if tainted:
            record(session, "data.taint", by=BY, target=", ".join(tainted)[:200], runs=runs, reason=BECAUSE)
            log.info("erasing: %d adapters learned from what went, and are not served any more", len(tainted))
        over = {run_id for run_id in aged if (await session.get_one(Run, run_id)).state in ENDED}
    for run_id in runs:
        await asyncio.to_thread(empty_folder, folder / "runs" / str(run_id), KEPT_FILES)
    for run_id in over:  # its adapter may be served on, but examples and page are words that are kept no longer
        await asyncio.to_thread(empty_folder, folder / "runs" / str(run_id), WITHOUT_WORDS)
    return tainted


async def finish_forgetting(database: Database, folder: Path, *, since: datetime | None) -> None:
    """Empty the run folders that have words of somebody who was forgotten since a moment, or whenever.

    No row names them any more. A process that died while it forgot somebody left them, or they lie here and another
    process forgot, or a run that was under way wrote them afterwards.
    """
    async with database.read() as session:
        ids = await erased_ids(session, cause=Cause.PERSON, since=since)
    if not ids:
        return
    for name, count in await asyncio.to_thread(list, read_manifests(folder, ids)):
        if count is None:  # it was damaged: whose words lie there nobody can say, and nobody needs them
            log.warning("erasing: %s cannot be read, and is removed with the examples beside it", name)
        if count != 0:
            kept = WITHOUT_WORDS if count is None else KEPT_FILES
            await asyncio.to_thread(empty_folder, Path(name).parent, kept)


async def _cancel(session: Session, runs: Collection[int]) -> None:
    """Cancel those of some runs that are under way, whichever process works on them."""
    for run_id in runs:
        run = await session.get_one(Run, run_id)
        if run.state not in ENDED:
            await end_run(session, run_id, RunState.CANCELLED, reason=CANCELLED)
            await set_aside(session, run_id, by="run", reason=CANCELLED)


async def check_goes_on(session: Session, run_id: int) -> None:
    """Raise *LearningError* when somebody has ended a run."""
    if (await session.get_one(Run, run_id, with_for_update=True)).state in ENDED:
        raise LearningError(N_("The run was ended by somebody."))


async def check_none_erased(session: Session, run_id: int) -> None:
    """Raise *LearningError* when a run learns from words that went, or may not be learned from, since it read them."""
    if await has_erased(session, run_id):
        raise LearningError(CANCELLED)
    if await has_unwilling(session, run_id):
        raise LearningError(UNWILLING)
    if await has_taken_back(session, run_id):
        raise LearningError(TAKEN_BACK)


async def save_report(session: Session, run_id: int, report: RunReport) -> None:
    """Store what there is to say of a run, without quotations of what grew too old while it was under way."""
    await update_run(session, run_id, report=asdict(report))
    if run_id in await runs_with_erased(session, since=None, aged=True):
        await scrub_report(session, run_id)
