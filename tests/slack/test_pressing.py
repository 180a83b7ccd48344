"""Who may do what with an answer: what a form names is only what it was sent with."""

import pytest

from bot.slack.turns.pressing import may_correct
from bot.storage.answers import load_answer
from bot.storage.db import Database
from bot.storage.threads import Place
from tests.builders import answered, said


@pytest.mark.parametrize(("channel", "is_allowed"), [("C1", True), ("D1", False)])
async def test_nobody_corrects_what_another_was_told_alone(
    database: Database, channel: str, *, is_allowed: bool
) -> None:
    """In a channel whoever reads it may; the direct message of somebody else nobody can have pressed in."""
    async with database.begin() as session:
        message = await said(session, "question", ts="1.000", place=Place("T1", channel, "1.000"), user="U1")
        answer = await answered(session, message, "answer")
        await session.flush()
        record = await load_answer(session, answer.id)
        assert record is not None
        assert may_correct(record, "U1", "T1")
        assert may_correct(record, "U2", "T1") is is_allowed
        assert not may_correct(record, "U1", "T2")
