"""Reminders and digests as people order them, said by a running bot."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.schedule_tables import Occurrence, Schedule
from bot.storage.schedules import LEASE
from bot.storage.tables import now
from tests.scenarios.conftest import StartBot

BOT = "U0APPRENTICE"


async def order(playground: Playground, rows: Database, text: str, *, channel: str = "general") -> str:
    """Let Tom give an order and return what he is told, and let it be due now."""
    tom = playground.tom
    before = len(tom.ephemerals(channel))
    await tom.command("/apprentice", text, channel=channel)
    told = await playground.wait_until(lambda: tom.ephemerals(channel)[before:], what="the answer to the order")
    return str(told[-1]["text"])


async def be_due(rows: Database, *, ago: timedelta = timedelta(seconds=1)) -> None:
    """Let everything that is planned be due."""
    async with rows.begin() as session:
        for schedule in await session.scalars(select(Schedule)):
            schedule.next_at = now() - ago


def said(playground: Playground, channel: str) -> list[str]:
    """Return what the assistant said in a channel."""
    return [message["text"] for message in playground.messages(channel) if message["user"] == BOT]


async def test_a_reminder_comes(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Ordered by the slash command, shown back, said in the direct message, and listed no more."""
    told = await order(playground, rows, "remind me tomorrow at 9:00 to call Maya")
    await be_due(rows)
    await playground.wait_until(lambda: said(playground, playground.tom.dm), what="the reminder")
    empty = await order(playground, rows, "schedule")

    assert "(Europe/Berlin)" in told
    assert said(playground, playground.tom.dm) == ["⏰ You asked me to remind you: call Maya"]
    assert "Nothing is planned" in empty


@pytest.mark.timeout(60)  # without an end it would take more and more memory
async def test_a_reminder_comes_while_the_clock_is_set_right(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    clock_ahead: list[timedelta],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine that was twenty years behind: no job goes through all that it missed, and orders are heard."""
    monkeypatch.setattr("bot.jobs.CLOCK_S", 0.1)
    async with start_bot():
        await playground.wait_for_connection()
        await order(playground, rows, "remind me tomorrow at 9:00 to call Maya")
        clock_ahead[0] = timedelta(days=365 * 20)
        await asyncio.sleep(0.5)
        await be_due(rows)
        await playground.wait_until(lambda: said(playground, playground.tom.dm), what="the reminder")
        empty = await order(playground, rows, "schedule")

    assert said(playground, playground.tom.dm) == ["⏰ You asked me to remind you: call Maya"]
    assert "Nothing is planned" in empty


async def test_what_was_due_while_it_was_down_comes_late(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Once, with a word; the next one is planned already."""
    async with start_bot():
        await playground.wait_for_connection()
        await order(playground, rows, "remind here every hour to breathe")
    await be_due(rows, ago=timedelta(hours=3))
    async with start_bot():
        await playground.wait_until(lambda: said(playground, "general"), what="the late reminder")
    async with rows.begin() as session:
        (schedule,) = await session.scalars(select(Schedule))
        assert schedule.next_at > now()

    (text,) = said(playground, "general")
    assert "breathe" in text
    assert "I was not running then" in text


async def test_what_a_killed_bot_had_begun_comes_at_the_next_start(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """A few seconds later, and not when the time is up that it could have taken; nobody says that it was not there."""
    async with start_bot():
        await playground.wait_for_connection()
        await order(playground, rows, "remind me tomorrow at 9:00 to call Maya")
    async with rows.begin() as session:
        (schedule,) = await session.scalars(select(Schedule))
        due_at, schedule.next_at = now() - timedelta(seconds=5), None
        session.add(Occurrence(schedule_id=schedule.id, due_at=due_at, until=due_at + LEASE, worker_id="killed"))
    async with start_bot():
        await playground.wait_until(lambda: said(playground, playground.tom.dm), timeout=30, what="the reminder")

    assert said(playground, playground.tom.dm) == ["⏰ You asked me to remind you: call Maya"]


async def test_a_digest_tells_what_was_said(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Of another channel, from its people's messages and threads, with a link to the longest one."""
    root = await playground.maya.say("support", "The import fails since this morning.")
    await playground.tom.say("support", "I roll it back.", thread_ts=root)
    await playground.priya.say("support", "The customer <https://example.com/x> is informed.")
    told = await order(playground, rows, "digest every Monday 9:00 summarise <#C0SUPPORT|support> here")
    await be_due(rows)
    (text,) = await playground.wait_until(lambda: said(playground, "general"), timeout=30, what="the digest")
    (message,) = [one for one in playground.messages("general") if one["user"] == BOT]

    assert "every Monday at 09:00" in told
    assert text.startswith("*Digest of <#C0SUPPORT> since ")
    assert [block["type"] for block in message["blocks"]] == ["section", "markdown", "context"]
    sources = message["blocks"][-1]["elements"][0]["text"]
    assert sources.startswith("3 messages of 3 people")
    assert "|1 reply>" in sources
    assert len(message["blocks"][1]["text"]) > 10


async def test_an_admin_takes_back_what_they_do_not_read(playground: Playground, bot: RunningBot) -> None:
    """A number is enough to take a reminder of somebody else back; what it says is its author's."""
    priya, maya = playground.priya, playground.maya
    await priya.command("/apprentice", "remind me tomorrow at 9:00 to see the doctor", channel=priya.dm)
    await playground.wait_until(lambda: priya.ephemerals(priya.dm), what="what is planned")
    for person, number in ((playground.tom, 1), (maya, 1)):
        await person.command("/apprentice", f"schedule remove {number}", channel=person.dm)
        await playground.wait_until(lambda person=person: person.ephemerals(person.dm), what="the outcome")  # type: ignore[misc]

    assert "You have planned nothing" in playground.tom.ephemerals(playground.tom.dm)[-1]["text"]
    assert maya.ephemerals(maya.dm)[-1]["text"] == "Taken back: number 1, of <@U0PRIYA>."
    assert "doctor" in str(priya.ephemerals(priya.dm))
