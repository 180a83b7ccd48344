"""Orders whose message is deleted or edited: nobody else reads what is gone, and nothing is done twice."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Person, Playground
from bot.slack.commands.orders import Call, Reply
from bot.slack.commands.table import Desk
from bot.storage.db import Database
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Inbox, InboxState
from tests.scenarios.conftest import EngineProcess
from tests.scenarios.test_removal import held

US = "U0APPRENTICE"
BOT = f"<@{US}>"
COUNTS = "An order counts as it was sent"


class Pause:
    """The moment between what an order does and what is said of it, as long as a test wants it."""

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Pause:
    """Let nothing be said of an order before the test says so, as with a model that writes for long."""
    pause, take = Pause(), Desk.take

    async def take_long(desk: Desk, text: str, call: Call) -> Reply:
        reply = await take(desk, text, call)
        pause.begun.set()
        await pause.over.wait()
        return reply

    monkeypatch.setattr(Desk, "take", take_long)
    return pause


async def done(rows: Database, count: int = 1) -> None:
    """Wait until so many orders have come to their end, all of which we know."""
    async with asyncio.timeout(30):
        while await orders(rows) != [InboxState.DONE] * count:  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)


async def orders(rows: Database) -> list[InboxState]:
    """Return how the orders of which we know stand."""
    async with rows.read() as session:
        return list(await session.scalars(select(Inbox.state).where(Inbox.kind == "order")))


async def gone(rows: Database) -> None:
    """Wait until it is known that a message was deleted."""
    async with asyncio.timeout(30):
        while not await find_gone(rows):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)


async def find_gone(rows: Database) -> list[str]:
    """Return which messages are known to be gone."""
    async with rows.read() as session:
        return list(await session.scalars(select(Inbox.ts).where(Inbox.event_id.startswith("gone:"))))


def said(playground: Playground, channel: str, thread_ts: str | None = None) -> list[dict[str, Any]]:
    """Return what everybody sees that we said."""
    return [one for one in playground.messages(channel, thread_ts) if one.get("user") == US]


def told(person: Person, channel: str) -> list[dict[str, Any]]:
    """Return the words about an order that was edited."""
    return [one for one in person.ephemerals(channel) if COUNTS in str(one["text"])]


@pytest.mark.parametrize("order", ["!translate to German zanzibar", "!explain zanzibar", "!summarise"])
async def test_an_order_that_is_deleted_while_it_is_carried_out_is_not_answered(
    playground: Playground, bot: RunningBot, rows: Database, pause: Pause, order: str
) -> None:
    """What it was about would stand there for everybody, and its author could not take it away."""
    priya = playground.priya
    root = await playground.tom.say("general", "Lunch at noon")
    ordered = await priya.say("general", f"{BOT} {order}", root)
    await pause.begun.wait()
    await priya.delete("general", ordered)
    await gone(rows)
    pause.over.set()
    await done(rows)

    assert said(playground, "general", root) == []
    assert [one["text"] for one in priya.ephemerals("general")] == [
        "I am reading. People who wait for an answer go first, so this may take a moment."
    ]


async def test_an_answer_to_an_order_goes_with_it_where_both_come_at_once(
    playground: Playground, bot: RunningBot, rows: Database, pause: Pause
) -> None:
    """It was deleted while Slack took the answer, and no event has told of it yet."""
    priya = playground.priya
    root = await playground.tom.say("general", "Lunch at noon")
    ordered = await priya.say("general", f"{BOT} !translate to German zanzibar", root)
    await pause.begun.wait()
    playground.fault("latency", seconds=1.5, methods="chat.postMessage")
    playground.fault("reorder_events", seconds=60)
    pause.over.set()
    await asyncio.sleep(0.7)
    await priya.delete("general", ordered)
    await done(rows)

    assert playground.log("api", "chat.postMessage")
    assert said(playground, "general", root) == []


async def test_an_order_that_is_deleted_in_a_direct_message_says_what_it_did(
    playground: Playground, bot: RunningBot, rows: Database, pause: Pause
) -> None:
    """The reminder is there, and its thread is not."""
    tom = playground.tom
    ordered = await tom.say(tom.dm, "!remind me in 20 minutes to call zanzibar")
    await pause.begun.wait()
    await tom.delete(tom.dm, ordered)
    await gone(rows)
    pause.over.set()
    await done(rows)
    async with rows.read() as session:
        assert len((await session.scalars(select(Schedule))).all()) == 1

    assert said(playground, tom.dm) == []
    assert "zanzibar" in str(tom.ephemerals(tom.dm))


@pytest.mark.parametrize("place", ["general", "thread", "dm"])
async def test_an_order_that_is_edited_counts_as_it_was_sent(
    playground: Playground, bot: RunningBot, rows: Database, place: str
) -> None:
    """Its author hears so, once and alone, and sends it again."""
    tom = playground.tom
    channel = tom.dm if place == "dm" else playground.channel("general")
    root = await playground.maya.say("general", "Lunch at noon") if place == "thread" else None
    ordered = await tom.say(channel, f"{BOT} !remnd me in 20 minutes to call", root)
    await done(rows)
    await tom.edit(channel, ordered, f"{BOT} !remind me in 20 minutes to call")
    (word,) = await playground.wait_until(lambda: told(tom, channel), what="the word")
    assert word["thread_ts"] == (root or (ordered if place == "dm" else None))
    await tom.edit(channel, ordered, f"{BOT} !remind me in 30 minutes to call")
    await tom.say(channel, f"{BOT} !remind me in 40 minutes to call", root)
    await done(rows, 2)
    async with rows.read() as session:
        assert len((await session.scalars(select(Schedule))).all()) == 1
    assert len(told(tom, channel)) == 1
    assert told(playground.maya, channel) == []


async def test_an_order_that_is_edited_while_it_is_carried_out_is_answered_as_it_was_sent(
    playground: Playground, bot: RunningBot, rows: Database, pause: Pause
) -> None:
    """Its author hears that these are its old words."""
    tom = playground.tom
    root = await playground.maya.say("general", "Lunch at noon")
    ordered = await tom.say("general", "!translate to German zanzibar", root)
    await pause.begun.wait()
    await tom.edit("general", ordered, "!translate to German okapi")
    await playground.wait_until(lambda: told(tom, "general"), what="the word")
    pause.over.set()
    await done(rows)

    assert len(said(playground, "general", root)) == 1


async def test_what_is_no_order_is_edited_without_a_word(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """What becomes an order is carried out, what becomes a question is answered, and other bots have their own."""
    tom = playground.tom
    root = await playground.maya.say("general", "Lunch at noon")
    chat = await tom.say("general", "I shall call", root)
    await tom.edit("general", chat, f"{BOT} !remind me in 20 minutes to call")
    await playground.wait_until(lambda: "20" in str(tom.ephemerals("general")), what="the reminder")
    others = await tom.say("general", "!deploy production", root)
    await tom.edit("general", others, "!deploy staging")
    question = await tom.say("general", f"{BOT} !helo", root)
    await done(rows, 2)
    await tom.edit("general", question, f"{BOT} hello")
    await playground.wait_for_reply("general", root, timeout=30)

    assert told(tom, "general") == []


@pytest.mark.parametrize("order", ["!summarise", "!explain", "!translate to German"])
async def test_what_others_delete_while_it_is_read_is_shown_to_nobody(
    playground: Playground, bot: RunningBot, rows: Database, engine_process: EngineProcess, order: str
) -> None:
    """Whoever ordered it is told so, and gets the rest when they order it again."""
    tom, priya = playground.tom, playground.priya
    root = await tom.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", root)
    written = await tom.say("general", "The zanzibar is in the cellar.", root)
    before = len(said(playground, "general", root))
    with held(engine_process):
        await priya.say("general", order, root)
        await playground.wait_until(lambda: "I am reading" in str(priya.ephemerals("general")), what="the reading")
        await asyncio.sleep(0.5)
        await tom.delete("general", written)
        await gone(rows)
    await playground.wait_until(lambda: "A message was deleted" in str(priya.ephemerals("general")), what="the word")
    shown = [one["text"] for one in said(playground, "general", root)][before:]
    assert shown == ["_Stopped._"], "beside the answer to the message itself"
