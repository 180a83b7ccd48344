"""A question that its author makes an order by an edit: nothing is ordered or shown of it, and they hear so."""

import pytest
from sqlalchemy import func, select

from bot.app import RunningBot
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.manners_tables import ThreadManners
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Message
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_catch_up import be_away, use_up_tries
from tests.scenarios.test_conversation import wait_for
from tests.scenarios.test_faults import LONG, answers_in
from tests.scenarios.test_removal import UNDER_WAY, held, until_begun

BOT, WORD = "<@U0APPRENTICE>", "An order counts as it was sent"
ORDERS = ["!mute", "!stop", "!remind me in 30 minutes to call", "!ask --private What is my notice period?"]


def words(playground: Playground, person: Person) -> list[str]:
    """Return what the assistant told somebody alone in the channel, and in direct messages."""
    return [said["text"] for said in (*person.ephemerals("general"), *playground.messages(person.dm))]


async def check_nothing_done(playground: Playground, rows: Database, person: Person) -> None:
    """Nothing was ordered, nothing is stored, and its author heard so once."""
    await playground.wait_until(lambda: any(WORD in said for said in words(playground, person)), what="the word")
    await wait_for(rows, UNDER_WAY, None)
    assert len([said for said in words(playground, person) if WORD in said]) == 1
    async with rows.read() as session:
        assert await session.scalar(select(func.count()).select_from(Schedule)) == 0
        assert not any(await session.scalars(select(ThreadManners.is_muted)))
        assert list(await session.scalars(select(Message.text))) == []


@pytest.mark.parametrize("order", ORDERS)
async def test_while_it_is_answered(
    playground: Playground, bot: RunningBot, rows: Database, engine_process: EngineProcess, order: str
) -> None:
    """The answer ends where it is; neither the order nor an answer to its words is seen by those who read along."""
    priya = playground.priya
    ts = await priya.say("general", f"{BOT} {LONG}")
    await until_begun(playground, "general", ts)
    with held(engine_process):
        await priya.edit("general", ts, f"{BOT} {order}")
        await wait_for(rows, select(Message.id), None)
    await check_nothing_done(playground, rows, priya)
    assert "notice" not in str(answers_in(playground, "general", ts))
    assert len(words(playground, priya)) == 1


async def test_after_it_was_answered(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Nobody offers to answer the order."""
    priya = playground.priya
    ts = await priya.say("general", f"{BOT} What is a sprint?")
    await playground.wait_for_reply("general", ts)
    await finished()
    await priya.edit("general", ts, f"{BOT} !remind me in 30 minutes to call")
    await check_nothing_done(playground, rows, priya)
    assert "Shall I answer it again" not in str(words(playground, priya))


async def test_while_nobody_heard_it(playground: Playground, start_bot: StartBot, rows: Database) -> None:
    """What was edited in an absence is found by comparing."""
    known = await be_away(playground, rows, start_bot)
    await playground.maya.edit("general", known, f"{BOT} !mute")
    await use_up_tries(playground)
    async with start_bot():
        await check_nothing_done(playground, rows, playground.maya)
