"""Workers: who has begun what, shown to be alive, and relieved of it when they are not."""

from datetime import datetime

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.inbox import ANSWERED
from bot.storage.leases import read_shared_clock
from bot.storage.schedules import give_back
from bot.storage.tables import Inbox, InboxState
from bot.storage.worker_tables import HeardUntil, Worker

SLACK = "slack"


async def enlist(session: AsyncSession, place: str) -> str:
    """Begin to work at *place* and return the token for it; who worked there before is gone."""
    await session.execute(delete(Worker).where(Worker.place == place))
    worker = Worker(place=place, began_at=await read_shared_clock(session))
    session.add(worker)
    await session.flush()
    return worker.id


async def beat(session: AsyncSession, worker_id: str) -> bool:
    """Show that a worker is alive; False when it was dismissed."""
    mine = update(Worker).where(Worker.id == worker_id).values(beats=Worker.beats + 1)
    return (await session.scalar(mine.returning(Worker.id))) is not None


async def list_beats(session: AsyncSession) -> dict[str, int]:
    """Return how often each worker has shown that it is alive."""
    found = await session.execute(select(Worker.id, Worker.beats))
    return {row.id: row.beats for row in found}


async def dismiss(session: AsyncSession, worker_id: str, *, beats: int) -> bool:
    """Take a worker off the list that has counted no further than *beats*; False when it has since."""
    statement = delete(Worker).where(Worker.id == worker_id, Worker.beats == beats)
    return (await session.scalar(statement.returning(Worker.id))) is not None


async def resign(session: AsyncSession, worker_id: str) -> None:
    """Give back what a worker had begun, because it stops on purpose: for an answer that counts as no attempt.

    An answer goes on where it stands. An order may have been carried out, and only its word be left to say, and what
    was due may have been said: they must be known to have been begun.
    """
    await session.execute(delete(Worker).where(Worker.id == worker_id))
    mine = update(Inbox).where(Inbox.worker_id == worker_id, Inbox.state == InboxState.RUNNING)
    attempts = case((Inbox.kind.in_(ANSWERED), Inbox.attempts - 1), else_=Inbox.attempts)
    await session.execute(mine.values(state=InboxState.PENDING, worker_id=None, attempts=attempts))
    await give_back(session)


async def recover(session: AsyncSession) -> int:
    """Give back what was begun by a worker that is on the list no more; return how many events and due times."""
    known = select(Worker.id)
    orphaned = or_(Inbox.worker_id.is_(None), Inbox.worker_id.not_in(known))
    statement = update(Inbox).where(Inbox.state == InboxState.RUNNING, orphaned)
    result = await session.execute(statement.values(state=InboxState.PENDING, worker_id=None).returning(Inbox.id))
    return len(result.all()) + await give_back(session)


async def was_there(session: AsyncSession, moment: datetime) -> bool:
    """Return whether one of those that are on the list was so at *moment* already."""
    began_at = await session.scalar(select(func.min(Worker.began_at)))
    return began_at is not None and began_at <= moment


async def note_heard(session: AsyncSession, *, until: datetime | None = None) -> None:
    """Remember that all was heard until a moment, this one if none is named.

    By the clock that all share: what is said after the last of them has ended would be taken for heard, for as long as
    its own clock is ahead.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    moment = until or await read_shared_clock(session)
    statement = insert(HeardUntil).values(name=SLACK, at=moment)
    await session.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"at": moment}))


async def heard_until(session: AsyncSession) -> datetime | None:
    """Return until when Slack was heard; None before the first time."""
    return await session.scalar(select(HeardUntil.at).where(HeardUntil.name == SLACK))


async def heard_since(session: AsyncSession, team_id: str, channel_id: str) -> datetime | None:
    """Return since when a channel is heard, as far back as the inbox goes; None where nobody has called us yet."""
    return await session.scalar(select(func.min(Inbox.received_at)).filter_by(team_id=team_id, channel_id=channel_id))
