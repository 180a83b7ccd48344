"""Whoever's data is taken out at the terminal hears of it from the bot, as they do of an order in Slack."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.playground.testing import Person, Playground
from bot.storage.db import Database
from bot.storage.learning_tables import AuditRow
from tests.scenarios.conftest import Finished, StartBot
from tests.test_cli import BOT

TOLD = "An admin at the terminal (cli"


async def export(folder: Path, user_id: str) -> None:
    """Take out what is stored of somebody, as an operator does."""
    environment = {**os.environ, "DATA_DIR": str(folder / "data"), "LOG_LEVEL": "ERROR"}
    command = [*BOT, "data", "export", user_id, "--output", str(folder / "out.json")]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "hears of it" in ended.stderr


def told(playground: Playground, person: Person) -> list[str]:
    """Return what somebody was told of it."""
    return [one["text"] for one in playground.messages(person.dm) if TOLD in one["text"]]


async def test_a_person_hears_that_their_data_was_taken_out(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    finished: Finished,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once from a bot that runs, else from the next one; once, and nobody else; and the audit log has it."""
    monkeypatch.setattr("bot.slack.turns.turns.IDLE_S", 2.0)
    tom, maya = playground.tom, playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        await tom.say(tom.dm, "hello")
        await finished(1)
        await export(tmp_path, tom.id)
        await playground.wait_until(lambda: told(playground, tom), timeout=45, what="a word")
    await export(tmp_path, tom.id)
    await export(tmp_path, "U0NOBODY")  # whom Slack does not know
    for _ in range(2):
        async with start_bot():
            await playground.wait_until(lambda: len(told(playground, tom)) == 2, what="the second word")
            await asyncio.sleep(0.5)
    async with rows.read() as session:
        audited = list(await session.scalars(select(AuditRow.target).where(AuditRow.action == "data.export")))

    assert len(told(playground, tom)) == 2
    assert "has exported a copy of what I have stored of you" in told(playground, tom)[0]
    assert told(playground, maya) == []
    assert audited == [tom.id, tom.id, "U0NOBODY"]
