"""Answers that could be said nowhere are asked for again, once; tries at others that nobody saw leave no trace."""

from datetime import timedelta

from sqlalchemy import select

from bot.storage.db import Database
from bot.storage.inbox import Arrival, accept
from bot.storage.limits import count_tokens
from bot.storage.tables import Answer, AnswerState, Inbox, now
from bot.storage.threads import Place
from bot.storage.unsaid import UNSAID, ask_again, drop_unsaid_try, find_unsaid
from tests.builders import PLACE, answered, said

LOST = {"state": AnswerState.FAILED, "finish_reason": UNSAID}


async def test_only_what_nobody_was_shown_is_asked_again(database: Database) -> None:
    """Of this channel, young, stored, and not answered since; of several in their order, and each once."""
    since = now() - timedelta(days=1)
    async with database.begin() as session:
        for number in (2, 1):
            place = Place("T1", "C1", f"{number}00.000")
            await answered(
                session, await said(session, f"lost {number}", ts=f"{number}00.000", place=place), "", **LOST
            )
        await answered(session, await said(session, "shown", ts="300.000"), "", state=AnswerState.FAILED)
        await answered(session, await said(session, "", ts="400.000"), "", **LOST)
        since_answered = await said(session, "answered since", ts="500.000")
        await answered(session, since_answered, "", **LOST)
        await answered(session, since_answered, "Yes.")
        elsewhere = Place("T1", "C2", "100.000")
        await answered(session, await said(session, "elsewhere", place=elsewhere), "", **LOST)
        old = await answered(session, await said(session, "old", ts="600.000"), "", **LOST)
        (await session.get_one(type(since_answered), old.message_id)).created_at = since - timedelta(hours=1)
    async with database.read() as session:
        found = await find_unsaid(session, "T1", "C1", since=since)
        assert [record.message.text for record in found] == ["lost 1", "lost 2"]
        assert await find_unsaid(session, "T2", "C1", since=since) == []
    for _ in range(2):
        async with database.begin() as session:
            await ask_again(session, found)
    async with database.read() as session:
        waiting = (await session.scalars(select(Inbox).order_by(Inbox.ts))).all()
    assert [(row.kind, row.thread_ts, row.payload) for row in waiting] == [
        ("again", record.place.thread_ts, {"answer_id": record.answer.id}) for record in found
    ]


async def test_a_try_that_nobody_saw_leaves_the_answer_as_it_was(database: Database) -> None:
    """Its button can be pressed again, and what was computed counts; an answer that replaces none is kept."""
    async with database.begin() as session:
        message = await said(session)
        one = await answered(session, message, "one", completion_tokens=5)
        press = Arrival(f"again:{one.id}", "T1", "C1", "150.000", PLACE.thread_ts, "again", {"answer_id": one.id})
        assert await accept(session, press)
        two = await answered(session, message, "", replaces_id=one.id, completion_tokens=7, **LOST)
        await drop_unsaid_try(session, two.id)
        await drop_unsaid_try(session, one.id)
        assert list(await session.scalars(select(Answer.id))) == [one.id]
        assert await accept(session, Arrival(**{**vars(press), "ts": "160.000"}))
        assert await count_tokens(session, since=now() - timedelta(hours=1), channel_id="C1") == (12, 1)
