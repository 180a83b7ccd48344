"""The whole bot against the playground, with a real engine: what a person would see, without a person."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from bot.app import RunningBot, running_bot
from bot.playground.testing import Playground
from bot.settings import STARTER_MODEL, Settings
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState

KEY = "test-key"
PATIENCE_S = 15.0


@dataclass(frozen=True)
class EngineProcess:
    """An engine of the session, on a port, so that not every test loads a model."""

    url: str
    pid: int


@pytest.fixture(scope="session")
def engine_process() -> Iterator[EngineProcess]:
    """Start the product's engine with the starter model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "bot",
        "engine",
        "--model",
        str(STARTER_MODEL),
        "--port",
        str(port),
        "--threads",
        "1",
    ]
    environment = {**os.environ, "ENGINE_API_KEY": KEY, "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            request = urllib.request.Request(f"{url}/health", headers={"Authorization": f"Bearer {KEY}"})
            if urllib.request.urlopen(request, timeout=5).status == 200:
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    yield EngineProcess(url, process.pid)
    process.terminate()
    process.wait(10)


@pytest.fixture(autouse=True)
def patient_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the people in Slack wait longer than Slack does: a busy machine may stand still for three seconds."""
    monkeypatch.setattr("bot.playground.socket_mode.ACK_SECONDS", PATIENCE_S)
    monkeypatch.setattr("bot.playground.http_delivery.ACK_SECONDS", PATIENCE_S)
    monkeypatch.setattr("bot.playground.triggers.TRIGGER_SECONDS", PATIENCE_S)
    monkeypatch.setattr("bot.slack.people.rights.SLACK_WAITS_S", PATIENCE_S)
    monkeypatch.setattr("bot.slack.standstill.LEAST_S", PATIENCE_S)


@pytest.fixture
def hasty_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Slack wait for an acknowledgement as long as it does, where a test is about that."""
    monkeypatch.setattr("bot.playground.socket_mode.ACK_SECONDS", 3.0)


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a fresh workspace."""
    async with Playground() as opened:
        yield opened


def settings_for(playground: Playground, tmp_path: Path, **changes: Any) -> Settings:
    """Build the settings with which a bot finds *playground*."""
    values = {
        "slack_bot_token": "xoxb-playground",
        "slack_app_token": "xapp-playground",
        "slack_signing_secret": "playground-signing-secret",
        "slack_api_url": playground.api_url,
        "data_dir": tmp_path / "data",
        "http_port": 0,
        "engine_threads": 1,
        "answer_temperature": 0.0,
        "merge_seconds": 0.0,
        "messages_per_person": 0,
        "messages_per_channel": 0,
        "admin_user_ids": "U0MAYA",
        "training_folds": 0,  # a night is long enough
    }
    return Settings(**{**values, **changes})


FULL = "CREATE TRIGGER full_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"


@asynccontextmanager
async def full_disk(rows: Database, *tables: str) -> AsyncIterator[None]:
    """Let nothing be written to some tables for as long as the block runs."""
    async with rows.begin() as session:
        for table in tables:
            await session.execute(text(FULL.format(table=table)))
    yield
    async with rows.begin() as session:
        for table in tables:
            await session.execute(text(f"DROP TRIGGER full_{table}"))


Finished = Callable[..., Awaitable[list[Answer]]]
StartBot = Callable[..., AbstractAsyncContextManager[RunningBot]]


@pytest.fixture
def start_bot(playground: Playground, engine_process: EngineProcess, tmp_path: Path) -> StartBot:
    """Return a function that runs the bot for as long as a block runs; settings can be changed."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[RunningBot]:
        defaults = {"engine_url": engine_process.url, "engine_api_key": KEY}
        async with running_bot(settings_for(playground, tmp_path, **{**defaults, **changes})) as bot:
            yield bot

    return start


@pytest.fixture
async def bot(start_bot: StartBot, playground: Playground) -> AsyncIterator[RunningBot]:
    """Run the bot, connected."""
    async with start_bot() as running:
        await playground.wait_for_connection()
        yield running


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Database]:
    """Open the bot's database beside the bot."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'data' / 'apprentice.db'}")
    yield database
    await database.close()


@pytest.fixture
def finished(rows: Database) -> Finished:
    """Return a function that waits until *count* answers have ended and returns all, oldest first."""

    async def wait(count: int = 1, *, timeout: float = 20) -> list[Answer]:
        found: list[Answer] = []
        for _ in range(int(timeout / 0.02)):
            async with rows.begin() as session:
                found = list(await session.scalars(select(Answer).order_by(Answer.id)))
            if sum(answer.state != AnswerState.WRITING for answer in found) >= count:
                return found
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{[answer.state for answer in found]} instead of {count} ended answers")

    return wait
