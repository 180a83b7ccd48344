"""Answers stand in Slack once: when Slack takes one and never says so, and when the bot is killed before it knows."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from benchmarks.chaos_bot import KillableBot
from bot.app import RunningBot
from bot.playground.streams import press_stop
from bot.playground.testing import Playground
from bot.slack.pledges import CUT
from bot.storage import inbox, pledged
from bot.storage.db import Database
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState
from tests.scenarios.conftest import KEY, EngineProcess, Finished, StartBot
from tests.scenarios.test_conversation import wait_for
from tests.scenarios.test_faults import FAILING, LONG, answers_in, shown

BOT = "<@U0APPRENTICE>"


@pytest.mark.parametrize("methods", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.*"])
async def test_a_streamed_answer_stands_there_once(
    playground: Playground, bot: RunningBot, finished: Finished, methods: str
) -> None:
    """Whatever Slack took without saying so: one message, whole."""
    playground.fault("lost_answer", seconds=0.05, methods=methods, times=2)
    maya = playground.maya
    ts = await maya.say(maya.dm, LONG)
    (answer,) = await finished()
    await playground.wait_for_reply(maya.dm, ts)

    (message,) = answers_in(playground, maya.dm, ts)
    assert shown(message) == "".join(answer.text.split())


async def test_an_answer_in_a_channel_stands_there_once(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Post and edits are taken without a word, and it is one message all the same."""
    playground.fault("lost_answer", seconds=0.05, methods="chat.*", times=3)
    ts = await playground.maya.say("general", f"{BOT} {LONG}")
    (answer,) = await finished()

    (message,) = answers_in(playground, "general", ts)
    assert shown(message) == "".join(answer.text.split())


async def test_a_bot_that_is_killed_before_it_knows_finds_its_messages(
    playground: Playground, engine_process: EngineProcess, rows: Database, finished: Finished, tmp_path: Path
) -> None:
    """Killed between Slack's taking of the first words and the answer to that: the next process goes on with them."""
    settings = {
        **playground.environment,
        "ENGINE_URL": engine_process.url,
        "ENGINE_API_KEY": KEY,
        "DATA_DIR": str(tmp_path / "data"),
        "HTTP_PORT": "0",
        "MERGE_SECONDS": "0",
    }
    killable = KillableBot(playground, settings, tmp_path / "bot.log")
    await killable.start()
    try:
        await killable.wait_ready()
        playground.fault("lost_answer", seconds=60)
        maya = playground.maya
        places = [(maya.dm, await maya.say(maya.dm, LONG)), ("general", await maya.say("general", f"{BOT} {LONG}"))]
        for channel, ts in places:
            await playground.wait_until(lambda: answers_in(playground, channel, ts), timeout=30, what="first words")  # noqa: B023
        playground.fault("lost_answer", enabled=False)
        await killable.kill(waits=True)
        answers = await finished(2, timeout=60)
    finally:
        await killable.stop()

    texts = {"".join(answer.text.split()) for answer in answers}
    messages = [message for channel, ts in places for message in answers_in(playground, channel, ts)]
    assert len(messages) == 2
    assert {shown(message) for message in messages} == texts
    assert not any(message["streaming"] for message in messages)


async def test_an_apology_is_said_once(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Slack takes the apology and loses its answer; it is not said a second time."""
    async with rows.begin() as session:
        await session.execute(text(FAILING))
    playground.fault("lost_answer", seconds=0.05, methods="chat.postMessage", times=1)
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    reply = await playground.wait_for_reply(maya.dm, ts, timeout=20)
    async with rows.begin() as session:
        await session.execute(text("DROP TRIGGER failing"))
    await asyncio.sleep(0.5)

    assert "Something went wrong" in reply["text"]
    assert len(answers_in(playground, maya.dm, ts)) == 1


UNFINISHED = "CREATE TRIGGER unfinished BEFORE UPDATE OF done_at ON inbox BEGIN SELECT RAISE(FAIL, 'no'); END"


async def test_what_was_answered_is_not_refused_afterwards(
    playground: Playground, start_bot: StartBot, rows: Database, finished: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer used up its asker's budget, and its end cannot be noted: the turn runs again, in vain."""
    async with start_bot(budget_tokens_per_person=1):
        await playground.wait_for_connection()
        async with rows.begin() as session:
            await session.execute(text(UNFINISHED))
        maya = playground.maya
        ts = await maya.say(maya.dm, "hello")
        await finished()
        again = "could not be brought to its end"
        await playground.wait_until(lambda: caplog.text.count(again) > 1, timeout=20, what="the second try")
        async with rows.begin() as session:
            await session.execute(text("DROP TRIGGER unfinished"))
        await wait_for(rows, select(Inbox.id).where(Inbox.state != InboxState.DONE), None)

    assert len(answers_in(playground, maya.dm, ts)) == 1
    assert playground.session(maya.dm, ts)["status"] == "active"


async def test_an_order_is_carried_out_once_where_its_end_cannot_be_noted(
    playground: Playground, bot: RunningBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The database takes nothing just when a reminder is planned, and the event is tried again."""
    async with rows.begin() as session:
        await session.execute(text(UNFINISHED))
    maya = playground.maya
    ts = await maya.say(maya.dm, "!remind me in 30 minutes to call")
    await playground.wait_for_reply(maya.dm, ts)
    again = "could not be brought to its end"
    await playground.wait_until(lambda: caplog.text.count(again) > 1, timeout=20, what="the second try")
    async with rows.begin() as session:
        await session.execute(text("DROP TRIGGER unfinished"))
    await wait_for(rows, select(Inbox.id).where(Inbox.state != InboxState.DONE), None)
    async with rows.read() as session:
        assert len(list(await session.scalars(select(Schedule.id)))) == 1
    assert len(answers_in(playground, maya.dm, ts)) == 1


async def test_what_was_begun_before_a_crash_and_stopped_after_it_ends_in_words(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`!stop` is carried out between the moment in which the event is claimed and the one in which it is looked at."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        async with rows.begin() as session:
            await session.execute(text(UNFINISHED))
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, ts)
    async with rows.begin() as session:
        await session.execute(text("DROP TRIGGER unfinished"))
        await session.execute(update(Answer).values(state=AnswerState.WRITING))
        await session.execute(update(Inbox).values(attempts=1))
    begin = inbox._begin

    def stop_at_once(claimed: list[Inbox], worker_id: str | None) -> None:
        begin(claimed, worker_id)
        claimed[0].is_stopping = True

    monkeypatch.setattr(inbox, "_begin", stop_at_once)
    async with start_bot():
        await wait_for(rows, select(Inbox.id).where(Inbox.state != InboxState.DONE), None)

    (message,) = answers_in(playground, maya.dm, ts)
    async with rows.read() as session:
        assert await session.scalar(select(Answer.state)) == AnswerState.STOPPED
    assert "Stopped." in str(message)


async def test_a_stop_that_is_pressed_while_the_bot_is_away_ends_the_answer(
    playground: Playground,
    start_bot: StartBot,
    finished: Finished,
    engine_process: EngineProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event comes to the next process, perhaps before that has taken up what was half written."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        async with start_bot():
            await playground.wait_for_connection()
            ts = await maya.say(maya.dm, "hello")
            await playground.wait_until(
                lambda: (playground.session(maya.dm, ts) or {}).get("status") == "processing", what="the session"
            )
        press_stop(playground.hub, maya.dm, ts, user=maya.id)  # which Slack shows for a moment still
        async with start_bot():
            reply = await playground.wait_for_reply(maya.dm, ts)
            (answer,) = await finished()
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    assert answer.state == AnswerState.STOPPED
    assert "Stopped" in (reply["markdown_text"] or reply["text"])


@pytest.mark.usefixtures("hasty_slack")
@pytest.mark.parametrize(("channel", "is_word"), [("general", True), ("dm", True), ("dm", False)])
async def test_a_stop_of_which_slack_tells_later_ends_the_answer(
    playground: Playground,
    start_bot: StartBot,
    finished: Finished,
    engine_process: EngineProcess,
    *,
    monkeypatch: pytest.MonkeyPatch,
    channel: str,
    is_word: bool,
) -> None:
    """Its event comes a minute after the bot is back, which sees the word below, or that Slack ended a stream."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    maya = playground.maya
    place = maya.dm if channel == "dm" else channel
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say(place, f"{BOT} {LONG}")
        await playground.wait_until(lambda: answers_in(playground, place, ts), timeout=30, what="first words")
        os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        if is_word:
            await maya.say(place, "!stop", ts)
        else:
            assert press_stop(playground.hub, place, ts, user=maya.id)
        await asyncio.sleep(7)  # so long and twice Slack waits for somebody to take it
        async with start_bot():
            await playground.wait_until(lambda: "Stopped" in str(answers_in(playground, place, ts)), what="its end")
            (answer,) = await finished()
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    assert answer.state == AnswerState.STOPPED
    assert len(answers_in(playground, place, ts)) == 1


async def test_whoever_ordered_something_that_was_cut_off_hears_of_it(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Where they ordered it if the assistant is there, and else in their direct messages."""
    await rows.migrate()
    foreign = playground.channel("leads")  # where the assistant is not
    for number, channel_id in enumerate((playground.channel("general"), foreign, "")):
        place = {"team_id": playground.hub.workspace.team_id, "channel_id": channel_id, "ts": f"1000.00000{number}"}
        left = inbox.Arrival(
            event_id=f"left{number}", thread_ts=f"left{number}", kind=CUT, payload={"user_id": "U0TOM"}, **place
        )
        async with rows.begin() as session:
            await pledged.begin(session, left, worker_id="gone")
    async with start_bot():
        tom = playground.tom
        await playground.wait_until(
            lambda: len([message for message in playground.messages(tom.dm) if message["bot_id"]]) == 2, what="words"
        )
        here = tom.ephemerals("general")

    assert ["ordered or pressed" in message["text"] for message in here] == [True]
    assert here[0]["blocks"][0]["elements"][0]["type"] == "mrkdwn", "plain text shows the moment as markup"


async def test_an_order_whose_word_could_not_be_said_is_not_carried_out_again(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack is away when the bot is stopped; after its start it says that nobody knows, since nobody does."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.2)
    tom = playground.tom

    async def count() -> int:
        async with rows.read() as session:
            return len((await session.scalars(select(Schedule))).all())

    async with start_bot():
        await playground.wait_for_connection()
        thread = await tom.say("general", f"{BOT} hello")
        await playground.wait_for_reply("general", thread)
        playground.fault("server_error", methods="chat.postEphemeral")
        await tom.say("general", "!remind me in 45 minutes to call Maya", thread_ts=thread)
        async with asyncio.timeout(10):
            while await count() != 1:  # noqa: ASYNC110 - rows do not call
                await asyncio.sleep(0.02)
    playground.fault("server_error", enabled=False)
    async with start_bot():
        (word,) = await playground.wait_until(lambda: tom.ephemerals("general"), what="a word about the order")
        assert "Please see whether it is done" in word["text"]
        assert await count() == 1
