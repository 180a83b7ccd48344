"""The whole bot on SQLite and on PostgreSQL: the same conversation leaves the same rows."""

from sqlalchemy import select

from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState, Correction, Feedback, Inbox, InboxState, Message
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_conversation import wait_for

BOT = "<@U0APPRENTICE>"


async def test_a_conversation_is_stored_alike(playground: Playground, start_bot: StartBot, database_url: str) -> None:
    """Migrated by the bot itself: question, answer, follow-up, thumb, correction, Regenerate, edit and deletion."""
    maya, tom = playground.maya, playground.tom
    async with start_bot(database_url=database_url):
        await playground.wait_for_connection()
        ts = await maya.say("general", f"{BOT} hello\x00 there")
        reply = await playground.wait_for_reply("general", ts)
        second = await tom.say("general", "What is a sprint?", thread_ts=ts)
        await playground.wait_for_reply("general", ts, after=second)
        await maya.click(reply, "feedback", "negative_button")
        await playground.wait_for_view(maya.id)
        await maya.submit_view({"reason": "wrong", "correction": "Good morning!"})
        await maya.click(reply, "regenerate")
        third = await tom.say("general", "thanks", thread_ts=ts)
        await playground.wait_for_reply("general", ts, after=third)
        rows = Database(database_url)
        await wait_for(rows, select(Correction.text), "Good morning!")
        await tom.delete("general", second)
        await wait_for(rows, select(Message.text).where(Message.ts == second), None)

    async with rows.read() as session:
        texts = list(await session.scalars(select(Message.text).order_by(Message.ts)))
        states = list(await session.scalars(select(Answer.state)))
        waiting = list(await session.scalars(select(Inbox).where(Inbox.state != InboxState.DONE)))
        votes = list(await session.scalars(select(Feedback.vote).where(Feedback.superseded_at.is_(None))))
    await rows.close()
    assert texts == ["hello there", "thanks"]
    assert states == [AnswerState.COMPLETE] * 3
    assert waiting == []
    assert votes == ["down"]
