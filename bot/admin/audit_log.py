"""What was done by whom: shown, written out, and proved to be all of it."""

import json
from collections.abc import Sequence
from typing import Any

from bot.storage import audit
from bot.storage.audit import Chain
from bot.storage.db import Database

MOST_EXPORTED = 1_000_000


async def read_audit(database: Database, *, most: int, containing: str = "") -> Sequence[dict[str, Any]]:
    """Return the newest rows, the newest first; those whose actor, action or target begins with *containing*."""
    async with database.read() as session:
        rows = await audit.latest_rows(session, most=most, containing=containing)
    return [
        {
            "number": row.number,
            "at": row.at.isoformat(timespec="seconds"),
            "by": row.actor,
            "action": row.action,
            "target": row.target,
            "details": row.details,
            "seal": row.seal,
        }
        for row in rows
    ]


async def export_audit(database: Database, *, by: str, containing: str = "") -> str:
    """Return the log as JSON lines, the oldest first; that it was taken out stands in it afterwards."""
    rows = await read_audit(database, most=MOST_EXPORTED, containing=containing)
    async with database.begin() as session:
        audit.record(session, "audit.export", by=by, rows=len(rows), containing=containing[:64])
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in reversed(rows))


async def verify_audit(database: Database, *, head: str = "") -> Chain:
    """Compute every seal again; *head* is a seal that was noted earlier, which must be there still."""
    async with database.read() as session:
        return await audit.verify_chain(session, head=head)
