"""What is stored of a person, and for how long of a channel."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.storage import limits
from bot.storage.audit import record
from bot.storage.db import Database
from bot.storage.exported import owe_word
from bot.storage.person_data import collect_person, forget_old
from bot.storage.tables import now

MOST_DAYS = 36_500  # that a channel may keep; what is longer is for ever


async def export_person(database: Database, user_id: str, *, by: str, owes_word: bool = False) -> str:
    """Return all that is stored of somebody as one JSON document; *owes_word* has the bot tell them."""
    async with database.read() as session:
        found = await collect_person(session, user_id)
    async with database.begin() as session:
        record(session, "data.export", by=by, target=user_id, rows={name: len(rows) for name, rows in found.items()})
        if owes_word:
            await owe_word(session, user_id, by=by)
    document: dict[str, Any] = {"user_id": user_id, "exported_at": now().isoformat(timespec="seconds"), "rows": found}
    # In a thread: of somebody who asks a lot it takes seconds.
    return await asyncio.to_thread(json.dumps, document, ensure_ascii=False, indent=2, default=str)


async def set_retention(database: Database, channel_id: str, days: int | None, *, by: str) -> int | None:
    """Delete what is said in a channel after so many days (0: never, None: as in the settings); return what was set."""
    async with database.begin() as session:
        before = await limits.find_limit(session, limits.RETENTION, channel_id)
        await limits.set_limit(session, limits.RETENTION, channel_id, days, by=by)
        record(session, "data.retention", by=by, target=channel_id, days=days, before=before)
    return before


async def read_retention(database: Database) -> Mapping[str, int]:
    """Return the days that were set, by channel."""
    async with database.read() as session:
        return {row.subject_id: row.value for row in await limits.all_limits(session, limits.RETENTION)}


async def forget_expired(database: Database, days: int) -> int:
    """Delete what is older than its channel keeps it, *days* (0: for ever) where no channel says; return how much."""
    by_channel, gone = await read_retention(database), 0
    async with database.begin() as session:
        for channel_id, own in by_channel.items():
            if own:
                before = now() - timedelta(days=min(own, MOST_DAYS))
                gone += await forget_old(session, before=before, channel_id=channel_id, without=())
        if days:
            gone += await forget_old(session, before=now() - timedelta(days=days), without=by_channel)
        await limits.forget_spent(session)
        if gone:
            record(session, "data.expired", by="the clock", messages=gone)
    return gone
