"""Whoever wrote what another wants taught is asked, however long Slack or the bot are away, or it is not kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.app import RunningBot
from bot.playground.membership import leave
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack.setup.manifest import TEACH, build_manifest
from bot.storage.db import Database
from bot.storage.feedback_tables import Lesson
from bot.storage.inbox import count_waiting
from bot.storage.learning_tables import TrainingChoice
from bot.storage.tables import Correction
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_commands import whispered
from tests.scenarios.test_opinions import read_all, settle

WORDS, POST, LEADS = "The zanzibar is in the cellar.", "chat.postMessage", "C0LEADS"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that shows the app's shortcuts, with the assistant in its private channel."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        opened.hub.workspace.channels[LEADS].members.append("U0APPRENTICE")
        yield opened


async def open_form(playground: Playground, author: Person, channel: str = "general") -> str:
    """Let Maya choose to teach what *author* writes, and return its time."""
    written = await author.say(channel, WORDS)
    await playground.maya.shortcut(channel, written, TEACH)
    await playground.wait_for_view(playground.maya.id)
    return written


def requests(playground: Playground, author: Person) -> list[dict[str, Any]]:
    """Return what an author was asked."""
    return [message for message in playground.messages(author.dm) if "lesson_yes" in str(message["blocks"])]


async def empty_inbox(rows: Database) -> None:
    """Wait until nothing is to be said or done any more."""
    async with asyncio.timeout(40):
        while True:
            async with rows.read() as session:
                if not await count_waiting(session):
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["server_error", "drop_connection"])
async def test_an_author_is_asked_once_slack_is_back(
    playground: Playground, bot: RunningBot, rows: Database, fault: str
) -> None:
    """Whoever wants it taught was told so; once, with the exact words, and a yes is a yes."""
    tom, maya = playground.tom, playground.maya
    await open_form(playground, tom)
    playground.fault(fault)
    told = await maya.submit_view({"question": "Where is the zanzibar?"})
    assert "I ask <@U0TOM>" in str(told)
    await asyncio.sleep(4)  # one call is tried for less
    assert not requests(playground, tom)
    playground.fault(fault, enabled=False)
    await playground.wait_until(lambda: requests(playground, tom), what="the request", timeout=30)
    await empty_inbox(rows)

    (request,) = requests(playground, tom)
    assert WORDS in str(request["blocks"])
    await tom.click(request, "lesson_yes")
    await settle(rows, lambda session: session.scalar(select(Correction.user_id)), tom.id)


async def test_whoever_wanted_it_taught_hears_of_the_yes_once_slack_is_back(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack is away just when the author agrees: the word comes once, later."""
    tom, maya = playground.tom, playground.maya
    await open_form(playground, tom)
    await maya.submit_view({"question": "Where is the zanzibar?"})
    await playground.wait_until(lambda: requests(playground, tom), what="the request")
    playground.fault("server_error")
    await tom.click(requests(playground, tom)[0], "lesson_yes")
    await settle(rows, lambda session: session.scalar(select(Correction.user_id)), tom.id)
    await asyncio.sleep(4)  # one call is tried for less
    playground.fault("server_error", enabled=False)
    await empty_inbox(rows)

    words = "<@U0TOM> agreed"
    await playground.wait_until(lambda: words in str(playground.messages(maya.dm)), what="the word", timeout=30)
    assert str(playground.messages(maya.dm)).count(words) == 1


@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_a_yes_to_words_that_changed_unheard_keeps_nothing(
    playground: Playground, start_bot: StartBot, rows: Database, change: str
) -> None:
    """Their author changed them while the bot was down, and agrees before it has looked what it missed."""
    tom, maya = playground.tom, playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        written = await open_form(playground, tom)
        await maya.submit_view({"question": "Where is the zanzibar?"})
        await playground.wait_until(lambda: requests(playground, tom), what="the request")
        await empty_inbox(rows)
    await (tom.edit("general", written, "Nowhere.") if change == "edited" else tom.delete("general", written))
    await playground.advance(10)  # in vain: Slack tries again in a minute
    async with start_bot():
        await playground.wait_for_connection()
        await tom.click(requests(playground, tom)[0], "lesson_yes")
        await playground.wait_until(lambda: "your words changed since" in str(playground.messages(tom.dm)), what="a no")
    async with rows.read() as session:
        assert await session.scalar(select(Correction.id)) is None


async def test_an_author_is_asked_by_the_next_process(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot dies while Slack has too much; the lesson is not left waiting for somebody who knows nothing of it."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.2)
    tom = playground.tom
    async with start_bot():
        await playground.wait_for_connection()
        await open_form(playground, tom)
        playground.fault("rate_limit", retry_after=30, methods=POST, times=1)
        await playground.maya.submit_view({"question": "Where is the zanzibar?"})
        await playground.wait_until(lambda: playground.log("api", POST), what="the refusal")
    assert not requests(playground, tom)
    async with start_bot():
        await playground.wait_until(lambda: requests(playground, tom), what="the request")
        await empty_inbox(rows)

    assert len(requests(playground, tom)) == 1


async def test_who_wants_nothing_learned_teaches_nothing(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Nobody is asked, for it would never be used; what they said since the form was opened counts as well."""
    tom, maya = playground.tom, playground.maya
    off = "learn-from-me off"
    await open_form(playground, tom)
    await maya.command("/apprentice", off, channel="general")
    await settle(rows, lambda session: session.scalar(select(func.count()).select_from(TrainingChoice)), 1)
    assert "nothing of yours learned" in str(await maya.submit_view({"question": "Where is the zanzibar?"}))
    own = await maya.say("general", WORDS)
    await maya.shortcut("general", own, TEACH)
    await whispered(playground, maya, "general", "nothing of yours learned")
    assert not requests(playground, tom)
    async with rows.read() as session:
        assert await session.scalar(select(func.count()).select_from(Lesson)) == 0


@pytest.mark.parametrize(
    "decision", ["deleted", "edited", "unlearned", "unstored", "asker unstored", "asker unlearned", "forgotten"]
)
async def test_what_is_decided_while_slack_is_away_is_not_asked(
    playground: Playground, bot: RunningBot, rows: Database, decision: str, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of an author who took the words back or wants none learned, nor for an asker who wants none stored."""
    monkeypatch.setattr("bot.slack.calls.TRIES", 1)
    tom, maya = playground.tom, playground.maya
    if decision == "forgotten":
        await tom.command("/apprentice", "forget-me", channel="general")
        sure = await whispered(playground, tom, "general", "order:yes")
    written = await open_form(playground, tom)
    playground.fault("server_error", methods=POST)
    await maya.submit_view({"question": "Where is the zanzibar?"})
    await settle(rows, lambda session: session.scalar(select(Lesson.state)), "waiting")
    if decision == "deleted":
        await tom.delete("general", written)
    elif decision == "edited":
        await tom.edit("general", written, "It is in the attic.")
    elif decision == "forgotten":
        await tom.click(sure, "order:yes")
    else:
        chooser = maya if decision.startswith("asker") else tom
        order = "learn-from-me off" if decision.endswith("unlearned") else "preferences privacy unstored"
        await chooser.command("/apprentice", order, channel="general")
    if decision in {"deleted", "edited", "forgotten"}:
        await settle(rows, lambda session: session.scalar(select(func.count()).select_from(Lesson)), 0)
    await asyncio.sleep(1)  # whoever asks just now fails
    playground.fault("server_error", enabled=False)
    await empty_inbox(rows)

    assert not requests(playground, tom)
    assert "zanzibar" not in await read_all(rows)


async def test_what_is_deleted_while_slack_has_too_much_is_not_asked(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack says for how long nothing is to be said; whether it still is to be is seen after that."""
    tom = playground.tom
    written = await open_form(playground, tom)
    playground.fault("rate_limit", retry_after=5, methods=POST, times=1)
    await playground.maya.submit_view({"question": "Where is the zanzibar?"})
    await playground.wait_until(lambda: playground.log("api", POST), what="the refusal")
    await tom.delete("general", written)
    await empty_inbox(rows)

    assert not requests(playground, tom)
    assert "zanzibar" not in await read_all(rows)


async def test_an_author_who_left_while_slack_was_away_is_not_asked(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question in the form is for those who are in the channel; whoever asked hears that nothing comes of it."""
    monkeypatch.setattr("bot.slack.feedback.lessons.LATE", timedelta())
    monkeypatch.setattr("bot.slack.calls.TRIES", 1)
    priya, maya = playground.priya, playground.maya
    await open_form(playground, priya, LEADS)
    playground.fault("server_error", methods=POST)
    await maya.submit_view({"question": "Where is the zanzibar?"})
    await playground.wait_until(lambda: playground.log("api", POST), what="the refusal")
    leave(playground.hub, playground.hub.workspace.channels[LEADS], user=priya.id)
    await asyncio.sleep(1)  # whoever asks just now fails
    playground.fault("server_error", enabled=False)
    await playground.wait_until(
        lambda: "I could not ask <@U0PRIYA>" in str(playground.messages(maya.dm)), what="a word"
    )
    await empty_inbox(rows)

    assert not requests(playground, priya)
    assert "zanzibar" not in await read_all(rows)


async def test_whoever_asked_hears_that_an_author_cannot_be_asked(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack takes nothing for them; nothing is kept, and the message can be chosen again."""
    tom, maya = playground.tom, playground.maya
    written = await open_form(playground, tom)
    playground.fault("missing_method", methods=POST, error="channel_not_found", times=1)
    await maya.submit_view({"question": "Where is the zanzibar?"})
    await playground.wait_until(lambda: "I could not ask <@U0TOM>" in str(playground.messages(maya.dm)), what="a word")
    assert "zanzibar" not in await read_all(rows)
    await maya.close_view()
    await maya.shortcut("general", written, TEACH)
    await playground.wait_for_view(maya.id)
