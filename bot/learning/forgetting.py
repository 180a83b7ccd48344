"""Forgetting somebody: their words go from the database, from every run's folder, and with the adapters that know them.

An adapter that learned from them is taken back at once and never served again; the next run trains without them.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.language import N_
from bot.learning.rollout.loading import take_back
from bot.learning.tidying import empty_folder
from bot.storage import adapters as store
from bot.storage.audit import FORGET, record
from bot.storage.db import Database, Session
from bot.storage.erasures import runs_with_erased
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.leases import wait_in_line
from bot.storage.person_data import forget_person, list_corrections, list_runs
from bot.storage.report_posts import doubt_posts
from bot.storage.runs import end_run, open_run

KEPT_FILES = {"curves.png", "data.png", "data.json", "outcome.json", "plan.json"}  # pictures and numbers, no text
CANCELLED = N_("Somebody was forgotten while it ran.")
BECAUSE = N_("It learned from words that were deleted since.")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: rows by their table, adapters by name, and the runs whose examples are gone."""

    counts: Mapping[str, int]
    adapters: tuple[str, ...]
    runs: tuple[int, ...]


async def forget_everywhere(database: Database, user_id: str, *, by: str, folder: Path) -> Forgotten:
    """Forget somebody; *folder* is where runs keep their files."""
    async with database.begin() as session:
        forgotten = await forget_rows(session, user_id, by=by)
    await empty_runs(folder, forgotten.runs)
    log.info("learning: somebody was forgotten: %d runs, %d adapters", len(forgotten.runs), len(forgotten.adapters))
    return forgotten


async def forget_rows(session: Session, user_id: str, *, by: str) -> Forgotten:
    """Forget somebody in the database; the files of the runs that it returns have to go as well."""
    await wait_in_line(session, store.QUEUE)  # nobody promotes meanwhile what is tainted here
    await _cancel_open(session)
    runs = sorted(await list_runs(session, user_id))
    corrections = await list_corrections(session, user_id)
    tainted = await taint(session, runs, by=by)
    for run_id in runs:
        await scrub_report(session, run_id, corrections)
    counts = await forget_person(session, user_id)
    record(session, FORGET, by=by, target=user_id, rows=counts, adapters=tainted, runs=runs)
    return Forgotten(counts, tuple(tainted), tuple(runs))


async def empty_runs(folder: Path, runs: Collection[int]) -> None:
    """Leave of some runs' files nothing that has words."""
    for run_id in runs:
        await asyncio.to_thread(empty_folder, folder / "runs" / str(run_id), KEPT_FILES)


async def _cancel_open(session: Session) -> None:
    """Cancel the run that has begun, whichever process works on it: it may have read the words that go.

    One that waits in line begins, if it is about to, when they are gone.
    """
    found = await open_run(session)
    run = await session.get(Run, found.id, with_for_update=True) if found is not None else None
    if run is not None and run.state != RunState.QUEUED:
        await end_run(session, run.id, RunState.CANCELLED, reason=CANCELLED)
        await store.set_aside(session, run.id, by="run", reason=CANCELLED)


async def taint(session: Session, runs: Collection[int], *, by: str) -> list[str]:
    """Let no adapter of some runs, nor one that has such an adapter mixed in, be served again; return their names."""
    found = [adapter for adapter in await store.all_adapters(session) if adapter.state != AdapterState.TAINTED]
    names = {adapter.name for adapter in found if adapter.run_id in runs}
    affected = [adapter for adapter in found if adapter.name in names or adapter.mixed_with in names]
    # What is not served goes first, so that nothing of it is brought back in place of what is.
    for adapter in sorted(affected, key=lambda one: one.state in store.SERVED):
        await _taint(session, adapter, by=by)
    return sorted(adapter.name for adapter in affected)


async def _taint(session: Session, adapter: Adapter, *, by: str) -> None:
    if adapter.state in store.SERVED:
        await take_back(session, adapter, AdapterState.TAINTED, by=by, reasons=[BECAUSE])
    else:
        await store.move_adapter(session, adapter, AdapterState.TAINTED, by=by, reasons=[BECAUSE])


async def scrub_report(session: Session, run_id: int, corrections: Collection[str] | None = None) -> None:
    """Take what quotes deleted corrections out of a run's report, in Slack too; None: whatever it quotes."""
    run = await session.get(Run, run_id)
    quoted = (run.report or {}).get("before_after") if run is not None else None
    if run is not None and quoted:
        left = quoted if corrections is not None else []
        kept = [item for item in left if str(item.get("row", "")).rpartition(":")[2] not in (corrections or ())]
        run.report = {**run.report, "before_after": kept, "page": ""}
        if len(kept) < len(quoted):
            await doubt_posts(session, run_id)


async def scrub_erased(session: Session) -> None:
    """Take what is quoted out of the reports of all runs that learned from words that went, however long ago."""
    for run_id in {
        *await runs_with_erased(session, since=None),
        *await runs_with_erased(session, since=None, aged=True),
    }:
        await scrub_report(session, run_id)
