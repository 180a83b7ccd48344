"""Wishes to stop, for answers that are written elsewhere or will be gone on with: kept in the inbox."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.db import Database
from bot.storage.inbox import ANSWERED, MESSAGE
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message, Thread

EDIT = "edit:"  # before the answer's id, as the id of what waits behind an answer that an edit has outdated
WAITS = and_(Inbox.state == InboxState.PENDING, Inbox.bundle_id.is_(None))  # nothing of it is shown yet
WAITS_TO_REPLACE = and_(WAITS, Inbox.kind != MESSAGE)  # another try at an answer, which stands until then


async def find_wanted(session: AsyncSession, channel_id: str) -> Sequence[Inbox]:
    """Return what is being answered in a channel, in whichever process, and what waits for that."""
    here = select(Inbox).where(Inbox.channel_id == channel_id, Inbox.kind.in_(ANSWERED))
    return (await session.scalars(here.where(Inbox.state != InboxState.DONE).order_by(Inbox.id))).all()


async def ask_to_stop(session: AsyncSession, inbox_ids: Collection[int]) -> bool:
    """Let whoever answers some events know that somebody wants no answer any more; return whether an answer says so.

    Another try that waits is dropped, and the answer before it stands; where that has made way for it, it ends as any.
    """
    waiting = select(Inbox).where(Inbox.id.in_(inbox_ids), WAITS_TO_REPLACE)
    drops = [row.id for row in await session.scalars(waiting) if not await follows_a_stop(session, row)]
    await session.execute(delete(Inbox).where(Inbox.id.in_(drops), WAITS_TO_REPLACE))
    left = update(Inbox).where(Inbox.id.in_(inbox_ids)).values(is_stopping=True).returning(Inbox.id)
    return (await session.execute(left)).first() is not None


async def follows_a_stop(session: AsyncSession, row: Inbox) -> bool:
    """Return whether the answer before another one ended because its question was edited, and says that it goes on."""
    if not row.event_id.startswith(EDIT):
        return False
    state = await session.scalar(select(Answer.state).where(Answer.id == row.event_id.removeprefix(EDIT)))
    return state in {AnswerState.STOPPED, AnswerState.WRITING}


async def stop_edit(session: AsyncSession, answer_id: str) -> None:
    """Let nothing be written anew behind an answer whose question was edited while it was written, and say so."""
    await session.execute(update(Inbox).where(Inbox.event_id == f"{EDIT}{answer_id}", WAITS).values(is_stopping=True))


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
