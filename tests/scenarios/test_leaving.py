"""Whoever was removed, blocked or made a guest: an open form counts no more, and what is theirs they may take back."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from bot.app import RunningBot
from bot.playground.membership import leave
from bot.playground.testing import Playground
from bot.slack.setup.manifest import TEACH, build_manifest
from bot.storage.admin_tables import Right
from bot.storage.channel_settings import load_rules
from bot.storage.choices import load_opted_out
from bot.storage.db import Database
from bot.storage.feedback_tables import Lesson
from bot.storage.manners_tables import Mode
from bot.storage.rights import find_right
from bot.storage.tables import Base, Correction, Message
from tests.scenarios.test_admin import order, press
from tests.scenarios.test_feedback import ask

BOT, LEADS, SHARED, TEAM = "<@U0APPRENTICE>", "C0LEADS", "C0NORTHWIND", "T0PLAYGRND"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that shows the app's shortcuts, with the assistant in its private channel."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        opened.hub.workspace.channels[LEADS].members.append("U0APPRENTICE")
        yield opened


def remove(playground: Playground, user: str) -> None:
    """Remove somebody from the private channel."""
    leave(playground.hub, playground.hub.workspace.channels[LEADS], user=user)


async def count(rows: Database, table: type[Base]) -> int:
    """Return how many rows there are."""
    async with rows.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("is_removed", [True, False])
async def test_whoever_was_removed_corrects_nothing(
    *, is_removed: bool, playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """What they write would be taught to all in the channel; they hear that it is not kept."""
    priya = playground.priya
    ts = await playground.maya.say(LEADS, f"{BOT} What is the merger called?")
    reply = await playground.wait_for_reply(LEADS, ts)
    await priya.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(priya.id)
    if is_removed:
        remove(playground, priya.id)
    await priya.submit_view({"reason": "wrong", "correction": "It is called Nothing."})
    if is_removed:
        await playground.wait_until(lambda: playground.messages(priya.dm), what="a word")
        assert "You are not in <#C0LEADS> any more" in playground.messages(priya.dm)[-1]["text"]

    assert await count(rows, Correction) == (0 if is_removed else 1)


async def test_whoever_was_removed_asks_for_no_lesson(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Its author is not written to."""
    priya = playground.priya
    ts = await playground.maya.say(LEADS, "It is called Xochimilco.")
    await priya.shortcut(LEADS, ts, TEACH)
    await playground.wait_for_view(priya.id)
    remove(playground, priya.id)
    told = await priya.submit_view({"question": "What is the merger called?"})

    assert "You are not in <#C0LEADS> any more" in str(told)
    assert await count(rows, Lesson) == 0
    assert playground.messages(playground.maya.dm) == []


async def test_an_author_who_left_is_asked_nothing(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """The question in the form is written by those who are in the channel now."""
    maya = playground.maya
    ts = await playground.priya.say(LEADS, "It is called Xochimilco.")
    remove(playground, playground.priya.id)
    await maya.shortcut(LEADS, ts, TEACH)
    await playground.wait_for_view(maya.id)
    told = await maya.submit_view({"question": "What is the merger with Northwind called?"})

    assert "I cannot be taught by this message" in str(told)
    assert await count(rows, Lesson) == 0
    assert playground.messages(playground.priya.dm) == []


async def test_whoever_made_a_channel_and_left_chooses_nothing_there(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Members who made a channel may fill in its form, for as long as they are in it."""
    priya = playground.priya
    playground.hub.workspace.channels[LEADS].creator = priya.id
    await priya.command("/apprentice", "channel", channel=LEADS)
    await playground.wait_for_view(priya.id)
    remove(playground, priya.id)
    await priya.submit_view({"mode": "off"})

    async with rows.read() as session:
        assert (await load_rules(session, TEAM, LEADS)).mode is Mode.THREAD


@pytest.mark.parametrize("way", ["blocked", "guest"])
async def test_whoever_may_not_ask_any_more_takes_back_what_is_theirs(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """They say no to learning, see what is stored of them and have it deleted; all else is refused and says so."""
    maya, tom = playground.maya, playground.tom
    await ask(playground, tom, "Where is the platypus?")
    if way == "blocked":
        await press(playground, maya, await order(playground, maya, "users block <@U0TOM>"), "order:yes")
    else:
        playground.hub.workspace.users["U0TOM"].is_guest = True
        monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)

    for text in ("status", "help", "learn-from-me on", "preferences", "nonsense"):
        refused = (await order(playground, tom, text))["text"]
        assert "only help members" in refused
        assert "`/apprentice forget-me`" in refused
    assert "I do not learn from what you say" in (await order(playground, tom, "learn-from-me off"))["text"]
    assert "direct messages with me" in (await order(playground, tom, "my-data"))["text"]
    told = await press(playground, tom, await order(playground, tom, "forget-me"), "order:yes")
    assert "1 messages" in told["text"]
    assert await count(rows, Message) == 0
    async with rows.read() as session:
        assert "U0TOM" in (await load_opted_out(session)).people, "and so does the no"
        assert (await find_right(session, "U0TOM") is Right.BLOCKED) is (way == "blocked"), "a block stays"
    assert "only help members" in (await order(playground, tom, "ask Are you there?"))["text"]

    lena = playground.person("U0LENA")
    for text in ("learn-from-me off", "my-data", "forget-me"):
        refused = (await order(playground, lena, text, channel=SHARED))["text"]
        assert "only help members" in refused
        assert "forget-me" not in refused, "nobody of another organisation gets anything"
