"""People talk with the assistant; everything is looked at from the workspace's side and in SQL."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Select, func, select

from bot.app import RunningBot
from bot.playground import events
from bot.playground.entities import Edited
from bot.playground.slack_objects import message_object
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState, Audience, Inbox, InboxState, Message, Thread
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_faults import LONG, answers_in, shown

BOT = "<@U0APPRENTICE>"


async def test_a_direct_message_is_answered_as_it_streams(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """The answer arrives by Slack's own stream, with buttons, and its record explains it."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "What is a code review?")
    reply = await playground.wait_for_reply(maya.dm, ts)
    (answer,) = await finished()

    assert playground.log("api", "chat.startStream")
    assert [block["type"] for block in reply["blocks"]] == ["context_actions", "actions"]
    assert playground.session(maya.dm, ts)["status"] == "active"
    assert playground.session(maya.dm, ts)["title"] == "What is a code review?"
    assert answer.state == AnswerState.COMPLETE
    assert reply["markdown_text"].strip() == answer.text.strip()
    assert answer.audience == Audience.DIRECT
    assert answer.reply_ts == [reply["ts"]]
    assert answer.model == "starter"
    assert len(answer.model_sha256) == 64
    assert answer.prompt_version
    assert len(answer.prompt_token_ids) == answer.prompt_tokens
    assert len(answer.completion_token_ids) == answer.completion_tokens
    assert answer.finish_reason == "stop"
    assert answer.created_at <= answer.first_token_at <= answer.finished_at


async def test_a_title_that_somebody_gave_stays(playground: Playground, bot: RunningBot) -> None:
    """A conversation is called by its first words until its person calls it something else."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    await playground.wait_for_reply(maya.dm, ts)
    assert playground.session(maya.dm, ts)["title"] == "hello"
    await maya.rename(maya.dm, ts, "Mine")
    second = await maya.say(maya.dm, "What can you do?", thread_ts=ts)
    await playground.wait_for_reply(maya.dm, ts, after=second)

    assert playground.session(maya.dm, ts)["title"] == "Mine"


async def test_two_people_are_answered_in_the_thread_of_a_channel(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A mention gets one threaded answer though Slack sends two events; a follow-up needs no mention."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say("general", f"{BOT} hello!")
    await playground.wait_for_reply("general", ts)
    second = await tom.say("general", "What can you do?", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=second)

    thread = playground.messages("general", ts)
    assert [message["bot_id"] is not None for message in thread] == [False, True, False, True]
    async with rows.begin() as session:
        stored = (await session.execute(select(Message.user_name, Message.text).order_by(Message.ts))).all()
        assert await session.scalar(select(Thread.audience)) == Audience.PUBLIC
    assert [tuple(row) for row in stored] == [("Maya", "hello!"), ("Tom", "What can you do?")]


async def test_talk_between_people_is_left_alone(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """What is not addressed to the assistant is neither answered nor stored."""
    maya, tom = playground.maya, playground.tom
    await maya.say("general", "Lunch?")
    other = await tom.say("general", "Does anybody know the door code?")
    await maya.say("general", "No idea.", thread_ts=other)
    ts = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    aside = await maya.say("general", "<@U0TOM> what do you think?", thread_ts=ts)
    dm = await tom.say(tom.dm, "hello")
    await playground.wait_for_reply(tom.dm, dm)

    assert [message["ts"] for message in playground.messages("general", ts)][-1] == aside
    assert len(playground.messages("general", other)) == 2
    async with rows.begin() as session:
        texts = set(await session.scalars(select(Message.text)))
        assert texts == {"hello"}
        kinds = set(await session.scalars(select(Inbox.kind)))
    assert kinds == {"message", "talk"}  # that it stays out is told to Maya alone


async def test_the_thread_is_remembered_and_others_are_not_mixed_in(playground: Playground, bot: RunningBot) -> None:
    """What was said earlier in the thread is known there, and nowhere else."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say(maya.dm, "My name is Maya.")
    await playground.wait_for_reply(maya.dm, ts)
    again = await maya.say(maya.dm, "What is my name?", thread_ts=ts)
    reply = await playground.wait_for_reply(maya.dm, ts, after=again)
    assert "Maya" in reply["markdown_text"]

    other = await tom.say(tom.dm, "What is my name?")
    reply = await playground.wait_for_reply(tom.dm, other)
    assert "Maya" not in reply["markdown_text"]


async def test_many_threads_run_side_by_side_each_in_order(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Three people, four threads, three rapid messages each: all stored, the last of each answered, in their order."""
    people = [playground.maya, playground.tom, playground.priya]
    threads = [(person, await person.say(person.dm, "hello")) for person in people]
    threads.append((playground.maya, await playground.maya.say(playground.maya.dm, "hi there")))
    for text in ("What is a stand-up?", "thanks"):
        for person, ts in threads:
            await person.say(person.dm, text, thread_ts=ts)

    await wait_for(rows, select(func.count()).select_from(Message), 12)
    await wait_for(rows, select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE), 0)
    answers = await finished(4)  # at least: messages that queue up are answered together
    assert {answer.state for answer in answers} == {AnswerState.COMPLETE}
    async with rows.begin() as session:
        last = select(Message.thread_id, func.max(Message.ts)).group_by(Message.thread_id)
        answered = {tuple(row) for row in await session.execute(select(Message.thread_id, Message.ts).join(Answer))}
        assert {tuple(row) for row in await session.execute(last)} <= answered
        order = await session.execute(
            select(Message.thread_id, Message.ts).join(Answer).order_by(Message.thread_id, Answer.finished_at)
        )
        finished = [tuple(row) for row in order]
    assert finished == sorted(finished)


async def test_opening_the_messages_tab_offers_suggestions(playground: Playground, bot: RunningBot) -> None:
    """Somebody who does not know what to ask is offered four things."""
    maya = playground.maya
    await maya.open(maya.dm)

    prompts = await playground.wait_until(lambda: playground.prompts(maya.dm), what="suggested prompts")
    assert len(prompts) == 4


async def test_the_slash_command_helps_and_tells_how_it_is(playground: Playground, bot: RunningBot) -> None:
    """Help, status and a word that it does not know; only the person who asked sees it."""
    maya = playground.maya
    for text, said in (
        ("", "Teach me"),
        ("help", "Teach me"),
        ("status", "starter"),
        ("dance", "do not know"),
        (" \u00a0 ", "Teach me"),
    ):
        before = len(maya.ephemerals(maya.dm))
        await maya.command("/apprentice", text)
        await playground.wait_until(lambda: len(maya.ephemerals(maya.dm)) > before, what="the answer")  # noqa: B023
        assert said in maya.ephemerals(maya.dm)[-1]["text"]


async def test_a_private_channel_is_known_as_private(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """What is said among a few keeps that mark."""
    await playground.maya.invite("leads", "U0APPRENTICE")
    ts = await playground.maya.say("leads", f"{BOT} hello")
    await playground.wait_for_reply("leads", ts)

    async with rows.begin() as session:
        assert await session.scalar(select(Answer.audience)) == Audience.PRIVATE


async def test_a_quick_follow_up_is_not_missed(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Somebody who goes on writing in a thread whose first answer has not begun is answered as well."""
    playground.fault("latency", seconds=1, methods="users.info", times=1)
    ts = await playground.priya.say("random", f"{BOT} hello")
    follow_up = await playground.priya.say("random", "What is a runbook?", thread_ts=ts)

    await wait_for(rows, select(func.count()).select_from(Message).join(Answer).where(Message.ts == follow_up), 1)
    await wait_for(rows, select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE), 0)
    assert {answer.state for answer in await finished(1)} == {AnswerState.COMPLETE}


@pytest.mark.parametrize("where", ["general", "D0PRIYA"])
async def test_a_title_goes_with_its_words(playground: Playground, bot: RunningBot, where: str) -> None:
    """What somebody took back stands in no title: an edited question is called by its new words, a deleted one is not.

    What is deleted below the first question changes nothing.
    """
    priya = playground.priya
    ts = await priya.say(where, f"{BOT} what is zanzibar?")

    def title() -> str:
        return str((playground.session(where, ts) or {}).get("title"))

    await playground.wait_for_reply(where, ts)
    below = await priya.say(where, f"{BOT} thank you", ts)
    await playground.wait_for_reply(where, ts, after=below)
    await priya.delete(where, below)
    await asyncio.sleep(0.5)
    assert title() == "what is zanzibar?"
    await priya.edit(where, ts, f"{BOT} what is a code review?")
    await playground.wait_until(lambda: title() == "what is a code review?")
    await priya.delete(where, ts)
    await playground.wait_until(lambda: title() == "Conversation")


async def test_a_deleted_question_is_forgotten(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Neither its words nor its answer stay in the database; the rest of the thread does."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    await playground.wait_for_reply(maya.dm, ts)
    secret = await maya.say(maya.dm, "The password is swordfish.", thread_ts=ts)
    await playground.wait_for_reply(maya.dm, ts, after=secret)
    await maya.delete(maya.dm, secret)

    await wait_for(rows, select(func.count()).select_from(Message), 1)
    await wait_for(rows, select(Message.text), "hello")
    await wait_for(rows, select(func.count()).select_from(Answer), 1)


async def test_an_edited_question_is_remembered_as_edited(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """An answer that is still to come knows the new words, and the next turn reads them too."""
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await maya.say(maya.dm, "hello")
        await wait_for(rows, select(func.count()).select_from(Message), 1)
        waiting = await maya.say(maya.dm, "My nme is Maja.", thread_ts=ts)
        await wait_for(rows, select(func.count()).select_from(Inbox), 2)
        await maya.edit(maya.dm, ts, "hello there")
        await maya.edit(maya.dm, waiting, "My name is Maya.")
        await wait_for(rows, select(Message.text), "hello there")
        await asyncio.sleep(0.2)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    await finished(2)

    async with rows.read() as session:
        texts = list(await session.scalars(select(Message.text).order_by(Message.ts)))
    assert texts == ["hello there", "My name is Maya."]


@pytest.mark.parametrize("where", ["general", "D0MAYA"])
async def test_an_edited_question_of_which_nothing_is_stored_is_answered_as_it_stands(
    *, playground: Playground, bot: RunningBot, rows: Database, engine_process: EngineProcess, where: str
) -> None:
    """The answer that is being written begins anew with the new words, in the same message."""
    maya = playground.maya
    await playground.wait_for_reply(maya.dm, await maya.say(maya.dm, "!preferences privacy unstored"))
    ts = await maya.say(where, f"{BOT} {LONG}")
    await playground.wait_until(lambda: answers_in(playground, where, ts), what="first words")
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        await maya.edit(where, ts, f"{BOT} What is the capital of Italy?")
        await asyncio.sleep(0.2)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    await wait_for(rows, select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE), 0)
    (answer,) = answers_in(playground, where, ts)
    assert "Rome" in shown(answer)
    assert "onboarding" not in shown(answer)
    async with rows.read() as session:
        assert "Italy" not in str(list(await session.scalars(select(Message.text))))


async def test_an_edit_in_the_moment_in_which_its_answer_begins_counts(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """What was read of the question already is read again, and one answer comes of it."""
    maya = playground.maya
    playground.fault("latency", seconds=1, methods="users.info")
    ts = await maya.say(maya.dm, f"<@{playground.tom.id}> says: What is a runbook?")
    await playground.wait_until(
        lambda: [call for call in playground.log("api", "users.info") if playground.tom.id in str(call["request"])],
        what="the question to be read",
    )
    await maya.edit(maya.dm, ts, "What is a retro?")

    (answer,) = await finished(1)
    async with rows.read() as session:
        assert list(await session.scalars(select(Message.text))) == ["What is a retro?"]
    assert answer.state == AnswerState.COMPLETE
    assert maya.ephemerals(maya.dm) == []


async def test_an_edit_that_overtakes_its_message_counts(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Slack promises no order: the message that comes after its edit says what its author made of it."""
    maya = playground.maya
    playground.fault("reorder_events", seconds=4, times=1)
    ts = await maya.say(maya.dm, "What is a runbook?")
    await maya.edit(maya.dm, ts, "What is a retro?")

    (answer,) = await finished(1)
    async with rows.read() as session:
        assert list(await session.scalars(select(Message.text))) == ["What is a retro?"]
    assert answer.state == AnswerState.COMPLETE


async def test_an_old_edit_that_comes_late_brings_no_words_back(
    playground: Playground, start_bot: StartBot, rows: Database, finished: Finished
) -> None:
    """A process that was started since, or slept, knows no newer one: what the message says now is asked of Slack."""
    maya, hub = playground.maya, playground.hub
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, "What is a runbook?")
        await finished(1)
        await maya.edit(maya.dm, ts, "What is a retro?")
        await wait_for(rows, select(Message.text), "What is a retro?")
    async with start_bot():
        await playground.wait_for_connection()
        message = hub.workspace.find(maya.dm, ts)
        assert message is not None
        old = Edited("U0MAYA", f"{time.time() - 30:.6f}")
        message.edited = Edited("U0MAYA", f"{time.time() - 20:.6f}")
        late = replace(message, text="What is a review?", blocks=[], edited=old)
        events.message_changed(hub, late, before=message_object(hub, replace(message, text="?", edited=None)))
        await playground.wait_until(lambda: playground.log("api", "conversations.replies"), what="the look")
        await asyncio.sleep(0.5)
        await wait_for(rows, select(Message.text), "What is a retro?")


async def test_deleting_a_question_stops_its_answer(
    playground: Playground, bot: RunningBot, rows: Database, engine_process: EngineProcess
) -> None:
    """Nobody waits for the answer to a question that is gone."""
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await maya.say("general", f"{BOT} hello")
        await wait_for(rows, select(func.count()).select_from(Message), 1)
        await maya.delete("general", ts)
        await wait_for(rows, select(func.count()).select_from(Message), 0)
        await wait_for(rows, select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE), 0)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)


async def wait_for(database: Database, statement: Select[Any], expected: object) -> None:
    """Wait until a query of one value returns *expected*."""
    for _ in range(1000):
        async with database.read() as session:
            found = await session.scalar(statement)
        if found == expected:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{found!r} instead of {expected!r}")
