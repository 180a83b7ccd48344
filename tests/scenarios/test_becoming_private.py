"""A channel that becomes private or shared: what is said there from then on is not what everybody may read."""

import asyncio
import json
import logging
from typing import Any

import pytest
from sqlalchemy import select

from bot.admin.feedback import read_worst
from bot.app import RunningBot
from bot.playground.entities import Message as Said
from bot.playground.messaging import post
from bot.playground.testing import Playground
from bot.slack.people.directory import Directory
from bot.storage.db import Database
from bot.storage.reviews import find_candidates
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Thread
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_admin import order, press
from tests.scenarios.test_feedback import BOT, wait_for_rows
from tests.scenarios.test_missed_reactions import be_away, catch_up


async def ask_in_general(playground: Playground) -> dict[str, Any]:
    """Let Tom ask where everybody may read, and return the answer."""
    ts = await playground.tom.say("general", f"{BOT} What is a code review?")
    return await playground.wait_for_reply("general", ts)


@pytest.fixture(autouse=True)
def asks_slack_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody remember for a minute what a channel was."""
    monkeypatch.setattr("bot.slack.people.directory.SOON_S", 0.0)


@pytest.mark.parametrize(
    ("change", "expected"), [({"kind": "private"}, "private"), ({"is_ext_shared": True}, "shared")]
)
async def test_what_is_taught_there_now_stays_there(
    change: dict[str, Any], expected: str, playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A correction below an answer of earlier, in a thread in which nobody has asked anything since."""
    tom = playground.tom
    reply = await ask_in_general(playground)
    for name, value in change.items():
        setattr(playground.hub.workspace.channels[reply["channel"]], name, value)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"reason": "wrong", "correction": "Project Heron is cancelled."})

    (correction,) = await wait_for_rows(rows, Correction, 1)
    async with rows.read() as session:
        thread = (await session.scalars(select(Thread))).one()
    assert (correction.audience, thread.audience) == (expected, expected)


async def test_what_was_taught_there_before_stays_there_from_the_next_word_on(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Whatever its thread: what is asked anew there tells that the channel is private now."""
    tom = playground.tom
    reply = await ask_in_general(playground)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"reason": "wrong", "correction": "Project Heron is cancelled."})
    await wait_for_rows(rows, Correction, 1)

    async def ask_again() -> set[str]:
        await ask_in_general(playground)
        async with rows.read() as session:
            assert (await session.scalars(select(Correction.audience))).one() == "public"
            first = select(Thread.audience).where(Thread.thread_ts == reply["thread_ts"])
            return {*await session.scalars(first), str(len(await find_candidates(session, most=5)))}

    assert await ask_again() == {"public", "1"}
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    assert await ask_again() == {"private", "0"}


async def test_any_word_there_tells_at_once(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's own that it is private now, or anybody's, to whom it may be; what Slack said a moment ago is past."""
    monkeypatch.setattr("bot.slack.people.directory.SOON_S", 60.0)
    tom = playground.tom
    reply = await ask_in_general(playground)
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    await tom.say("general", "Now we are among ourselves.")

    async def read() -> list[str]:
        async with rows.read() as session:
            return sorted(await session.scalars(select(Thread.audience)))

    for _ in range(200):
        if await read() == ["private"]:
            break
        await asyncio.sleep(0.02)
    await ask_in_general(playground)
    assert await read() == ["private", "private"]
    await tom.click(reply, "feedback", "negative_button")
    assert "Everybody can read" not in json.dumps(await playground.wait_for_view(tom.id))
    playground.hub.workspace.channels[reply["channel"]].kind = "public"
    await ask_in_general(playground)
    assert await read() == ["private", "private", "public"]


async def test_a_correction_asks_slack_who_reads_there(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has said a word there since."""
    monkeypatch.setattr("bot.slack.people.directory.SOON_S", 60.0)
    monkeypatch.setattr("bot.slack.people.directory.NOW_S", 0.0)
    tom = playground.tom
    reply = await ask_in_general(playground)
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"reason": "wrong", "correction": "Project Heron is cancelled."})
    (correction,) = await wait_for_rows(rows, Correction, 1)
    async with rows.read() as session:
        thread = (await session.scalars(select(Thread))).one()
    assert (correction.audience, thread.audience) == ("private", "private")


async def test_what_is_remarked_there_is_not_shown_as_public(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words beside a 👎, with no correction: not even until Slack has said who reads there."""
    monkeypatch.setattr("bot.slack.people.directory.SOON_S", 60.0)
    monkeypatch.setattr("bot.slack.people.directory.NOW_S", 0.0)
    asked, told, look = asyncio.Event(), asyncio.Event(), Directory.audience_now

    async def look_late(directory: Directory, channel_id: str) -> Audience:
        asked.set()
        await told.wait()
        return await look(directory, channel_id)

    monkeypatch.setattr(Directory, "audience_now", look_late)
    tom, channels = playground.tom, playground.hub.workspace.channels

    async def remark(reply: dict[str, Any], words: str) -> None:
        await tom.click(reply, "feedback", "negative_button")
        await playground.wait_for_view(tom.id)
        await tom.submit_view({"reason": "wrong", "comment": words})

    told.set()
    await remark(await ask_in_general(playground), "It is wrong.")
    for _ in range(200):
        if shown := await read_worst(rows, most=5):
            break
        await asyncio.sleep(0.02)
    assert [one.text for answer in shown for one in answer.remarks] == ["It is wrong."]

    told.clear()
    asked.clear()
    reply = await ask_in_general(playground)
    channels[reply["channel"]].kind = "private"
    await remark(reply, "Project Heron is cancelled.")
    await asked.wait()
    assert "Heron" not in str(await read_worst(rows, most=5))
    told.set()
    for _ in range(200):
        if not (shown := await read_worst(rows, most=5)):
            break
        await asyncio.sleep(0.02)
    async with rows.read() as session:
        assert "Project Heron is cancelled." in set(await session.scalars(select(Feedback.comment)))
    assert not shown


async def test_what_became_private_during_an_absence_is_closed(
    playground: Playground, start_bot: StartBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anybody says a word there."""
    caplog.set_level(logging.INFO, logger="bot.slack.turns.catch_up")
    async with start_bot():
        await playground.wait_for_connection()
        reply = await ask_in_general(playground)
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        async with rows.read() as session:
            assert (await session.scalars(select(Thread.audience))).one() == "private"


async def test_a_notice_is_not_said_where_others_read_by_now(playground: Playground, bot: RunningBot) -> None:
    """It is for our own people; what a channel was when somebody asked there says nothing about now."""
    maya, channels = playground.maya, playground.hub.workspace.channels
    await ask_in_general(playground)
    await playground.wait_for_reply("support", await playground.tom.say("support", f"{BOT} hello"))
    channels["C0GENERAL"].is_ext_shared = True
    posted = await press(playground, maya, await order(playground, maya, "broadcast Heron is cancelled."), "order:yes")

    assert "Posted in 1 of 2 channels" in posted["text"]
    assert "Heron" not in str(playground.messages("general"))
    assert "Heron" in str(playground.messages("support"))


async def test_another_answer_there_stays_there(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """It may rest on what is said there now, although its question was everybody's."""
    reply = await ask_in_general(playground)
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    await playground.tom.click(reply, "regenerate")

    first, second = await finished(2)
    async with rows.read() as session:
        thread = (await session.scalars(select(Thread))).one()
    assert (first.audience, second.audience, thread.audience) == ("public", "private", "private")


async def test_the_words_of_an_edit_there_stay_there(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """The question was everybody's, its new words are not."""
    reply = await ask_in_general(playground)
    playground.hub.workspace.channels[reply["channel"]].kind = "private"
    await playground.tom.edit("general", reply["thread_ts"], f"{BOT} Why is project Heron cancelled?")

    async def load() -> Message:
        async with rows.read() as session:
            return (await session.scalars(select(Message))).one()

    for _ in range(200):
        if "Heron" in (message := await load()).text:
            break
        await asyncio.sleep(0.02)
    async with rows.read() as session:
        answer = (await session.scalars(select(Answer))).one()
    assert (message.audience, answer.audience) == ("private", "public")


async def test_what_slack_quotes_of_a_private_channel_stays_there(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Below a link that one of its people pastes where others read: it is no part of the question."""
    quoted = {"is_msg_unfurl": True, "channel_id": "C0LEADS", "text": "Project Heron is cancelled."}
    ts = playground.hub.workspace.next_ts(playground.hub.clock.now())
    said = Said(ts=ts, channel="C0GENERAL", user="U0PRIYA", text=f"{BOT} What do you think?", attachments=[quoted])
    post(playground.hub, said)
    await playground.wait_for_reply("general", ts)
    async with rows.read() as session:
        (message,) = (await session.scalars(select(Message))).all()

    assert message.text == "What do you think?"


async def test_a_summary_of_elsewhere_is_not_said_where_others_came_to_read(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Who may read is looked at when it is asked for and again when it is written, which can take minutes."""
    tom, channels = playground.tom, playground.hub.workspace.channels
    await playground.priya.say("support", "The ocelot is delayed by a week.")
    reply = await ask_in_general(playground)
    ts = reply["thread_ts"]
    is_begun = "conversations.history"
    before = [entry["name"] for entry in playground.log()].count(is_begun)
    await tom.say("general", "!summarise <#C0SUPPORT|support>", thread_ts=ts)
    await playground.wait_until(
        lambda: [entry["name"] for entry in playground.log()].count(is_begun) > before, what="that it is read"
    )
    channels["C0GENERAL"].is_ext_shared = True

    def seen() -> str:
        return str([*playground.messages("general", ts), *tom.ephemerals("general")])

    await playground.wait_until(lambda: "people of other organisations read there" in seen(), what="why not")
    assert "ocelot" not in str(playground.messages("general", ts))
