"""Whoever's data was taken out at the terminal is owed a word, which the bot that runs, or the next one, says."""

import time

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.inbox import Arrival, accept
from bot.storage.tables import Message, Thread, new_id

EXPORTED = "exported"  # the kind of such an event in the inbox


async def owe_word(session: AsyncSession, user_id: str, *, by: str) -> None:
    """Let somebody be told that *by* took out what is stored of them."""
    last = select(Thread.team_id).join(Message, Message.thread_id == Thread.id).where(Message.user_id == user_id)
    event_id = new_id()
    arrival = Arrival(
        event_id=event_id,
        team_id=await session.scalar(last.order_by(Message.id.desc()).limit(1)) or "",
        channel_id="",
        ts=f"{time.time():.6f}",
        thread_ts=event_id,  # it stands in no line
        kind=EXPORTED,
        payload={"user_id": user_id, "by": by},
    )
    await accept(session, arrival)
