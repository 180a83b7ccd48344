"""Wishes to stop, for answers that are written elsewhere or will be gone on with: kept in the inbox."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.db import Database
from bot.storage.inbox import ANSWERED
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message, Thread


async def find_begun(session: AsyncSession, channel_id: str) -> Sequence[Inbox]:
    """Return what is being answered in a channel, in whichever process, or was when one ended: half of it is shown."""
    half = and_(Inbox.state == InboxState.PENDING, Inbox.bundle_id.is_not(None))
    here = select(Inbox).where(Inbox.channel_id == channel_id, Inbox.kind.in_(ANSWERED))
    return (await session.scalars(here.where(or_(Inbox.state == InboxState.RUNNING, half)).order_by(Inbox.id))).all()


async def ask_to_stop(session: AsyncSession, inbox_ids: Collection[int]) -> None:
    """Let whoever answers some events know that somebody wants no answer any more."""
    await session.execute(update(Inbox).where(Inbox.id.in_(inbox_ids)).values(is_stopping=True))


async def is_half_written(session: AsyncSession, row: Inbox) -> bool:
    """Return whether an answer was begun in an event's thread and has not ended: in each there is one at a time."""
    here = {"team_id": row.team_id, "channel_id": row.channel_id, "thread_ts": row.thread_ts}
    begun = select(Answer.id).join(Message, Answer.message_id == Message.id).join(Thread).filter_by(**here)
    return await session.scalar(begun.where(Answer.state == AnswerState.WRITING).limit(1)) is not None


async def find_stopping(session: AsyncSession, worker_id: str) -> Sequence[Inbox]:
    """Return what a worker answers and somebody wants no answer to any more."""
    mine = select(Inbox).where(Inbox.worker_id == worker_id, Inbox.state == InboxState.RUNNING)
    return (await session.scalars(mine.where(Inbox.is_stopping))).all()


async def is_stopping(database: Database, inbox_id: int) -> bool:
    """Return whether somebody wants no answer to an event any more."""
    async with database.read() as session:
        return bool(await session.scalar(select(Inbox.is_stopping).where(Inbox.id == inbox_id)))
