"""An answer that somebody deletes in Slack while it is written: it ends there, is not said again, and is forgotten."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.erasure_tables import Erasure
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_conversation import wait_for
from tests.scenarios.test_faults import LONG, answers_in, shown

BOT = "<@U0APPRENTICE>"
UNDER_WAY = select(Inbox.id).where(Inbox.state != InboxState.DONE)


@contextmanager
def held(engine: EngineProcess) -> Iterator[None]:
    """Let the engine write nothing more for as long as the block runs."""
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.pid, signal.SIGCONT)


async def until_begun(playground: Playground, channel: str, ts: str) -> dict:
    """Wait until the first words of an answer stand there, and return the message."""
    return (await playground.wait_until(lambda: answers_in(playground, channel, ts), what="first words"))[0]


async def assert_forgotten(playground: Playground, rows: Database, channel: str, ts: str) -> None:
    """Check that the question stays, and nothing of any answer to it."""
    await wait_for(rows, UNDER_WAY, None)
    assert answers_in(playground, channel, ts) == []
    async with rows.read() as session:
        assert list(await session.scalars(select(Answer.id))) == []
        assert list(await session.scalars(select(Message.ts))) == [ts]
        assert "answers" in set(await session.scalars(select(Erasure.row_table)))


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("where", ["dm", "general"])
async def test_an_answer_that_is_deleted_while_it_is_written_is_gone(
    *,
    playground: Playground,
    bot: RunningBot,
    rows: Database,
    engine_process: EngineProcess,
    where: str,
    is_told: bool,
) -> None:
    """Also where no event tells of it, and only its next words meet nothing. What is asked next is answered."""
    maya = playground.maya
    channel = maya.dm if where == "dm" else where
    ts = await maya.say(channel, f"{BOT} {LONG}")
    message = await until_begun(playground, channel, ts)
    playground.fault("disconnected", enabled=not is_told)
    with held(engine_process):
        await maya.delete(channel, message["ts"])
        if is_told:
            await wait_for(rows, UNDER_WAY, None)  # the rest is not waited for
    await wait_for(rows, UNDER_WAY, None)
    playground.fault("disconnected", enabled=False)
    await playground.wait_for_connection()
    await playground.advance(70)  # Slack says again what was not acknowledged

    await assert_forgotten(playground, rows, channel, ts)
    again = await maya.say(channel, f"{BOT} hello", thread_ts=ts)
    await playground.wait_for_reply(channel, ts, after=again)
    assert len(answers_in(playground, channel, ts)) == 1


async def test_another_answer_in_a_deleted_ones_place_goes_with_it(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """All tries at an answer go, as where the last one was finished."""
    maya = playground.maya
    ts = await maya.say("general", f"{BOT} {LONG}")
    await finished()
    reply = await playground.wait_for_reply("general", ts)
    with held(engine_process):
        await maya.click(reply, "regenerate")
        await wait_for(rows, select(Answer.state).where(Answer.state == AnswerState.WRITING), AnswerState.WRITING)
        await maya.delete("general", reply["ts"])
        await wait_for(rows, UNDER_WAY, None)

    await assert_forgotten(playground, rows, "general", ts)


async def test_an_answer_that_is_deleted_while_nobody_writes_it_is_not_begun_again(
    playground: Playground, start_bot: StartBot, rows: Database, engine_process: EngineProcess
) -> None:
    """The bot dies in the middle of an answer, and what stands of it is deleted before it is back."""
    maya = playground.maya
    async with start_bot() as bot:
        await playground.wait_for_connection()
        ts = await maya.say("general", f"{BOT} {LONG}")
        message = await until_begun(playground, "general", ts)
        os.kill(engine_process.pid, signal.SIGSTOP)
        bot.worker.cancel()
    os.kill(engine_process.pid, signal.SIGCONT)
    await maya.delete("general", message["ts"])
    async with start_bot():
        await assert_forgotten(playground, rows, "general", ts)


@pytest.mark.parametrize("where", ["dm", "general"])
async def test_no_lost_answer_of_slack_is_taken_for_a_deletion(
    playground: Playground, bot: RunningBot, finished: Finished, engine_process: EngineProcess, where: str
) -> None:
    """Slack takes posts and edits and never says so, in the middle of an answer too: it stands there once, whole."""
    maya = playground.maya
    channel = maya.dm if where == "dm" else where
    playground.fault("lost_answer", seconds=0.05, methods="chat.*", times=2)
    ts = await maya.say(channel, f"{BOT} {LONG}")
    await until_begun(playground, channel, ts)
    with held(engine_process):
        playground.fault("lost_answer", seconds=0.05, methods="chat.*", times=3)
        await asyncio.sleep(0.2)
    (answer,) = await finished()

    (message,) = answers_in(playground, channel, ts)
    assert shown(message) == "".join(answer.text.split())
    assert answer.state == AnswerState.COMPLETE


@pytest.mark.parametrize("where", ["dm", "general"])
@pytest.mark.parametrize("kept", [0, 1])
async def test_of_two_messages_that_get_one_answer_the_other_is_answered(
    *, playground: Playground, start_bot: StartBot, rows: Database, engine_process: EngineProcess, where: str, kept: int
) -> None:
    """One is deleted while they are answered: the answer begins anew, without it."""
    maya = playground.maya
    channel = maya.dm if where == "dm" else where
    texts = ["What is the capital of Italy?", LONG] if kept == 0 else ["Thank you.", LONG]
    async with start_bot(merge_seconds=0.5):
        await playground.wait_for_connection()
        root = await maya.say(channel, f"{BOT} hello")
        await playground.wait_for_reply(channel, root)
        said = [await maya.say(channel, text, root) for text in texts]
        first = (await playground.wait_until(lambda: answers_in(playground, channel, root)[1:], what="first words"))[0]
        with held(engine_process):
            await maya.delete(channel, said[1 - kept])
            await asyncio.sleep(0.3)
        await wait_for(rows, UNDER_WAY, None)
    (_hello, answer) = answers_in(playground, channel, root)
    assert answer["ts"] != first["ts"]
    assert ("Rome" in shown(answer)) is (kept == 0)
    assert "Stopped" not in shown(answer)
    async with rows.read() as session:
        assert set(await session.scalars(select(Message.text))) == {"hello", texts[kept]}
