"""Answers that Slack let us say nowhere, and not even that they failed: asked for once more when it may let us."""

import time
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.answers import AnswerRecord, has_newer
from bot.storage.inbox import Arrival, accept
from bot.storage.limits import keep_spent
from bot.storage.tables import Answer, AnswerState, Inbox, Message, Thread
from bot.storage.threads import Place

UNSAID = "unsaid"  # for what reason an answer ended: nobody was shown anything of how it did


async def find_unsaid(
    session: AsyncSession, team_id: str, channel_id: str, *, since: datetime
) -> Sequence[AnswerRecord]:
    """Return the answers of a channel since a moment that could not be said and that no other took the place of."""
    query = (
        select(Answer, Message, Thread)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(Thread.team_id == team_id, Thread.channel_id == channel_id, Message.text != "")  # empty: not stored
        .where(Message.created_at >= since, Answer.state == AnswerState.FAILED, Answer.finish_reason == UNSAID)
        .order_by(Message.ts)
    )
    found = [
        AnswerRecord(answer, message, Place(thread.team_id, thread.channel_id, thread.thread_ts))
        for answer, message, thread in await session.execute(query)
    ]
    return [record for record in found if not await has_newer(session, record.answer)]


async def ask_again(session: AsyncSession, records: Sequence[AnswerRecord]) -> None:
    """Put the questions of some answers in their threads' lines once more, each once, at its asker's cost."""
    moment = time.time()
    for number, record in enumerate(records):
        arrival = Arrival(
            event_id=f"again:{record.answer.id}",
            team_id=record.place.team_id,
            channel_id=record.place.channel_id,
            ts=f"{moment + number / 1e6:.6f}",
            thread_ts=record.place.thread_ts,
            kind="again",
            payload={"answer_id": record.answer.id},
        )
        await accept(session, arrival)


async def drop_unsaid_try(session: AsyncSession, answer_id: str) -> None:
    """Forget a try at another answer that nobody saw: the one before stands, and its buttons can be pressed again."""
    replaced = await session.scalar(select(Answer.replaces_id).where(Answer.id == answer_id))
    if replaced is None:
        return
    await keep_spent(session, Answer.id == answer_id)
    await session.execute(delete(Answer).where(Answer.id == answer_id))
    pressed = update(Inbox).where(Inbox.event_id == f"again:{replaced}")
    await session.execute(pressed.values(event_id=f"unsaid:{answer_id}"))
