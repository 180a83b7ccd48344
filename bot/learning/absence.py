"""Proof that what people deleted is gone: its rows, by their ids, are looked for wherever they could still be."""

import asyncio
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.learning.data.report import MANIFEST
from bot.learning.tidying import find_drafts
from bot.storage.adapters import all_adapters
from bot.storage.db import Database
from bot.storage.erasures import count_erased, erased_ids, find_returned, runs_with_erased
from bot.storage.learning_tables import AdapterState, TrainingChoice
from bot.storage.person_data import collect_person
from bot.storage.preference_tables import Preference
from bot.storage.runs import runs_that_quote

# That somebody must not be learned from, and what nobody is to see of their remarks, stays.
DECISIONS = {TrainingChoice.__tablename__, Preference.__tablename__}


@dataclass(frozen=True, slots=True)
class Absence:
    """What was looked for and what of it was found; *where* names what must not be there."""

    erased: int
    newest: float | None  # when the newest went, in seconds since 1970
    rows: int
    adapters: int
    manifests: int
    where: tuple[str, ...]


async def prove_absence(database: Database, folder: Path, *, user_id: str = "") -> Absence:
    """Look for what is written down as gone, and for a forgotten person, in the database and below *folder*."""
    async with database.read() as session:
        erased, newest = await count_erased(session)
        ids = await erased_ids(session)
        returned = await find_returned(session)
        spoilt = await runs_with_erased(session, since=None)
        adapters = await all_adapters(session)
        quoting = sorted(await runs_that_quote(session, spoilt))
        left = await collect_person(session, user_id) if user_id else {}
    found = [f"{len(rows)} rows of {table} that were deleted" for table, rows in returned.items()]
    found += [f"{len(rows)} rows of {user_id} in {table}" for table, rows in left.items() if table not in DECISIONS]
    live = [adapter for adapter in adapters if adapter.state != AdapterState.TAINTED]
    found += [f"adapter {one.name} ({one.state}), which learned from it" for one in live if one.run_id in spoilt]
    found += [f"what the report of run {run_id} quotes, which learned from it" for run_id in quoting]
    runs = await asyncio.to_thread(list, read_manifests(folder, ids, user_id))
    found += [f"{count} examples in {name}" for name, count in runs if count]
    closed = "which cannot be read: give this user the right to it, or mend it, and look again"
    found += [f"whatever {name} names, {closed}" for name, count in runs if count is None]
    found += [f"whatever {path} says, which a killed run left" for path in await asyncio.to_thread(find_drafts, folder)]
    at = newest.timestamp() if newest else None
    return Absence(erased, at, sum(map(len, returned.values())), len(adapters), len(runs), tuple(found))


def read_manifests(folder: Path, ids: Collection[str], user_id: str = "") -> Iterator[tuple[str, int | None]]:
    """Yield each run's manifest, and how many examples in it have rows that are gone, or are the person's.

    None: it cannot be read, and nobody knows.
    """
    runs = folder / "runs"
    for path in [home / MANIFEST for home in sorted(runs.iterdir())] if runs.is_dir() else []:
        try:
            if path.is_file():
                yield str(path), _count(path, ids, user_id)
        except (OSError, ValueError, LookupError, TypeError):
            yield str(path), None


def _count(path: Path, ids: Collection[str], user_id: str) -> int:
    with path.open(encoding="utf-8") as lines:
        rows = (entry["rows"] + entry.get("behind", []) for entry in map(json.loads, lines))
        return sum(any(row[1] in ids or (user_id and row[2] == user_id) for row in own) for own in rows)
