"""A real bot whose log nobody reads: `bot run 2>&1 | less`, a full pipe, a collector that stands still."""

import asyncio
import fcntl
import os
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bot.playground.testing import Playground
from tests.scenarios.conftest import KEY, EngineProcess
from tests.scenarios.test_faults import answers_in

SMALLEST = 4096  # bytes that a pipe keeps, at least


@pytest.fixture
def unread() -> tuple[int, int]:
    """Return both ends of a pipe that is full, so that the first line of a log has no room."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST)
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"." * 64):
            pass
    os.set_blocking(writer, True)
    return reader, writer


@asynccontextmanager
async def process(writer: int, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `bot run` with that pipe for all that it says."""
    command = (sys.executable, "-m", "bot", "run")
    started = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **settings}, stdout=writer, stderr=writer
    )
    os.close(writer)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


def drain(reader: int) -> str:
    """Read all that was written by a process that has ended."""
    parts = []
    while part := os.read(reader, 65_536):
        parts.append(part)
    os.close(reader)
    return b"".join(parts).decode().lstrip(".")


def health(port: int) -> int:
    """Ask the bot how it is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=3) as answer:
        return int(answer.status)


async def test_a_log_that_nobody_reads_holds_up_nothing(
    playground: Playground, engine_process: EngineProcess, tmp_path: Path, unread: tuple[int, int]
) -> None:
    """It starts, is well, answers, and stops; once somebody reads, the log is whole."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = {
        **playground.environment,
        "ENGINE_URL": engine_process.url,
        "ENGINE_API_KEY": KEY,
        "DATA_DIR": str(tmp_path / "data"),
        "HTTP_PORT": str(port),
        "LOG_LEVEL": "DEBUG",
    }
    reader, writer = unread
    maya = playground.maya
    async with process(writer, **settings) as bot:
        await playground.wait_for_connection(timeout=30)
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_until(lambda: bool(answers_in(playground, maya.dm, ts)), timeout=30, what="an answer")
        assert await asyncio.to_thread(health, port) == 200
        reading = asyncio.create_task(asyncio.to_thread(drain, reader))
        bot.terminate()
        assert await asyncio.wait_for(bot.wait(), 30) == 0
        log = await reading

    assert "bot.app: ready" in log
    assert "bot.app: stopping" in log


@pytest.mark.parametrize("is_failing", [False, True])
async def test_an_end_waits_for_no_reader(
    playground: Playground, engine_process: EngineProcess, tmp_path: Path, unread: tuple[int, int], is_failing: bool
) -> None:
    """The process is gone within seconds, after a stop as after a start that fails."""
    settings = {**playground.environment, "ENGINE_URL": engine_process.url, "ENGINE_API_KEY": KEY}
    reader, writer = unread
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1] if is_failing else 0
        async with process(writer, **settings, DATA_DIR=str(tmp_path / "data"), HTTP_PORT=str(port)) as bot:
            if not is_failing:
                await playground.wait_for_connection(timeout=30)
                bot.terminate()
            assert await asyncio.wait_for(bot.wait(), 30) == int(is_failing)
    os.close(reader)
