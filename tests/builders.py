"""Rows that tests need, with every field that they do not care about filled in."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.answers import begin_answer, update_answer
from bot.storage.inbox import Arrival
from bot.storage.tables import Answer, AnswerState, Audience, Message
from bot.storage.threads import Place, join_thread, save_message

PLACE = Place("T1", "C1", "100.000")


def arrival(**changes: Any) -> Arrival:
    """Build an event that arrives."""
    values = {
        "event_id": "Ev1",
        "team_id": "T1",
        "channel_id": "C1",
        "ts": "100.000",
        "thread_ts": "100.000",
        "kind": "message",
        "payload": {"event": {"text": "hello"}},
    }
    return Arrival(**{**values, **changes})


async def said(
    session: AsyncSession, text: str = "hello", *, ts: str = "100.000", place: Place = PLACE, user: str = "U1"
) -> Message:
    """Store a message of a person."""
    thread = await join_thread(session, place, audience=Audience.PUBLIC)
    return await save_message(
        session, thread, ts=ts, user_id=user, user_name="Maya", text=text, audience=Audience.PUBLIC
    )


async def answered(session: AsyncSession, message: Message, text: str, **changes: Any) -> Answer:
    """Store a complete answer to *message*."""
    answer, _ = await begin_answer(session, message, replaces_id=changes.pop("replaces_id", None))
    await update_answer(session, answer.id, **{"text": text, "state": AnswerState.COMPLETE, **changes})
    await session.refresh(answer)
    return answer
