"""A process that stood still, real and with Slack's own patience: what Slack called failed meanwhile is not done."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.playground.testing import Playground
from bot.slack.standstill import AFTER_S, Standstill
from bot.storage.db import Database
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Feedback, Vote
from tests.scenarios.conftest import KEY, EngineProcess
from tests.scenarios.test_admin import COMMAND

STILL_S = 4.5


@pytest.fixture
async def process(
    playground: Playground, engine_process: EngineProcess, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a bot of its own."""
    settings = {
        **playground.environment,
        "ENGINE_URL": engine_process.url,
        "ENGINE_API_KEY": KEY,
        "DATA_DIR": str(tmp_path / "data"),
        "HTTP_PORT": "0",
    }
    command = (sys.executable, "-m", "bot", "run")
    running = await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings})
    await playground.wait_for_connection(timeout=60)
    await playground.maya.command(COMMAND, "help")  # it is past its start
    await playground.wait_until(lambda: playground.maya.ephemerals(playground.maya.dm), what="the help")
    await asyncio.sleep(1)
    yield running
    running.terminate()
    await running.wait()


async def _stand_still(process: asyncio.subprocess.Process, *presses: Any) -> None:
    """Let the process stand still while somebody presses; Slack says that each failed."""
    process.send_signal(signal.SIGSTOP)
    pressing = [asyncio.ensure_future(press) for press in presses]
    await asyncio.sleep(STILL_S)
    process.send_signal(signal.SIGCONT)
    await asyncio.gather(*pressing, return_exceptions=True)


@pytest.mark.usefixtures("hasty_slack")
async def test_an_order_from_while_it_stood_still_is_not_carried_out(
    playground: Playground, process: asyncio.subprocess.Process, rows: Database
) -> None:
    """Its person hears so; what they order again counts, once."""
    tom = playground.tom
    await _stand_still(process, tom.command(COMMAND, "remind me in 3 hours to call", channel="general"))
    await asyncio.sleep(2)
    async with rows.read() as session:
        assert await session.scalar(select(func.count()).select_from(Schedule)) == 0
    await tom.command(COMMAND, "remind me in 3 hours to call", channel="general")
    await playground.wait_until(lambda: "call" in str(tom.ephemerals("general")), what="the word")
    async with rows.read() as session:
        assert await session.scalar(select(func.count()).select_from(Schedule)) == 1


@pytest.mark.usefixtures("hasty_slack")
async def test_a_press_from_while_it_stood_still_counts_for_nothing(
    playground: Playground, process: asyncio.subprocess.Process, rows: Database
) -> None:
    """It says so where it was pressed; a question from meanwhile is answered."""
    tom = playground.tom
    ts = await tom.say("general", "<@U0APPRENTICE> hello")
    reply = await playground.wait_for_reply("general", ts)
    await _stand_still(
        process,
        tom.click(reply, "feedback", "positive_button"),
        tom.say("general", "<@U0APPRENTICE> thanks", ts),
    )
    await playground.wait_until(lambda: "I stood still" in str(tom.ephemerals("general")), what="the word")
    async with rows.read() as session:
        assert list(await session.scalars(select(Feedback.vote))) == []
    await playground.wait_until(lambda: len(playground.messages("general", ts)) == 4, what="the second answer")
    await asyncio.sleep(AFTER_S)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_until(lambda: "👎" in str(tom.ephemerals("general")), what="the vote")
    async with rows.read() as session:
        assert list(await session.scalars(select(Feedback.vote))) == [Vote.DOWN]


async def test_a_short_pause_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was long enough for Slack to give up counts, and only for a moment."""
    moments = iter([100.2, 102.5, 105.2, 105.9, 106.1, 106.3])
    monkeypatch.setattr("bot.slack.standstill._read_clock", lambda: next(moments))
    monkeypatch.setattr("bot.slack.standstill.LEAST_S", 2.5)
    standstill = Standstill()
    assert [standstill.is_just_over() for _look in range(6)] == [False, False, True, True, True, False]
