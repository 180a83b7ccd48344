"""Which question a conversation has its title from."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.tables import Message, Thread


@dataclass(frozen=True, slots=True)
class Titled:
    """The question that gave a conversation its title, as it was."""

    channel_id: str
    thread_ts: str
    message_id: str
    text: str


async def find_titled(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> Titled | None:
    """Return the conversation that a message gave its title; None for any but the first in its thread."""
    here = select(Message.id, Message.text, Thread.thread_ts, Message.thread_id)
    here = here.join(Thread, Message.thread_id == Thread.id).where(Message.ts == ts)
    row = (await session.execute(here.where(Thread.team_id == team_id, Thread.channel_id == channel_id))).first()
    if row is None or await session.scalar(select(func.min(Message.ts)).where(Message.thread_id == row[3])) != ts:
        return None
    return Titled(channel_id, row[2], row[0], row[1])


async def find_words(session: AsyncSession, titled: Titled) -> str:
    """Return what that question says now; empty where it is gone, or is not stored."""
    return await session.scalar(select(Message.text).where(Message.id == titled.message_id)) or ""
