"""The app is taken out of a channel and invited again: what was asked is answered once, and presses say why not now."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.app import RunningBot
from bot.playground.events import publish
from bot.playground.membership import leave
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.learning_tables import TrainingChoice
from bot.storage.tables import Answer, AnswerState, now
from bot.storage.unsaid import UNSAID
from bot.storage.worker_tables import HeardUntil
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_conversation import wait_for
from tests.scenarios.test_faults import LONG, answers_in, shown
from tests.scenarios.test_removal import UNDER_WAY, held, until_begun

APP, LEADS = "U0APPRENTICE", "C0LEADS"
BOT = f"<@{APP}>"
BEGUN = select(Answer.state).where(Answer.state == AnswerState.WRITING)


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace with the assistant in its private channel."""
    async with Playground() as opened:
        opened.hub.workspace.channels[LEADS].members.append(APP)
        yield opened


def take_out(playground: Playground, channel: str) -> None:
    """Remove the app from a channel."""
    leave(playground.hub, playground.hub.workspace.channels[playground.channel(channel)], user=APP)


@pytest.mark.parametrize("channel", [LEADS, "general"])
async def test_what_was_asked_around_a_removal_is_answered_once_it_is_back(
    *,
    playground: Playground,
    bot: RunningBot,
    rows: Database,
    finished: Finished,
    engine_process: EngineProcess,
    channel: str,
) -> None:
    """The answer was under way, or nobody heard the question; a second coming in answers nothing again."""
    maya = playground.maya
    with held(engine_process):
        before = await maya.say(channel, f"{BOT} hello")
        await wait_for(rows, BEGUN, AnswerState.WRITING)
        take_out(playground, channel)
    (lost,) = await finished()
    await wait_for(rows, UNDER_WAY, None)
    meanwhile = await maya.say(channel, f"{BOT} What is a sprint?")
    talk = await maya.say(channel, "lunch?")
    assert (lost.state, lost.finish_reason, answers_in(playground, channel, before)) == ("failed", UNSAID, [])

    await maya.invite(channel, APP)
    for ts in (before, meanwhile):
        await playground.wait_for_reply(channel, ts, timeout=20)
    take_out(playground, channel)
    await maya.invite(channel, APP)
    after = await maya.say(channel, f"{BOT} thanks")
    await playground.wait_for_reply(channel, after)

    assert [len(answers_in(playground, channel, ts)) for ts in (before, meanwhile, after, talk)] == [1, 1, 1, 0]
    states = sorted(str(answer.state) for answer in await finished(4))
    assert states == ["complete", "complete", "complete", "failed"]


async def test_what_was_asked_before_a_channel_was_archived_is_answered_once_it_is_opened(
    *, playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Its author hears why there is no answer, in their direct messages, and later it comes."""
    maya = playground.maya
    with held(engine_process):
        ts = await maya.say("general", f"{BOT} hello")
        await wait_for(rows, BEGUN, AnswerState.WRITING)
        playground.fault("missing_method", methods="chat.*", error="is_archived", times=3)
        await asyncio.sleep(1)
    (lost,) = await finished()
    await wait_for(rows, UNDER_WAY, None)
    assert (lost.state, lost.finish_reason, answers_in(playground, "general", ts)) == ("failed", UNSAID, [])
    assert "is archived, so I cannot answer there" in str(playground.messages(maya.dm))
    playground.fault("missing_method", enabled=False)
    opened = playground.hub.workspace.channels[playground.channel("general")]
    event = {"type": "message", "subtype": "channel_unarchive", "channel": opened.id, "channel_type": "channel"}
    publish(playground.hub, {**event, "user": maya.id, "ts": "9999999999.000001"}, channel=opened)
    await playground.wait_for_reply("general", ts, timeout=20)
    assert len(answers_in(playground, "general", ts)) == 1


async def test_an_order_from_before_it_came_in_is_not_for_it(
    playground: Playground, bot: RunningBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody there had the assistant to order: another app may listen to the same word."""
    maya = playground.maya
    caplog.set_level(logging.INFO, logger="bot.slack.turns.catch_up")
    take_out(playground, LEADS)
    root = await maya.say(LEADS, "lunch?")
    await maya.say(LEADS, "!learn-from-me off", thread_ts=root)
    for times in (1, 2):
        await maya.invite(LEADS, APP)
        await playground.wait_until(lambda: caplog.text.count("where the app came in") == times, what="reading")  # noqa: B023
        asked = await maya.say(LEADS, f"{BOT} hello")
        await playground.wait_for_reply(LEADS, asked)
        take_out(playground, LEADS)

    async with rows.read() as session:
        assert await session.scalar(select(TrainingChoice.id)) is None


async def test_an_answer_that_a_removal_cut_off_goes_on_in_its_message(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Its beginning stands there already."""
    maya = playground.maya
    ts = await maya.say(LEADS, f"{BOT} {LONG}")
    begun = await until_begun(playground, LEADS, ts)
    with held(engine_process):
        take_out(playground, LEADS)
    await finished()
    await maya.invite(LEADS, APP)
    answer = (await finished(2))[-1]
    await wait_for(rows, UNDER_WAY, None)

    (message,) = answers_in(playground, LEADS, ts)
    assert (message["ts"], answer.state) == (begun["ts"], AnswerState.COMPLETE)
    assert shown(message) == "".join(answer.text.split())


async def test_whoever_presses_where_it_cannot_write_hears_why(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Each time; the answer stays as it is, and once the app is back the same button works."""
    maya = playground.maya
    ts = await maya.say(LEADS, f"{BOT} hello")
    await finished()
    reply = await playground.wait_for_reply(LEADS, ts)
    take_out(playground, LEADS)
    for count in (1, 2):
        await maya.click(reply, "regenerate")
        await playground.wait_until(lambda: len(playground.messages(maya.dm)) == count, timeout=20, what="a word")  # noqa: B023
        assert f"I am not in <#{LEADS}> any more" in playground.messages(maya.dm)[-1]["text"]
        await wait_for(rows, UNDER_WAY, None)
    (answer,) = await finished()
    assert answers_in(playground, LEADS, ts)[0]["text"] == reply["text"]

    await maya.invite(LEADS, APP)
    await maya.click(reply, "regenerate")
    another = (await finished(2))[-1]
    assert (another.state, another.replaces_id) == (AnswerState.COMPLETE, answer.id)
    assert len(answers_in(playground, LEADS, ts)) == 1


@pytest.mark.parametrize("error", ["missing_scope", "is_archived"])
async def test_what_was_asked_while_it_might_not_write_is_answered_after_a_restart(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished, error: str
) -> None:
    """The app lacked the scope to write when somebody asked, or the channel was archived in that moment."""
    maya = playground.maya
    playground.fault("missing_method", methods="chat.*", error=error)
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say("general", f"{BOT} hello")
        (lost,) = await finished()
        await wait_for(rows, UNDER_WAY, None)
    assert (lost.finish_reason, answers_in(playground, "general", ts)) == (UNSAID, [])
    playground.fault("missing_method", enabled=False)
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))
    async with start_bot():
        await finished(2)
        await playground.wait_for_reply("general", ts, timeout=20)

    assert len(answers_in(playground, "general", ts)) == 1
