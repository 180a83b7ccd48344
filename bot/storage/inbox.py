"""The inbox: what Slack told us to do, kept from before the acknowledgement until the visible outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.tables import Inbox, InboxState, now
from bot.storage.threads import Place

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Arrival:
    """An event as it arrives; *kind* tells a message from a click that also wants an answer."""

    event_id: str
    team_id: str
    channel_id: str
    ts: str
    thread_ts: str
    kind: str
    payload: dict[str, Any]


async def accept(session: AsyncSession, arrival: Arrival) -> bool:
    """Store *arrival*; return False when it, or its twin with another event id, is known already."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(Inbox).values(**vars(arrival)).on_conflict_do_nothing().returning(Inbox.id)
    return (await session.scalar(statement)) is not None


async def has_thread(session: AsyncSession, place: Place) -> bool:
    """Return whether a thread has an event here, which makes it ours before its first turn has begun."""
    return (await session.scalar(select(Inbox.id).filter_by(**vars(place)).limit(1))) is not None


async def find_ready(session: AsyncSession, *, limit: int) -> Sequence[Inbox]:
    """Return the oldest waiting event of each thread in which nothing runs: one at a time per thread, in order."""
    thread = (Inbox.team_id, Inbox.channel_id, Inbox.thread_ts)
    # By Slack's own time, not by arrival: two messages of a thread can come in over two connections.
    heads = (
        select(*thread, func.min(Inbox.ts).label("ts"))
        .where(Inbox.state == InboxState.PENDING)
        .group_by(*thread)
        .subquery()
    )
    running = aliased(Inbox)
    is_busy = exists().where(
        running.state == InboxState.RUNNING,
        running.team_id == Inbox.team_id,
        running.channel_id == Inbox.channel_id,
        running.thread_ts == Inbox.thread_ts,
    )
    is_head = and_(*(column == heads.c[column.key] for column in (*thread, Inbox.ts)))
    ready = (
        select(Inbox)
        .join(heads, is_head)
        .where(Inbox.state == InboxState.PENDING, ~is_busy)
        .order_by(Inbox.id)
        .limit(limit)
    )
    first: dict[tuple[str, str, str], Inbox] = {}
    for row in await session.scalars(ready):  # two kinds of event can have the same time
        first.setdefault((row.team_id, row.channel_id, row.thread_ts), row)
    return list(first.values())


async def claim_ready(session: AsyncSession, *, limit: int) -> Sequence[Inbox]:
    """Claim what is ready."""
    rows = await find_ready(session, limit=limit)
    for row in rows:
        row.state = InboxState.RUNNING
        row.attempts += 1
    return rows


async def finish(session: AsyncSession, inbox_id: int) -> None:
    """Mark an event as done and drop its text; its ids stay to recognise a late redelivery."""
    await session.execute(
        update(Inbox).where(Inbox.id == inbox_id).values(state=InboxState.DONE, payload={}, done_at=now())
    )


async def replace_waiting(
    session: AsyncSession, team_id: str, channel_id: str, *, ts: str, message: dict[str, Any]
) -> None:
    """Let an event that waits say what its author has made of it since."""
    row = await _waiting(session, team_id, channel_id, ts)
    if row is not None:
        row.payload = {**row.payload, "event": {**row.payload["event"], **message, "subtype": None}}


async def drop_waiting(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> None:
    """Take an event out of the line because its message is gone."""
    row = await _waiting(session, team_id, channel_id, ts)
    if row is not None:
        await finish(session, row.id)


async def _waiting(session: AsyncSession, team_id: str, channel_id: str, ts: str) -> Inbox | None:
    here = {"team_id": team_id, "channel_id": channel_id, "ts": ts, "kind": "message"}
    return await session.scalar(select(Inbox).filter_by(**here, state=InboxState.PENDING))


async def recover(session: AsyncSession) -> int:
    """Give back what an earlier process had begun and not finished; return how many."""
    statement = update(Inbox).where(Inbox.state == InboxState.RUNNING).values(state=InboxState.PENDING)
    result = await session.execute(statement.returning(Inbox.id))
    return len(result.all())


async def count_waiting(session: AsyncSession) -> int:
    """Return how many events wait or run."""
    statement = select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE)
    return (await session.scalar(statement)) or 0


async def prune(session: AsyncSession, *, before: datetime) -> None:
    """Forget events that were done before *before*: Slack redelivers for minutes, not for days."""
    await session.execute(delete(Inbox).where(Inbox.state == InboxState.DONE, Inbox.done_at < before))
