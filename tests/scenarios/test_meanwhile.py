"""Questions that change or go while the bot, or its engine, is away, and of which Slack may tell only afterwards."""

import asyncio
import os
import signal

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.tables import Message
from tests.scenarios.conftest import EngineProcess, StartBot
from tests.scenarios.test_conversation import wait_for
from tests.scenarios.test_faults import LONG, answers_in, shown
from tests.scenarios.test_removal import UNDER_WAY, held

BOT = "<@U0APPRENTICE>"
ROME = "What is the capital of Italy?"


@pytest.mark.usefixtures("hasty_slack")
@pytest.mark.parametrize("channel", ["dm", "general"])
@pytest.mark.parametrize("change", ["deleted", "edited", "an order"])
async def test_what_is_half_answered_is_answered_as_it_stands(
    *,
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    engine_process: EngineProcess,
    monkeypatch: pytest.MonkeyPatch,
    channel: str,
    change: str,
) -> None:
    """Nothing is written of what was deleted or made an order; of what was edited the new words are answered."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    maya = playground.maya
    place = maya.dm if channel == "dm" else channel
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say(place, f"{BOT} {LONG}")
        await playground.wait_until(lambda: answers_in(playground, place, ts), timeout=30, what="first words")
        os.kill(engine_process.pid, signal.SIGSTOP)
    os.kill(engine_process.pid, signal.SIGCONT)
    if change == "deleted":
        await maya.delete(place, ts)
    else:
        await maya.edit(place, ts, f"{BOT} {ROME if change == 'edited' else '!mute'}")
    await asyncio.sleep(7)  # so long and twice Slack waits for somebody to take it
    async with start_bot():
        await wait_for(rows, UNDER_WAY, None)
    found = answers_in(playground, place, ts)
    async with rows.read() as session:
        texts = list(await session.scalars(select(Message.text)))
    if change == "edited":
        assert [("Rome" in shown(one), "Stopped" in shown(one)) for one in found] == [(True, False)]
        assert texts == [ROME]
    else:
        assert (found, texts) == ([], [])
    assert "Shall I answer it again" not in str(maya.ephemerals(place))
    assert (playground.session(place, ts) or {"status": "active"})["status"] == "active"


@pytest.mark.parametrize("where", ["general", "D0MAYA"])
async def test_an_edited_question_that_waits_for_the_engine_is_not_stopped(
    *, playground: Playground, bot: RunningBot, engine_process: EngineProcess, where: str
) -> None:
    """What stands there meanwhile says what happens, and nobody can find it good or bad."""
    maya = playground.maya
    with held(engine_process):
        ts = await maya.say(where, f"{BOT} What is the capital of Spain?")
        await playground.wait_until(lambda: playground.session(where, ts), what="its begin")
        await asyncio.sleep(0.5)
        await maya.edit(where, ts, f"{BOT} What is the capital of Italy?")
        (waiting,) = await playground.wait_until(lambda: answers_in(playground, where, ts), what="the word")
        assert "The question was edited; I answer it anew." in str(waiting)
        assert "feedback" not in str(waiting["blocks"])
    await playground.wait_until(lambda: "Rome" in str(answers_in(playground, where, ts)), what="the answer")
    (answer,) = answers_in(playground, where, ts)
    assert "edited" not in shown(answer)
