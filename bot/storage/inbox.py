"""The inbox: what Slack told us to do, kept from before the acknowledgement until the visible outcome."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.leases import wait_in_line
from bot.storage.tables import Inbox, InboxState, now

MAX_ATTEMPTS = 3
SUSPECT = 2  # begun so often in vain, an event may be what ends the process: such run one at a time
MESSAGE = "message"
DELETED = "deleted"  # beside the event that the message was
ANSWERED = (MESSAGE, "again")  # the kinds of events that end in an answer
CLAIM = "inbox"  # the line in which processes claim, one at a time, so that no two begin in one thread
MOST_MERGED = 20  # messages of one person are one turn
NO_THREAD = ""  # of a message that was gone before it came
GONE = "gone:{}:{}"  # the id of such an event
LONGEST_WAIT = timedelta(seconds=6)  # after its time, whoever goes on writing is answered all the same
NEVER = timedelta(seconds=120)  # nothing is to wait for so long: the machine's clock was set back


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


async def accept(session: AsyncSession, arrival: Arrival, *, merge_s: float = 0) -> bool:
    """Store *arrival*; return False when it, or its twin with another event id, is known already.

    For *merge_s* it waits for more of the same person, and with it whatever waits in its thread already.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    ready_at = now() + timedelta(seconds=merge_s) if merge_s else None
    values = {**vars(arrival), "ready_at": ready_at}
    statement = insert(Inbox).values(values).on_conflict_do_nothing().returning(Inbox.id)
    return (await session.scalar(statement)) is not None


async def find_ready(session: AsyncSession, *, limit: int, moment: datetime | None = None) -> Sequence[Inbox]:
    """Return the oldest waiting event of each thread in which nothing runs: one at a time per thread, in order."""
    moment = moment or now()
    values = {"moment": moment, "longest": moment - LONGEST_WAIT, "never": moment + NEVER, "limit": limit}
    first: dict[tuple[str, str, str], Inbox] = {}
    for row in await session.scalars(READY, values):  # two kinds of event can have the same time
        first.setdefault((row.team_id, row.channel_id, row.thread_ts), row)
    return list(first.values())


def _select_ready() -> Select[Inbox]:
    """Build the statement, once: it is asked for with every event, and building takes longer than asking."""
    thread = (Inbox.team_id, Inbox.channel_id, Inbox.thread_ts)
    # By Slack's own time, not by arrival: two messages of a thread can come in over two connections.
    newest, oldest = func.max(Inbox.ready_at), func.min(Inbox.ready_at)
    heads = (
        select(*thread, func.min(Inbox.ts).label("ts"))
        .where(Inbox.state == InboxState.PENDING)
        .group_by(*thread)
        .having(
            or_(
                newest.is_(None),
                newest <= bindparam("moment"),
                oldest <= bindparam("longest"),
                newest > bindparam("never"),
            )
        )
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
    return (
        select(Inbox)
        .join(heads, is_head)
        .where(Inbox.state == InboxState.PENDING, ~is_busy, or_(Inbox.attempts < SUSPECT, _is_next_suspect()))
        .order_by(Inbox.id)
        .limit(bindparam("limit", type_=Integer))
    )


def _is_next_suspect() -> ColumnElement[bool]:
    """Say that it is of the thread of the oldest that may have ended the process, and that none of them runs.

    So whoever was only there when another event did it is answered, and that one is known by its third time.
    """
    suspect, other = aliased(Inbox), aliased(Inbox)
    oldest = (
        select(suspect.team_id, suspect.channel_id, suspect.thread_ts)
        .where(suspect.state == InboxState.PENDING, suspect.attempts >= SUSPECT)
        .order_by(suspect.id)
        .limit(1)
    )
    is_one_running = exists().where(other.state == InboxState.RUNNING, other.attempts > SUSPECT)
    return and_(tuple_(Inbox.team_id, Inbox.channel_id, Inbox.thread_ts).in_(oldest), ~is_one_running)


READY = _select_ready()


async def claim_ready(session: AsyncSession, *, limit: int, worker_id: str | None = None) -> Sequence[Sequence[Inbox]]:
    """Claim what is ready, in turns: an event, or several messages of one person with nobody's in between.

    What was one turn before a crash is the same turn after it, so that its half-shown answer goes on.
    """
    await wait_in_line(session, CLAIM)
    turns = [await _find_turn(session, head) for head in await find_ready(session, limit=limit)]
    for rows in turns:
        _begin(rows, worker_id)
    return turns


def _begin(rows: Sequence[Inbox], worker_id: str | None) -> None:
    for row in rows:
        row.state, row.bundle_id, row.worker_id = InboxState.RUNNING, rows[-1].id, worker_id
        row.attempts += 1


async def has_waiting(session: AsyncSession, kind: str) -> bool:
    """Return whether an event of a kind waits."""
    waiting = select(Inbox.id).filter_by(kind=kind, state=InboxState.PENDING)
    return (await session.scalar(waiting.limit(1))) is not None


async def claim_kind(
    session: AsyncSession, kind: str, *, limit: int, worker_id: str | None = None
) -> Sequence[Sequence[Inbox]]:
    """Claim events of a kind that waits for nothing else, each a turn of its own."""
    await wait_in_line(session, CLAIM)
    waiting = select(Inbox).filter_by(kind=kind, state=InboxState.PENDING).order_by(Inbox.id)
    rows = (await session.scalars(waiting.limit(limit))).all()
    for row in rows:
        _begin([row], worker_id)
    return [[row] for row in rows]


async def _find_turn(session: AsyncSession, head: Inbox) -> Sequence[Inbox]:
    if head.kind != MESSAGE:
        return [head]
    here = {"team_id": head.team_id, "channel_id": head.channel_id, "thread_ts": head.thread_ts}
    waiting = select(Inbox).filter_by(**here, state=InboxState.PENDING).where(Inbox.id != head.id)
    after = await session.scalars(waiting.order_by(Inbox.ts, Inbox.id).limit(MOST_MERGED - 1))
    return [head, *takewhile(lambda row: _is_same_turn(head, row), after)]


def _is_same_turn(head: Inbox, row: Inbox) -> bool:
    if head.bundle_id is not None or row.bundle_id is not None:
        return head.bundle_id == row.bundle_id
    return row.kind == MESSAGE and speaker_of(row) == speaker_of(head)


def speaker_of(row: Inbox) -> object:
    """Return who said or clicked it."""
    event = row.payload.get("event") or {}
    return event.get("user") or event.get("bot_id") or row.payload.get("user_id")


async def next_ready_at(session: AsyncSession, *, after: datetime) -> datetime | None:
    """Return when, after a moment, the next event that waits for more will have waited enough."""
    waits = select(func.min(Inbox.ready_at)).where(Inbox.state == InboxState.PENDING, Inbox.ready_at > after)
    return await session.scalar(waits)


async def finish(session: AsyncSession, inbox_ids: int | Collection[int]) -> None:
    """Mark events as done and drop their text; their ids stay to recognise a late redelivery."""
    ids = [inbox_ids] if isinstance(inbox_ids, int) else list(inbox_ids)
    await session.execute(
        update(Inbox).where(Inbox.id.in_(ids)).values(state=InboxState.DONE, payload={}, done_at=now())
    )


async def put_back(session: AsyncSession, inbox_ids: Collection[int]) -> None:
    """Let claimed events wait again, as if nobody had begun them."""
    back = update(Inbox).where(Inbox.id.in_(inbox_ids), Inbox.state == InboxState.RUNNING)
    await session.execute(back.values(state=InboxState.PENDING, worker_id=None, attempts=Inbox.attempts - 1))


async def turn_away(session: AsyncSession, arrival: Arrival) -> None:
    """Mark an event that was stored just now as done: it gets no answer, and is known when it comes again."""
    refused = update(Inbox).where(Inbox.event_id == arrival.event_id)
    await session.execute(refused.values(state=InboxState.DONE, payload={}, done_at=now()))


async def let_again(session: AsyncSession, row: Inbox) -> None:
    """Let a click that was refused for now be made once more later; a message is said anew instead."""
    if row.kind != MESSAGE:
        await session.execute(update(Inbox).where(Inbox.id == row.id).values(event_id=f"refused:{row.id}"))


async def replace_waiting(
    session: AsyncSession, team_id: str, channel_id: str, *, ts: str, message: dict[str, Any]
) -> None:
    """Let an event say what its author has made of it since, also one whose answer has not begun yet.

    An older edit that comes after a newer one, as Slack may deliver it again, changes nothing.
    """
    here = {"team_id": team_id, "channel_id": channel_id, "ts": ts, "kind": MESSAGE}
    row = await session.scalar(select(Inbox).filter_by(**here).where(Inbox.state != InboxState.DONE))
    if row is not None and row.payload and edit_of(row.payload["event"]) <= edit_of(message):
        row.payload = {**row.payload, "event": {**row.payload["event"], **message, "subtype": None}}


async def drop_waiting(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> None:
    """Take an event out of the line because its message is gone; one that is being answered loses its text.

    That one still holds its place, so that nothing else begins in the thread before its answer has ended. One that
    comes only after its deletion, as Slack may deliver it, finds its place taken.
    """
    late = Arrival(GONE.format(channel_id, ts), team_id, channel_id, ts, thread_ts=NO_THREAD, kind=MESSAGE, payload={})
    if await accept(session, late):
        await turn_away(session, late)
        return
    await accept(session, replace(late, kind=DELETED))  # for whoever has read it, and writes of it
    await turn_away(session, late)
    row = await _waiting(session, team_id, channel_id, ts)
    if row is not None:
        await finish(session, row.id)
    here = {"team_id": team_id, "channel_id": channel_id, "ts": ts, "kind": "message"}
    gone = update(Inbox).filter_by(**here, state=InboxState.RUNNING)
    await session.execute(gone.values(payload={}, is_stopping=True))


async def is_gone(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> bool:
    """Return whether a message that came in as something else, such as an order, was deleted since."""
    return bool(await session.scalar(select(Inbox.id).filter_by(event_id=GONE.format(channel_id, ts), team_id=team_id)))


async def are_gone(session: AsyncSession, channel_id: str, stamps: Collection[str]) -> bool:
    """Return whether one of a channel's messages was deleted lately, whoever wrote it, as far as Slack has told."""
    gone = [GONE.format(channel_id, ts) for ts in stamps]
    return await session.scalar(select(Inbox.id).where(Inbox.event_id.in_(gone)).limit(1)) is not None


async def find_known(session: AsyncSession, team_id: str, channel_id: str, *, since_ts: str) -> set[str]:
    """Return the times of the messages of a channel that came in, whatever became of them."""
    here = select(Inbox.ts).filter_by(team_id=team_id, channel_id=channel_id)
    return set(await session.scalars(here.where(Inbox.ts >= since_ts)))


async def is_known(session: AsyncSession, team_id: str, channel_id: str, *, ts: str, kind: str = MESSAGE) -> bool:
    """Return whether a message, or what else it was, came in lately, whatever became of it."""
    here = select(Inbox.id).filter_by(team_id=team_id, channel_id=channel_id, ts=ts, kind=kind)
    return (await session.scalar(here.limit(1))) is not None


async def list_threads(session: AsyncSession, team_id: str, channel_id: str, *, limit: int = 50) -> Sequence[str]:
    """Return the threads of a channel in which something came in, those of the newest first."""
    here = select(Inbox.thread_ts).filter_by(team_id=team_id, channel_id=channel_id, kind=MESSAGE)
    here = here.where(Inbox.thread_ts != NO_THREAD)
    newest = func.max(Inbox.ts)
    return (await session.scalars(here.group_by(Inbox.thread_ts).order_by(newest.desc()).limit(limit))).all()


async def still_there(session: AsyncSession, rows: Sequence[Inbox], *, is_begun: bool = False) -> Sequence[Inbox]:
    """Return those of some claimed events that are still wanted, as they stand now, without what was deleted.

    A question that was stopped is there, for its answer says so. Another try at an answer is not, for the one before
    still stands, unless it *is_begun*, perhaps before a crash: then half of it may be shown.
    """
    known = select(Inbox).where(Inbox.id.in_([row.id for row in rows])).execution_options(populate_existing=True)
    there = {row.id: row for row in await session.scalars(known) if row.payload}
    there = {key: row for key, row in there.items() if is_begun or row.kind == MESSAGE or not row.is_stopping}
    return [there[row.id] for row in rows if row.id in there]


async def has_earlier(session: AsyncSession, row: Inbox) -> bool:
    """Return whether something waits that was said before a claimed event in its thread, and came in since."""
    here = {"team_id": row.team_id, "channel_id": row.channel_id, "thread_ts": row.thread_ts}
    before = select(Inbox.id).filter_by(**here, state=InboxState.PENDING).where(Inbox.ts < row.ts)
    return (await session.scalar(before.limit(1))) is not None


async def find_edits(
    session: AsyncSession, team_id: str, channel_id: str, stamps: Collection[str]
) -> dict[str, str | None]:
    """Return the newest edits of messages that are being answered, by their times in Slack; None: it was deleted.

    Nobody edits them before the transaction ends.
    """
    here = select(Inbox).filter_by(team_id=team_id, channel_id=channel_id, kind=MESSAGE, state=InboxState.RUNNING)
    rows = (await session.scalars(here.where(Inbox.ts.in_(stamps)).with_for_update())).all()
    return {row.ts: edit_of(row.payload["event"]) if row.payload else None for row in rows}


def edit_of(message: Mapping[str, Any]) -> str:
    """Return the time of a message's edit as Slack tells it, which orders edits; empty for one as it was sent."""
    edited = message.get("edited")
    return str(edited.get("ts") or "") if isinstance(edited, dict) else ""


async def _waiting(session: AsyncSession, team_id: str, channel_id: str, ts: str) -> Inbox | None:
    here = {"team_id": team_id, "channel_id": channel_id, "ts": ts, "kind": "message"}
    return await session.scalar(select(Inbox).filter_by(**here, state=InboxState.PENDING))


async def count_waiting(session: AsyncSession, *, kinds: Collection[str] = ()) -> int:
    """Return how many events wait or run, of some kinds or of all."""
    statement = select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE)
    statement = statement.where(Inbox.kind.in_(kinds)) if kinds else statement
    return (await session.scalar(statement)) or 0


async def oldest_waiting(session: AsyncSession) -> datetime | None:
    """Return when the event came that has waited longest."""
    return await session.scalar(select(func.min(Inbox.received_at)).where(Inbox.state != InboxState.DONE))


async def prune(session: AsyncSession, *, before: datetime) -> None:
    """Forget events that were done before *before*: Slack redelivers for minutes, not for days."""
    await session.execute(delete(Inbox).where(Inbox.state == InboxState.DONE, Inbox.done_at < before))
