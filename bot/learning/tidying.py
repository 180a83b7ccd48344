"""What stays of old run folders: examples are people's words, and are not kept for longer than they are of use."""

import asyncio
import logging
import shutil
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from bot.learning.cross_validation import drop_folds
from bot.learning.data.report import MANIFEST
from bot.learning.plan import EXAMPLES
from bot.learning.trainer_process import LOG
from bot.storage import adapters
from bot.storage.db import Database
from bot.storage.learning_tables import ENDED, AdapterState
from bot.storage.runs import ages
from bot.storage.tables import now

KEEP_RUNS, KEEP_TIME = 10, timedelta(days=14)
GONE_FOR_GOOD = {AdapterState.REJECTED, AdapterState.TAINTED}
PAGE = {"report.html", "curves.png", "data.png", "card.md", "data.json", "outcome.json", "plan.json"}  # no private text
WITH_ADAPTER = PAGE | {"adapter.gguf", "mixed.gguf", "adapter"}
WITHOUT_WORDS = WITH_ADAPTER - {"report.html"}  # which quotes questions and corrections

log = logging.getLogger(__name__)


async def tidy_runs(database: Database, folder: Path) -> None:
    """Empty the folders of runs that are neither among the newest nor of late, but for their pages and adapters.

    An adapter that may be served again stays; one that never was, or that must not be, goes.
    """
    async with database.read() as session:
        runs = await ages(session)
        may_return = {one.run_id for one in await adapters.all_adapters(session) if one.state not in GONE_FOR_GOOD}
    for run_id, state, _ in runs:
        if state in ENDED:
            await asyncio.to_thread(drop_folds, folder / "runs" / str(run_id))  # of a bot that was killed as it ended
    for run_id, state, finished_at in runs[KEEP_RUNS:]:
        if state in ENDED and finished_at is not None and now() - finished_at > KEEP_TIME:
            kept = WITH_ADAPTER if run_id in may_return else PAGE
            await asyncio.to_thread(empty_folder, folder / "runs" / str(run_id), kept)


def find_drafts(folder: Path) -> list[Path]:
    """Return people's words that no manifest names: what a process that was killed had not written to its end."""
    runs = folder / "runs"
    half = [path for path in runs.glob(f"*/{EXAMPLES}") if not path.with_name(MANIFEST).exists()]
    return [*sorted(runs.glob("*/.*.draft")), *half]


async def drop_drafts(database: Database, folder: Path) -> None:
    """Remove such words of runs that have ended, whichever process ended them."""
    drafts = await asyncio.to_thread(find_drafts, folder)
    if not drafts:
        return
    async with database.read() as session:
        ended = {str(run_id) for run_id, state, _ in await ages(session) if state in ENDED}
    for path in drafts:
        if path.parent.name in ended:
            await asyncio.to_thread(path.unlink, missing_ok=True)


def drop_rest(folder: Path, *, is_cancelled: bool) -> None:
    """Remove what a run that has ended leaves and nobody needs: all folds, and what one that was cancelled had made.

    A trainer that is told to end writes a checkpoint, and what it learned from may have gone by then.
    """
    drop_folds(folder)
    if is_cancelled:
        empty_folder(folder, PAGE | {LOG})


def empty_folder(folder: Path, kept: Collection[str]) -> None:
    """Remove what is not kept; what the system refuses to remove is tried again the next time."""
    try:
        others = [path for path in folder.iterdir() if path.name not in kept]
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("learning: %s cannot be looked through (%s)", folder, error.strerror)
        return
    for path in others:
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            log.warning("learning: %s cannot be removed (%s)", path, error.strerror)
