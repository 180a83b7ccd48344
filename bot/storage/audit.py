"""What people with more rights than others did, and what follows from the newest of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import AuditRow
from bot.storage.sealing import RECORDED, START, compute_seal
from bot.storage.tables import new_id, now

AT_ONCE = 1000
RESTORED = "backup.restore"
UNPLAN = "schedule-removed"  # somebody took back what was planned, by its number
FORGET = "data.forget"  # the action by which somebody was forgotten
ALLOW, FORBID = "training.allow", "training.forbid"  # those by which the training is permitted, and is not
APART, TOGETHER = "adapters.apart", "adapters.together"  # by which adapters are put aside, and are not any more


@dataclass(frozen=True, slots=True)
class Chain:
    """How the audit log is: *count* rows hold, *broken_at* is the number of the first that does not.

    *seal* is that of the newest row: kept elsewhere, it shows later whether the newest rows were cut off.
    """

    count: int
    seal: str
    broken_at: int | None = None
    has_head: bool = True


def record(session: AsyncSession, action: str, *, by: str, target: str = "", **details: Any) -> None:
    """Add a row about what *by* did, when *session* commits; *details* hold no text of the team."""
    row = AuditRow(id=new_id(), at=now(), actor=by[:64], action=action[:64], target=target[:200], details=details or {})
    session.info.setdefault(RECORDED, []).append(row)


async def newest(session: AsyncSession, actions: Collection[str]) -> AuditRow | None:
    """Return the newest row about one of *actions*."""
    statement = select(AuditRow).where(AuditRow.action.in_(actions)).order_by(AuditRow.number.desc()).limit(1)
    return await session.scalar(statement)


async def is_off_since(session: AsyncSession, moment: datetime) -> bool:
    """Return whether the training is off, or was switched off after a moment, whether or not it is on again."""
    row = await newest(session, (ALLOW, FORBID))
    if row is not None and row.action == ALLOW:
        row = await newest(session, (FORBID,))
        return row is not None and row.at >= moment
    return row is not None


async def is_apart(session: AsyncSession) -> bool:
    """Return whether a bot puts adapters aside, or the last one did: workspaces must not mix."""
    row = await newest(session, (APART, TOGETHER))
    return row is not None and row.action == APART


async def is_decided_since(
    session: AsyncSession, row_id: str, *, actions: Collection[str], targets: Collection[str]
) -> bool:
    """Return whether a row about one of *targets* (none: any) that begins like *actions* is newer than *row_id*."""
    statement = select(AuditRow.number).where(AuditRow.id > row_id)
    statement = statement.where(or_(*(AuditRow.action.startswith(action, autoescape=True) for action in actions)))
    if targets:
        statement = statement.where(AuditRow.target.in_(targets))
    return await session.scalar(statement.limit(1)) is not None


async def latest_rows(session: AsyncSession, *, most: int, containing: str = "") -> Sequence[AuditRow]:
    """Return the newest rows, the newest first, of those whose actor, action or target begins with *containing*."""
    statement = select(AuditRow).order_by(AuditRow.number.desc()).limit(most)
    if containing:
        columns = (AuditRow.actor, AuditRow.action, AuditRow.target)
        begins = [column.startswith(containing, autoescape=True) for column in columns]
        statement = statement.where(begins[0] | begins[1] | begins[2])
    return list(await session.scalars(statement))


async def verify_chain(session: AsyncSession, *, head: str = "") -> Chain:
    """Compute every seal again, oldest first; *head* is a seal seen earlier, which must be there still."""
    count, seal, has_head, after = 0, START, not head, 0
    while True:
        statement = select(AuditRow).where(AuditRow.number > after).order_by(AuditRow.number).limit(AT_ONCE)
        rows = list(await session.scalars(statement))
        for row in rows:
            if row.number != count + 1 or row.seal != compute_seal(seal, row):
                return Chain(count, seal, row.number, has_head)
            count, seal = row.number, row.seal
            has_head = has_head or seal == head
        if len(rows) < AT_ONCE:
            return Chain(count, seal, None, has_head)
        after = rows[-1].number
        session.expunge_all()
