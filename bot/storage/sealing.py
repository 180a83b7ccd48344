"""The chain of the audit log: each row's seal covers the row and the seal before it, so that a change shows.

Rows are chained at the very end of the transaction that records them, one transaction at a time over all processes on
one database: nobody waits for the chain longer than a commit takes, and no two rows can follow the same one.
"""

import hashlib
import json
from datetime import UTC
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bot.storage.learning_tables import AuditRow, Lease
from bot.storage.tables import now

RECORDED = "recorded"  # where a session keeps what it has to chain
LINE = "audit"
START = "0" * 64


def compute_seal(before: str, row: AuditRow) -> str:
    """Return the seal of *row* after the seal *before*."""
    at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    content = [before, row.number, row.id, at, row.actor, row.action, row.target, row.details]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal_audit(session: Session) -> None:
    """Chain what *session* has recorded; it commits right after this."""
    rows: list[AuditRow] = session.info.pop(RECORDED, [])
    if not rows:
        return
    _wait_in_line(session)
    last = select(AuditRow.number, AuditRow.seal).order_by(AuditRow.number.desc()).limit(1)
    number, seal = session.execute(last).one_or_none() or (0, START)
    for row in rows:
        number += 1
        row.number = number
        row.seal = seal = compute_seal(seal, row)
        session.add(row)
    session.flush()


def _wait_in_line(session: Session) -> None:
    """Let one transaction at a time pass; the others see its rows when it has committed."""
    values: dict[str, Any] = {"name": LINE, "owner": "", "fence": 0, "until": now()}
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(insert(Lease).values(**values).on_conflict_do_nothing())
    session.execute(select(Lease.name).where(Lease.name == LINE).with_for_update())
